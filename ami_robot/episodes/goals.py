"""A goal on disk: pictures or positions, the last of them the goal, those before it on the way there.

A `.npz` with either `pictures` (K, 64, 64, 3) uint8 rgb and `preprocessing_id`, which says of which view they are, or
`tool_positions` (K, 3) or `block_positions` (K, 3), or both of these, float64, m in base_link. Pictures, not latents: a
goal outlives the encoder.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHAPES = {"pictures": (64, 64, 3), "tool_positions": (3,), "block_positions": (3,)}
_KNOWN = (*_SHAPES, "preprocessing_id")


class GoalError(ValueError):
    """A goal that cannot be made or read; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True)
class ShownGoal:
    """What somebody wants, as they showed or said it: pictures, or positions of hand, block or both; else empty."""

    pictures: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 64, 64, 3), np.uint8))
    tool_positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    block_positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    preprocessing_id: str = ""  # of the pictures, where there are some

    def __post_init__(self) -> None:
        """Raise GoalError on wrong shapes, on what is not finite, and on what does not go together."""
        for name, shape in _SHAPES.items():
            if getattr(self, name).shape[1:] != shape:
                raise GoalError(f"{name} has shape {getattr(self, name).shape}; it has to be (K, {shape})")
        positions = (self.tool_positions, self.block_positions)
        if self.pictures.dtype != np.uint8 or not all(np.isfinite(values).all() for values in positions):
            raise GoalError("pictures have to be uint8 and positions finite")
        if bool(len(self.pictures)) != bool(self.preprocessing_id):
            raise GoalError("pictures come with the preprocessing_id of their view, and positions without")
        if bool(len(self.pictures)) == any(len(values) for values in positions):
            raise GoalError("a goal has either pictures or positions, at least one")
        if all(len(values) for values in positions) and len(positions[0]) != len(positions[1]):
            raise GoalError("a goal has as many block_positions as tool_positions, or only one of the two")

    def __len__(self) -> int:
        """Number of steps."""
        return max(len(getattr(self, name)) for name in _SHAPES)


def write_goal(path: Path, goal: ShownGoal) -> None:
    """Write the file whole; one that is there already is replaced."""
    content = io.BytesIO()
    given = {name: getattr(goal, name) for name in _SHAPES if len(getattr(goal, name))}
    if goal.preprocessing_id:
        given["preprocessing_id"] = np.array(goal.preprocessing_id)
    np.savez_compressed(content, allow_pickle=False, **given)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.getvalue())
    os.replace(partial, path)


def read_goal(path: Path) -> ShownGoal:
    """Read and check it; raises GoalError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if unknown := set(file.files) - set(_KNOWN):
                raise GoalError(
                    f"{path} has unknown arrays {', '.join(sorted(unknown))}; known are {', '.join(_KNOWN)}"
                )
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
            if "preprocessing_id" in arrays:
                arrays["preprocessing_id"] = str(arrays["preprocessing_id"])
    except GoalError:
        raise
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise GoalError(f"cannot read the goal {path}: {error}; make one with `ami goal`.") from error
    try:
        return ShownGoal(**arrays)
    except GoalError as error:
        raise GoalError(f"{path}: {error}; make it again with `ami goal`.") from error
