"""How far the imagined outcomes stay from the goal."""

from __future__ import annotations

import numpy as np

from ami_robot.cost.cost import CostError, Imagined
from ami_robot.types import TOOL_POSITION, Array, Goal


def mean_over_steps(values: Array, running_weight: float) -> Array:
    """(N, H) -> (N,): weighted mean, `running_weight` for each step and 1 for the last.

    The running part rewards getting there early, the last step being there (jepa-wms, eb_jepa sum over steps too).
    """
    weights = np.full(values.shape[1], running_weight)
    weights[-1] = 1.0
    return values @ (weights / weights.sum())


class LatentDistance:
    """Root-mean-square distance between imagined image latents and the goal's.

    The square has a flat bottom and a flat top: measured on the first checkpoint, 0.012 at 1 cm from the goal, 0.05 at
    2 cm, and no slope beyond 20 cm. Its root falls evenly to the goal, and further out `tool_distance` has to give
    the direction.
    """

    name = "latent_distance"
    measures_goal = True

    def __init__(self, running_weight: float) -> None:
        self._running_weight = running_weight

    def applies_to(self, goal: Goal) -> bool:
        """Only a goal that was given as a picture has a latent."""
        return goal.image_latent is not None

    def __call__(self, imagined: Imagined) -> Array:
        """(N,).

        Raises:
            CostError: the goal has no latent.
        """
        if imagined.goal.image_latent is None:
            raise CostError("latent_distance needs a goal picture; a pose goal has none")
        difference = imagined.outcomes.image_latents - imagined.goal.image_latent
        root_mean_square = np.sqrt(np.mean(difference**2, axis=-1, dtype=np.float64))
        return mean_over_steps(root_mean_square, self._running_weight)


class ToolDistance:
    """Distance between the imagined tool position and the goal's, m.

    A position that was decoded from a picture is trusted to within `decoded_slack_m` only: closer than that this term
    is silent and the picture itself decides. So a decoder that is a few cm off (a camera that was moved) does no harm.
    """

    name = "tool_distance"
    measures_goal = True

    def __init__(self, running_weight: float, decoded_slack_m: float) -> None:
        self._running_weight = running_weight
        self._decoded_slack_m = decoded_slack_m

    def applies_to(self, goal: Goal) -> bool:
        """Every goal has a tool position, given or decoded from the picture."""
        return True

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), m."""
        difference = imagined.outcomes.proprio[..., TOOL_POSITION] - imagined.goal.tool_position
        slack_m = 0.0 if imagined.goal.image_latent is None else self._decoded_slack_m
        beyond_m = np.maximum(np.linalg.norm(difference, axis=-1) - slack_m, 0.0)
        return mean_over_steps(beyond_m, self._running_weight)
