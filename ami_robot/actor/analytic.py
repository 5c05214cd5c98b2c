"""The planner without a world model: straight on towards the goal's position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.actor.planner import PathMask, straight_steps, unusable
from ami_robot.types import GRIPPER_WIDTH, TOOL_TARGET, Belief, Goal, Plan, Refusal


@dataclass(frozen=True)
class StraightLineSettings:
    """Everything that can be set; the values are in the configurator's YAML."""

    horizon: int  # model steps
    gain: float  # share of the remaining way taken in one step
    max_step_m: float  # and the longest such step

    def __post_init__(self) -> None:
        if self.horizon < 1 or not 0 < self.gain <= 1 or not self.max_step_m > 0:
            raise ValueError("straight_line needs horizon >= 1, 0 < gain <= 1 and max_step_m > 0")


class StraightLine:
    """Proportional control of the tool target, with a cap on the step, behind the same guardrail mask as every planner.

    A control row for benchmarks (with the true goal, or one decoded from a picture), and a first thing to try.
    """

    def __init__(self, settings: StraightLineSettings, mask: PathMask) -> None:
        self.settings = settings
        self._mask = mask

    def reset(self) -> None:
        """Nothing is remembered from one plan to the next."""

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """The straight line, or the guardrail that it breaks. It takes no time to speak of, so no deadline matters."""
        if refusal := unusable(belief, goal):
            return refusal
        if goal.tool_position is None:
            return Refusal("a straight line needs a goal that says where the hand is to be", "goal", float("nan"))
        target, horizon = belief.proprio[TOOL_TARGET], self.settings.horizon
        limit_m = min(self.settings.max_step_m, self._mask.max_displacement_m)
        steps = straight_steps(goal.tool_position - target, limit_m, self.settings.gain, horizon)
        paths = self._mask.check(belief, steps[None])
        row, margin = str(paths.row[0]), float(paths.margin[0])
        if not paths.feasible[0]:
            reason = f"the straight line to the goal breaks guardrail {row} (normalised margin {margin:.3f})"
            return Refusal(reason, row, margin)
        way_points = target + np.cumsum(steps, axis=0)
        left_m = float(np.linalg.norm(goal.tool_position - way_points[-1]))
        return Plan(
            actions=np.concatenate([steps, np.full((horizon, 1), belief.proprio[GRIPPER_WIDTH])], axis=1),
            joint_path=paths.joint_paths[0],
            imagined_tool_path=way_points,
            cost=left_m,
            cost_terms={"tool_distance": left_m},
            candidates=1,
            masked=0,
            margin=margin,
            searched=False,
        )
