"""Slower where the agent sees what it was not trained on, and no further where that is too strange."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ami_robot.actor.planner import PathMask, Planner
from ami_robot.safety.model_error import GUARDRAIL as MODEL_ERROR
from ami_robot.types import Belief, Goal, Plan, Refusal

if TYPE_CHECKING:  # torch stays out of processes that have nothing learned
    from ami_robot.perception.novelty import Novelty


@dataclass(frozen=True)
class CautionSettings:
    """When to be careful. Quantiles are of the novelty of held-out training pictures."""

    checkpoint: str  # folder that `ami train-policy` filled, below ami_robot/checkpoints or a whole path
    slow_above_quantile: float
    slow_step_share: float  # of the longest step, then
    refuse_above: float  # times the level of `slow_above_quantile`
    max_spread: float = math.inf  # of a plan, as Outcomes.spread has it

    def __post_init__(self) -> None:
        if not 0 < self.slow_above_quantile < 1 or not 0 < self.slow_step_share <= 1 or not self.refuse_above >= 1:
            raise ValueError("caution needs 0 < slow_above_quantile < 1, 0 < slow_step_share <= 1, refuse_above >= 1")
        if not self.max_spread > 0:
            raise ValueError("max_spread must be positive")


class Caution:
    """Asks how new the latent is before it lets a planner plan. Implements `Planner`."""

    def __init__(self, settings: CautionSettings, planner: Planner, mask: PathMask, novelty: Novelty) -> None:
        self.planner = planner
        self._mask = mask
        self._novelty = novelty
        self._slow_above = novelty.level(settings.slow_above_quantile)
        self._refuse_above = settings.refuse_above * self._slow_above
        self._slow_step_share = settings.slow_step_share

    def reset(self) -> None:
        """Of the planner."""
        self.planner.reset()

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """The planner's answer, with shorter steps where the latent is new; a refusal where it is too new, or NaN."""
        novelty = self._novelty.score(belief.image_latent)
        if not novelty <= self._refuse_above:
            reason = f"what is seen has novelty {novelty:.2f}; at most {self._refuse_above:.2f} is planned from"
            return Refusal(reason, MODEL_ERROR, self._refuse_above - novelty)
        self._mask.step_share = self._slow_step_share if novelty > self._slow_above else 1.0
        answer = self.planner.plan(belief, goal, deadline_s)
        return answer if isinstance(answer, Refusal) else replace(answer, novelty=novelty)
