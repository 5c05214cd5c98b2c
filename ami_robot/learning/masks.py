"""Which tokens are seen and which are to be predicted: block masks over a grid of (time, rows, columns).

Pictures: several blocks as targets, one large block less the targets as context (I-JEPA, Assran et al. 2023, sec. 3).
Clips: the same blocks, as long in time as is asked for; over a whole clip they are tubes (V-JEPA, Bardes et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ami_robot.strict import StrictError

_TRIES = 100  # places drawn for a picture's blocks until they leave enough context

Grid = tuple[int, int, int]
"""Tokens along time, rows, columns; they are numbered in this order, columns fastest."""


class MaskError(StrictError):
    """Masks that do not fit a grid; one sentence saying what, and what would be right."""


@dataclass(frozen=True)
class MaskConfig:
    """Sizes as shares of the grid; only blocks of whole tokens within these bounds are drawn."""

    targets: int  # blocks to be predicted, which may overlap one another
    target_scale_min: float  # area of a block over rows x columns
    target_scale_max: float
    target_aspect_min: float  # rows of a block over its columns
    target_aspect_max: float
    target_duration_min: float  # of a block over that of the clip; a picture's is 1
    target_duration_max: float
    context_scale_min: float  # area over rows x columns, before the targets are taken out; all of the clip's time
    context_scale_max: float
    context_tokens_min: int  # that have to remain


@dataclass(frozen=True)
class Masks:
    """Indices of tokens for N pictures or clips, rising in each set."""

    context: Tensor  # (N, K) int64: what the student sees
    targets: Tensor  # (N, B, M) int64: B blocks of M tokens, none of which is in the context

    def to(self, device: torch.device) -> Masks:
        """The same on another device."""
        return Masks(self.context.to(device), self.targets.to(device))


def draw_masks(count: int, grid: Grid, config: MaskConfig, seed: tuple[int, ...]) -> Masks:
    """Masks for `count` pictures or clips, decided by the seed alone, so that a run can be resumed anywhere.

    The size of the blocks is one for all, so that they are one tensor; where they lie is drawn for each. Contexts are
    cut, at random tokens, to the smallest of them.

    Raises:
        MaskError: no block of whole tokens has such a size, or too little context remains.
    """
    generator = np.random.default_rng(seed)
    target = _draw_size(target_sizes(grid, config), generator)
    context = _draw_size(context_sizes(grid, config), generator)
    drawn = [_draw_places(grid, config, target, context, generator) for _ in range(count)]
    least = min(len(seen) for seen, _ in drawn)
    seen = np.stack([np.sort(generator.choice(indices, least, replace=False)) for indices, _ in drawn])
    return Masks(torch.from_numpy(seen), torch.from_numpy(np.stack([blocks for _, blocks in drawn])))


def target_sizes(grid: Grid, config: MaskConfig) -> list[Grid]:
    """All sizes that a target block can have; raises MaskError when there is none."""
    durations = [t for t in range(1, grid[0] + 1) if _within(t / grid[0], config, "target_duration")]
    sizes = [
        (t, rows, columns)
        for t in durations
        for rows, columns in _areas(grid, config, "target_scale")
        if _within(rows / columns, config, "target_aspect")
    ]
    if not sizes:
        raise MaskError(f"no target block of whole tokens fits masks.target_* on a grid of {grid}; widen their bounds.")
    return sizes


def context_sizes(grid: Grid, config: MaskConfig) -> list[Grid]:
    """All sizes that a context block can have; raises MaskError when there is none."""
    sizes = [(grid[0], rows, columns) for rows, columns in _areas(grid, config, "context_scale")]
    if not sizes:
        raise MaskError(f"no context of whole tokens fits masks.context_scale_* on a grid of {grid}; widen its bounds.")
    return sizes


def _areas(grid: Grid, config: MaskConfig, bounds: str) -> list[tuple[int, int]]:
    _, height, width = grid
    return [
        (rows, columns)
        for rows in range(1, height + 1)
        for columns in range(1, width + 1)
        if _within(rows * columns / (height * width), config, bounds)
    ]


def _within(share: float, config: MaskConfig, bounds: str) -> bool:
    rounding = 1e-9  # bounds are written in decimals
    return getattr(config, f"{bounds}_min") - rounding <= share <= getattr(config, f"{bounds}_max") + rounding


def _draw_size(sizes: list[Grid], generator: np.random.Generator) -> Grid:
    return sizes[generator.integers(len(sizes))]


def _draw_places(
    grid: Grid, config: MaskConfig, target: Grid, context: Grid, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For one picture: (indices of its context, indices of its target blocks (B, M))."""
    for _ in range(_TRIES):
        blocks = np.stack([_block(grid, target, generator) for _ in range(config.targets)])
        seen = np.setdiff1d(_block(grid, context, generator), blocks)
        if len(seen) >= config.context_tokens_min:
            return seen, blocks
    raise MaskError(
        f"{config.targets} target blocks of {target} leave fewer than {config.context_tokens_min} tokens of context on "
        f"a grid of {grid}; lower masks.targets, masks.target_scale_max or masks.context_tokens_min."
    )


def _block(grid: Grid, size: Grid, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices of a block of this size anywhere in the grid, rising."""
    first = [int(generator.integers(whole - part + 1)) for whole, part in zip(grid, size, strict=True)]
    region = tuple(slice(start, start + part) for start, part in zip(first, size, strict=True))
    return np.arange(np.prod(grid), dtype=np.int64).reshape(grid)[region].ravel()
