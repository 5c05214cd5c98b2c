"""When a goal is reached, and what then: on to the next one on the way, and at the last one to stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ami_robot.actor.imagination import Imagination, Query
from ami_robot.actor.planner import Planner, unusable
from ami_robot.types import TOOL_POSITION, Belief, Goal, Plan, Refusal

if TYPE_CHECKING:  # torch stays out of processes that have nothing learned
    from ami_robot.perception.block_head import BlockHead


@dataclass(frozen=True)
class ArrivalSettings:
    """How near is there.

    A hand that is to be somewhere is judged by the measured joints, a picture by pictures alone: by where the block is
    in both, if a head says that and `block_distance_m` is not 0, else by their latents. A block that is to be
    somewhere is looked for in the picture.
    """

    latent_distance: float  # root mean square, between the belief's image latent and the goal's
    tool_distance_m: float
    leave_factor: float  # times these distances, beyond which it is no longer there, once it was
    most_steps: int  # towards each goal on the way; after so many plans the next one is pursued anyhow
    block_distance_m: float = 0.0  # of the block from where it is to be; 0: it is not looked at

    def __post_init__(self) -> None:
        if self.latent_distance < 0 or self.tool_distance_m < 0 or self.leave_factor < 1 or self.most_steps < 1:
            raise ValueError("arrival needs distances >= 0, leave_factor >= 1 and most_steps >= 1")


class Arrival:
    """Lets a planner pursue a goal's way one after the other, and holds where the last is reached.

    Holding goes through the guardrails as every plan does. Implements `Planner`.
    """

    def __init__(
        self,
        settings: ArrivalSettings,
        planner: Planner,
        imagination: Imagination,
        block_head: BlockHead | None = None,
    ) -> None:
        """Put together from its parts; `block_head` says where the block is, if one does."""
        self.settings = settings
        self._block_head = block_head if settings.block_distance_m > 0 else None
        self.planner = planner
        self._imagination = imagination
        self._at, self._steps, self._there = 0, 0, False

    @property
    def looks_at_block(self) -> bool:
        """Whether where the block is has part in what is near."""
        return self._block_head is not None

    @property
    def passed(self) -> int:
        """How many goals on the way are behind."""
        return self._at

    def reset(self) -> None:
        """Begin the way again."""
        self._at, self._steps, self._there = 0, 0, False
        self.planner.reset()

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """Towards the goal whose turn it is, or to hold.

        Raises:
            CostError: no cost term can judge the goal.
        """
        if refusal := unusable(belief, goal):
            return refusal
        while self._at < len(goal.way) and (
            self._near(belief, goal.way[self._at]) or self._steps >= self.settings.most_steps
        ):
            self._at, self._steps = self._at + 1, 0
        self._steps += 1
        if self._at < len(goal.way):
            return self.planner.plan(belief, goal.way[self._at], deadline_s)
        self._there = self._near(belief, goal, self.settings.leave_factor if self._there else 1.0)
        if not self._there:
            return self.planner.plan(belief, goal, deadline_s)
        cost = self._imagination.cost.for_goal(goal)
        return self._imagination.hold(Query(belief, goal, cost, limit_m=0.0))

    def _near(self, belief: Belief, goal: Goal, factor: float = 1.0) -> bool:
        """Whether everything that can be judged is near; where nothing can, it is not."""
        settings = self.settings
        judged: list[bool] = []
        if self._block_head is not None and goal.block_position is not None:
            found = self._block_head.decode(belief.image_latent)
            judged.append(bool(np.linalg.norm(found - goal.block_position) <= factor * settings.block_distance_m))
        if goal.image_latent is None and goal.tool_position is not None:
            off_m = np.linalg.norm(goal.tool_position - belief.proprio[TOOL_POSITION])
            judged.append(bool(off_m <= factor * settings.tool_distance_m))
        if goal.image_latent is not None and not judged:
            difference = np.asarray(belief.image_latent, np.float64) - goal.image_latent
            judged.append(bool(np.sqrt(np.mean(difference**2)) <= factor * settings.latent_distance))
        return bool(judged) and all(judged)
