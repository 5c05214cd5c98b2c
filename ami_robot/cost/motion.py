"""What the motion itself costs, wherever it leads."""

from __future__ import annotations

import numpy as np

from ami_robot.cost.cost import Imagined
from ami_robot.types import Array, Goal


class ActionRate:
    """Change of displacement from one step to the next, root mean square, m."""

    name = "action_rate"
    measures_goal = False

    def applies_to(self, goal: Goal) -> bool:
        """Always."""
        return True

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), m."""
        change = np.diff(imagined.actions[..., :3], axis=1)
        return np.sqrt(np.mean(np.sum(change**2, axis=-1), axis=-1))
