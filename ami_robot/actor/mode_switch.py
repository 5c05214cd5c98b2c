"""Mode 1 or mode 2: whether the policy answers, or a search."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ami_robot.actor.planner import Planner
from ami_robot.actor.policy import Answer, Policy
from ami_robot.types import Belief, Goal, Plan, Refusal

if TYPE_CHECKING:  # torch stays out of processes that have nothing learned
    from ami_robot.perception.novelty import Novelty


class ModeSwitch:
    """The policy answers where the situation is familiar and the world model agrees. Implements `Planner`.

    Both are measured: familiar is what `Novelty` says of the latent; agreed is that the policy's whole sequence passes
    the guardrails and that doing less of it, or nothing, is not imagined to cost less.
    """

    def __init__(self, policy: Policy, search: Planner, novelty: Novelty) -> None:
        self.policy = policy
        self.search = search
        self._novelty = novelty
        self._familiar_below = novelty.level(policy.settings.alone_below_quantile)

    def reset(self) -> None:
        """Of both."""
        self.policy.reset()
        self.search.reset()

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """The policy's plan, or that of the search, which has what is left of the time."""
        started = time.perf_counter()
        if self.policy.applies_to(goal) and self._novelty.score(belief.image_latent) < self._familiar_below:
            answer = self.policy.answer(belief, goal)
            if isinstance(answer, Answer) and answer.agreed:
                return answer.plan
        left_s = None if deadline_s is None else deadline_s - (time.perf_counter() - started)
        return self.search.plan(belief, goal, left_s)
