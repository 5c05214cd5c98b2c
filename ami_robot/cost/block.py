"""How far the imagined block stays from where the goal wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ami_robot.cost.cost import CostError, Imagined, Slopes
from ami_robot.cost.distance import mean_over_steps, over, step_weights
from ami_robot.types import Array, Goal

if TYPE_CHECKING:  # torch stays out of processes that have nothing learned
    from ami_robot.perception.block_head import BlockHead


class BlockDistance:
    """Distance between the block that a head reads out of imagined latents and the goal's block, m."""

    name = "block_distance"
    measures_goal = True

    def __init__(self, running_weight: float, head: BlockHead) -> None:
        self._running_weight = running_weight
        self._head = head

    def applies_to(self, goal: Goal) -> bool:
        """Only a goal that says where the block is to be."""
        return goal.block_position is not None

    def __call__(self, imagined: Imagined) -> Array:
        """(N,), m.

        Raises:
            CostError: the goal does not say where the block is to be.
        """
        found = self._head.decode(imagined.outcomes.image_latents)
        lengths = np.linalg.norm(found - self._wanted(imagined.goal), axis=-1)
        return mean_over_steps(lengths, self._running_weight)

    def slopes(self, imagined: Imagined) -> Slopes:
        """By way of the head; raises CostError as the cost does."""
        slopes = Slopes.none(imagined)
        found, pull_back = self._head.differentiate(imagined.outcomes.image_latents)
        difference = found - self._wanted(imagined.goal)
        weights = step_weights(difference.shape[1], self._running_weight)[:, None]
        length = np.linalg.norm(difference, axis=-1, keepdims=True)
        slopes.image_latents[...] = pull_back(weights * over(difference, length))
        return slopes

    @staticmethod
    def _wanted(goal: Goal) -> Array:
        if goal.block_position is None:
            raise CostError("block_distance needs a goal that says where the block is to be")
        return goal.block_position
