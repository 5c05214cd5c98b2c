"""Training windows over a set of episodes, split by episode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.types import ACTION_DIM, PROPRIO_DIM


class DataError(ValueError):
    """Episodes that cannot be trained on; one sentence saying what, and what would be right."""


@dataclass(frozen=True)
class Batch:
    """B windows: pictures of K + 1 of their frames, everything else of all H + 1 frames."""

    pictures: Tensor  # (B, K + 1, 64, 64, 3) uint8: the first frame, then those at the target steps
    proprio: Tensor  # (B, H + 1, P), m and m/s
    actions: Tensor  # (B, H, A), m
    targets: tuple[int, ...]  # K steps in 1..H, increasing; the first is 1


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
        wanted = {
            "images": (count, frames, VIEW_PIXELS, VIEW_PIXELS, 3),
            "proprio": (count, frames, PROPRIO_DIM),
            "actions": (count, frames - 1, ACTION_DIM),
            "blocks": (count, frames, *episodes.blocks.shape[2:]),
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
        order = np.random.default_rng([seed, 0]).permutation(len(self))
        held_out = max(1, round(held_out_fraction * len(self)))
        if held_out >= len(self):
            raise DataError(f"{len(self)} episodes are too few to hold some out; collect at least 2.")
        return self.take(np.sort(order[held_out:])), self.take(np.sort(order[:held_out]))

    def batch(self, starts: NDArray[np.intp], steps: int, targets: tuple[int, ...]) -> Batch:
        """The windows of `steps` steps that begin at `starts` (B, 2): episode, frame."""
        episode, first = starts[:, :1], starts[:, 1:]
        frames, pictured = first + np.arange(steps + 1), first + np.array((0, *targets))
        return Batch(
            torch.from_numpy(self.images[episode, pictured]),
            torch.from_numpy(self.proprio[episode, frames]),
            torch.from_numpy(self.actions[episode, frames[:, :-1]]),
            targets,
        )

    def draw(self, count: int, steps: int, targets: int, seed: tuple[int, ...]) -> Batch:
        """`count` windows and their target steps, decided by the seed alone, so that a run can be resumed anywhere."""
        if steps > self.steps:
            raise DataError(f"windows of {steps} steps do not fit into episodes of {self.steps}; lower window.steps.")
        generator = np.random.default_rng(seed)
        starts = np.stack(
            [generator.integers(len(self), size=count), generator.integers(self.steps - steps + 1, size=count)], axis=1
        )
        further = generator.choice(np.arange(2, steps + 1), size=targets - 1, replace=False)
        return self.batch(starts, steps, (1, *(int(step) for step in np.sort(further))))
