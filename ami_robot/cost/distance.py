"""How far the imagined outcomes stay from the goal."""

from __future__ import annotations

import numpy as np

from ami_robot.cost.cost import CostError, Imagined, Slopes
from ami_robot.types import TOOL_POSITION, Array, Goal


def mean_over_steps(values: Array, running_weight: float) -> Array:
    """(N, H) -> (N,): weighted mean, `running_weight` for each step and 1 for the last.

    The running part rewards getting there early, the last step being there (jepa-wms, eb_jepa sum over steps too).
    """
    return values @ step_weights(values.shape[1], running_weight)


def step_weights(horizon: int, running_weight: float) -> Array:
    """(H,): with which `mean_over_steps` weighs; they sum to 1."""
    weights = np.full(horizon, running_weight)
    weights[-1] = 1.0
    return weights / weights.sum()


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
        root_mean_square = np.sqrt(np.mean(self._difference(imagined) ** 2, axis=-1, dtype=np.float64))
        return mean_over_steps(root_mean_square, self._running_weight)

    def slopes(self, imagined: Imagined) -> Slopes:
        """Towards the goal's latent, of the same length at every distance; raises CostError as the cost does."""
        slopes = Slopes.none(imagined)
        difference = self._difference(imagined)
        length = np.linalg.norm(difference, axis=-1, keepdims=True) * np.sqrt(difference.shape[-1])
        weights = step_weights(difference.shape[1], self._running_weight)[:, None]
        slopes.image_latents[...] = weights * over(difference, length)
        return slopes

    @staticmethod
    def _difference(imagined: Imagined) -> Array:
        if imagined.goal.image_latent is None:
            raise CostError("latent_distance needs a goal picture; a pose goal has none")
        return imagined.outcomes.image_latents - imagined.goal.image_latent


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
        """A goal that says where the hand is to be, or shows it in a picture."""
        return goal.tool_position is not None

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), m.

        Raises:
            CostError: the goal does not say where the hand is to be.
        """
        difference = self._difference(imagined)
        slack_m = self._slack_m(imagined.goal)
        beyond_m = np.maximum(np.linalg.norm(difference, axis=-1) - slack_m, 0.0)
        return mean_over_steps(beyond_m, self._running_weight)

    def slopes(self, imagined: Imagined) -> Slopes:
        """Towards the goal, as long at every distance; none within the slack; raises CostError as the cost does."""
        slopes = Slopes.none(imagined)
        difference = self._difference(imagined)
        length = np.linalg.norm(difference, axis=-1, keepdims=True)
        slack_m = self._slack_m(imagined.goal)
        weights = step_weights(difference.shape[1], self._running_weight)[:, None]
        slopes.proprio[..., TOOL_POSITION] = np.where(length > slack_m, weights * over(difference, length), 0.0)
        return slopes

    @staticmethod
    def _difference(imagined: Imagined) -> Array:
        if imagined.goal.tool_position is None:
            raise CostError("tool_distance needs a goal that says where the hand is to be")
        return imagined.outcomes.proprio[..., TOOL_POSITION] - imagined.goal.tool_position

    def _slack_m(self, goal: Goal) -> float:
        return 0.0 if goal.image_latent is None else self._decoded_slack_m


def over(values: Array, length: Array) -> Array:
    """Quotient, and zero where there is no length."""
    return np.divide(values, length, out=np.zeros_like(values), where=length > 0)
