"""Training windows over a set of episodes, split by episode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ami_robot.learning.config import WindowConfig
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.types import ACTION_DIM, PROPRIO_DIM

_MOVED_M = 0.01  # a block that passed through a box of this diagonal has moved


class DataError(ValueError):
    """Episodes that cannot be trained on; one sentence saying what, and what would be right."""


@dataclass(frozen=True)
class Batch:
    """B windows: pictures and blocks of K + 1 of their frames, everything else of all H + 1 frames."""

    pictures: Tensor  # (B, K + 1, 64, 64, 3) uint8: the first frame, then those at the target steps
    proprio: Tensor  # (B, H + 1, P), m and m/s
    actions: Tensor  # (B, H, A), m
    blocks: Tensor  # (B, K + 1, blocks, 3), m: when the pictures were taken
    targets: tuple[int, ...]  # K steps in 1..H, increasing; the first is 1

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        pictures, proprio, actions, blocks = (
            values.to(device) for values in (self.pictures, self.proprio, self.actions, self.blocks)
        )
        return Batch(pictures, proprio, actions, blocks, self.targets)


@dataclass(frozen=True)
class Episodes:
    """E episodes of T steps. Frame t comes before action t."""

    images: NDArray[np.uint8]  # (E, T + 1, 64, 64, 3)
    proprio: NDArray[np.float32]  # (E, T + 1, P), m and m/s
    actions: NDArray[np.float32]  # (E, T, A), m
    blocks: NDArray[np.float32]  # (E, T + 1, B, 3), m

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Episodes:
        """Pick and check what training reads; raises DataError on a missing array, a wrong shape or a NaN."""
        if missing := [name for name in ("images", "proprio", "actions", "blocks") if name not in arrays]:
            raise DataError(f"the episodes lack the arrays {', '.join(missing)}; collect them with `ami collect`.")
        episodes = cls(*(arrays[name] for name in ("images", "proprio", "actions", "blocks")))
        count, frames = episodes.images.shape[:2]
        blocks = episodes.blocks.shape[2] if episodes.blocks.ndim == 4 else 1
        wanted = {
            "images": (count, frames, VIEW_PIXELS, VIEW_PIXELS, 3),
            "proprio": (count, frames, PROPRIO_DIM),
            "actions": (count, frames - 1, ACTION_DIM),
            "blocks": (count, frames, max(1, blocks), 3),
        }
        for name, shape in wanted.items():
            if arrays[name].shape != shape:
                raise DataError(f"the array '{name}' has shape {arrays[name].shape}, it has to be {shape}.")
        for name in ("proprio", "actions", "blocks"):
            if not np.isfinite(arrays[name]).all():
                raise DataError(f"the array '{name}' holds values that are not finite; collect the episodes again.")
        return episodes

    def __len__(self) -> int:
        return len(self.images)

    @property
    def steps(self) -> int:
        """T."""
        return self.actions.shape[1]

    def take(self, chosen: NDArray[np.intp]) -> Episodes:
        """Some of the episodes."""
        return Episodes(self.images[chosen], self.proprio[chosen], self.actions[chosen], self.blocks[chosen])

    def split(self, held_out_fraction: float, seed: int) -> tuple[Episodes, Episodes]:
        """(training, held out), drawn by episode, so that no held-out frame has a neighbour in training."""
        training, held_out = split_episodes(len(self), held_out_fraction, seed)
        return self.take(training), self.take(held_out)

    def batch(self, starts: NDArray[np.intp], steps: int, targets: tuple[int, ...]) -> Batch:
        """The windows of `steps` steps that begin at `starts` (B, 2): episode, frame."""
        episode, first = starts[:, :1], starts[:, 1:]
        frames, pictured = first + np.arange(steps + 1), first + np.array((0, *targets))
        return Batch(
            torch.from_numpy(self.images[episode, pictured]),
            torch.from_numpy(self.proprio[episode, frames]),
            torch.from_numpy(self.actions[episode, frames[:, :-1]]),
            torch.from_numpy(self.blocks[episode, pictured]),
            targets,
        )


def contact_windows(blocks: NDArray[np.floating], steps: int, moved_m: float = _MOVED_M) -> NDArray[np.intp]:
    """(W, 2): episode and first frame of the windows of `steps` steps in which one of (E, T + 1, B, 3) m moves."""
    if not len(blocks) or steps >= blocks.shape[1]:
        return np.empty((0, 2), np.intp)
    windows = np.lib.stride_tricks.sliding_window_view(blocks, steps + 1, axis=1)  # (E, S, B, 3, steps + 1)
    way = np.linalg.norm(windows.max(-1) - windows.min(-1), axis=-1)  # diagonal of what it passed through
    return np.argwhere(way.max(-1) > moved_m)


def split_episodes(count: int, held_out_fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(training, held out) of `count` episodes, at least one held out; raises DataError when none would remain."""
    order = np.random.default_rng([seed, 0]).permutation(count)
    held_out = max(1, round(held_out_fraction * count))
    if held_out >= count:
        raise DataError(f"{count} episodes are too few to hold some out; collect at least 2.")
    return np.sort(order[held_out:]), np.sort(order[:held_out])


class WindowSampler:
    """Draws training batches. What is drawn depends on the seed alone, so that a run can be resumed anywhere."""

    def __init__(self, episodes: Episodes, config: WindowConfig) -> None:
        """Look for the windows in which a block moves, if some are wanted.

        Raises:
            DataError: the windows are longer than the episodes, or none shows what is wanted.
        """
        if config.steps > episodes.steps:
            raise DataError(
                f"windows of {config.steps} steps do not fit into episodes of {episodes.steps}; lower window.steps."
            )
        self._episodes, self._config = episodes, config
        self._contacts = contact_windows(episodes.blocks, config.steps) if config.contact_share else None
        if self._contacts is not None and not len(self._contacts):
            raise DataError("no block moves in any training window; set window.contact_share to 0.")

    def draw(self, count: int, seed: tuple[int, ...], part: slice = slice(None)) -> Batch:
        """`part` of `count` windows, with target steps."""
        episodes, steps = self._episodes, self._config.steps
        generator = np.random.default_rng(seed)
        starts = np.stack(
            [
                generator.integers(len(episodes), size=count),
                generator.integers(episodes.steps - steps + 1, size=count),
            ],
            axis=1,
        )
        further = generator.choice(np.arange(2, steps + 1), size=self._config.targets - 1, replace=False)
        if self._contacts is not None:
            chosen = round(self._config.contact_share * count)
            starts[:chosen] = self._contacts[generator.integers(len(self._contacts), size=chosen)]
        return episodes.batch(starts[part], steps, (1, *(int(step) for step in np.sort(further))))
