"""What the motion itself costs, wherever it leads."""

from __future__ import annotations

import numpy as np

from ami_robot.cost.cost import Imagined, Slopes
from ami_robot.types import Array, Goal


class ActionRate:
    """Change of displacement from one step to the next, root mean square, m; none where there is one step only."""

    name = "action_rate"
    measures_goal = False

    def applies_to(self, goal: Goal) -> bool:
        """Always."""
        return True

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), m."""
        change = np.diff(imagined.actions[..., :3], axis=1)
        return np.sqrt(np.sum(change**2, axis=(1, 2)) / max(1, change.shape[1]))

    def slopes(self, imagined: Imagined) -> Slopes:
        """Of neighbouring displacements towards each other."""
        slopes = Slopes.none(imagined)
        change = np.diff(imagined.actions[..., :3], axis=1)
        scale = self(imagined)[:, None, None] * max(1, change.shape[1])
        pull = np.divide(change, scale, out=np.zeros_like(change), where=scale > 0)
        slopes.actions[:, 1:, :3] += pull
        slopes.actions[:, :-1, :3] -= pull
        return slopes
