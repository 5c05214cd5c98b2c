"""What the world model itself is not sure of."""

from __future__ import annotations

from ami_robot.cost.cost import CostError, Imagined, Slopes
from ami_robot.cost.distance import mean_over_steps
from ami_robot.types import Array, Goal


class Spread:
    """How unsure the world model is of what it imagines, see `Outcomes.spread`."""

    name = "spread"
    measures_goal = False

    def __init__(self, running_weight: float) -> None:
        self._running_weight = running_weight

    def applies_to(self, goal: Goal) -> bool:
        """Always."""
        return True

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), in the unit of `Outcomes.spread`.

        Raises:
            CostError: the world model does not say.
        """
        if imagined.outcomes.spread is None:
            raise CostError("cost.spread needs a world model with a block head or several networks; set it to 0")
        return mean_over_steps(imagined.outcomes.spread, self._running_weight)

    def slopes(self, imagined: Imagined) -> Slopes:
        """None: the spread judges what a descent comes to and does not lead it."""
        return Slopes.none(imagined)
