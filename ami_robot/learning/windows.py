"""Windows of latent episodes, and what a world model imagines in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ami_robot.learning.latents import LatentEpisodes
from ami_robot.types import TOOL_POSITION
from ami_robot.world_model.predictor import Predictor

_CHUNK = 2048  # windows imagined at once


class Foreseen(NamedTuple):
    """What the world model says of W windows of H steps."""

    latents: Tensor  # (W, H, D)
    proprio: Tensor  # (W, H, P), m and m/s
    spread: Tensor  # (W, H); zero throughout where the model has one opinion


@dataclass(frozen=True)
class Windows:
    """W windows of H steps: what was seen, measured and done."""

    latents: Tensor  # (W, H + 1, D)
    proprio: Tensor  # (W, H + 1, P), m and m/s
    actions: Tensor  # (W, H, A), m
    blocks: Tensor  # (W, H + 1, B, 3), m

    @classmethod
    def at(cls, episodes: LatentEpisodes, starts: NDArray[np.intp], steps: int) -> Windows:
        """Those of `steps` steps that begin at `starts` (W, 2): episode, frame."""
        episode, frame = starts[:, :1], starts[:, 1:] + np.arange(steps + 1)
        actions = episodes.actions[episode, frame[:, :-1]]
        return cls(
            episodes.latents[episode, frame], episodes.proprio[episode, frame], actions, episodes.blocks[episode, frame]
        )

    @classmethod
    def drawn(cls, episodes: LatentEpisodes, steps: int, count: int, seed: int) -> Windows:
        """`count` of them, from anywhere in the episodes."""
        generator = np.random.default_rng([seed, 2])
        number, frames = episodes.latents.shape[:2]
        episode = generator.integers(number, size=(count, 1))
        frame = generator.integers(frames - steps, size=(count, 1))
        return cls.at(episodes, np.concatenate([episode, frame], axis=1), steps)

    @property
    def tool_position(self) -> Tensor:
        """(W, H + 1, 3), m."""
        return self.proprio[..., TOOL_POSITION]

    @property
    def farthest(self) -> Tensor:
        """(W,): which block is displaced most between first and last frame."""
        return torch.linalg.vector_norm(self.blocks[:, -1] - self.blocks[:, 0], dim=-1).argmax(-1)

    def way(self, foreseen: Foreseen) -> tuple[Tensor, Tensor]:
        """What is imagined, after the frame it begins from: latents (W, H + 1, D), proprioception (W, H + 1, P)."""
        latents = torch.cat([self.latents[:, :1], foreseen.latents], dim=1)
        return latents, torch.cat([self.proprio[:, :1], foreseen.proprio], dim=1)

    @torch.inference_mode()
    def imagined(self, predictor: Predictor, others: int = 0) -> Foreseen:
        """What is imagined from the first frame under the actions, or under those of the window `others` before."""
        actions = self.actions.roll(others, dims=0)
        parts = []
        for rows in torch.arange(len(actions)).split(_CHUNK):
            rollouts = predictor.rollouts(self.latents[rows, 0], self.proprio[rows, 0], actions[rows])
            parts.append((*rollouts.most_likely(), rollouts.spread()))
        return Foreseen(*(torch.cat(values) for values in zip(*parts, strict=True)))
