"""The loop: see, remember, imagine what is already under way, choose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ami_robot.actor.arrival import Arrival
from ami_robot.actor.planner import PathMask, Planner
from ami_robot.cost.cost import CostError, WeightedSum
from ami_robot.episodes.goals import GoalError, ShownGoal
from ami_robot.memory.command_memory import CommandMemory
from ami_robot.safety.model_error import CALIBRATE, GUARDRAIL
from ami_robot.safety.monitor import Monitor
from ami_robot.safety.separation import check_people
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, Belief, Goal, Latent, People, Plan, Refusal
from ami_robot.world_model.protocol import WorldModel
from ami_robot.world_model.roll_forward import roll_forward


def image_goal(latent: Latent) -> Goal:
    """The goal that a picture shows: its latent, and the positions decoded from it."""
    return Goal(latent.tool_position, latent.image_latent, block_position=latent.block_position)


def in_turn(steps: Sequence[Goal]) -> Goal:
    """The last of these goals (one at least), the others on the way there."""
    return replace(steps[-1], way=tuple(steps[:-1]))


def shown_goal(shown: ShownGoal, encoder: Seeing) -> Goal:
    """The goal that a goal file holds, as this encoder sees it: the last of its steps, the others on the way.

    Raises GoalError for pictures of another view than the encoder's.
    """
    if not len(shown.pictures):
        return told_goal(shown)
    if shown.preprocessing_id != encoder.preprocessing_id:
        raise GoalError(wrong_view(shown.preprocessing_id, encoder.preprocessing_id))
    return in_turn([_seen(encoder.encode(picture), encoder) for picture in shown.pictures])


def told_goal(shown: ShownGoal) -> Goal:
    """The same for a goal of positions, which no encoder has to see."""
    tools, blocks = (
        list(positions) or [None] * len(shown) for positions in (shown.tool_positions, shown.block_positions)
    )
    return in_turn([Goal(tool, block_position=block) for tool, block in zip(tools, blocks, strict=True)])


def wrong_view(shown: str, taken: str) -> str:
    """What is said of pictures in one view, by its preprocessing id, for an encoder that takes another."""
    return f"the goal is shown in the view '{shown}', the encoder takes '{taken}'; make the goal again with that view"


def _seen(latent: Array, encoder: Seeing) -> Goal:
    block = encoder.decode_block_position(latent)
    tool_position = np.asarray(encoder.decode_tool_position(latent), np.float64)
    return Goal(tool_position, latent, block_position=None if block is None else np.asarray(block, np.float64))


class Seeing(Protocol):
    """What an encoder is to a goal."""

    preprocessing_id: str

    def decode_block_position(self, latent: Array) -> Array | None:
        """(D,) -> (3,), m in base_link; None from an encoder that does not say."""
        ...

    def encode(self, image: NDArray[np.uint8]) -> Array:
        """(64, 64, 3) uint8 rgb, the training view -> (D,)."""
        ...

    def decode_tool_position(self, latent: Array) -> Array:
        """(D,) -> (3,), m in base_link."""
        ...


class Agent:
    """Pursues one goal at a time. Give it every latent and every guardrail report, and call `act` once a model step."""

    def __init__(
        self,
        memory: CommandMemory,
        world_model: WorldModel,
        planner: Planner,
        cost: WeightedSum,
        spec: Spec,
        mask: PathMask,
        monitor: Monitor | Refusal | None = None,
    ) -> None:
        """Put together from its parts.

        Args:
            memory: of latents and commands.
            world_model: imagines the step that is under way.
            planner: searches, behind `mask`.
            cost: which goals can be judged.
            spec: the guardrail file.
            mask: what the planner's candidates go through; its margins widen by the model's error.
            monitor: watches a learned model's error; a refusal where that is unknown; None for a model that is not
                learned.
        """
        self.memory = memory
        self.planner = planner
        self.mask = mask
        self.monitor = monitor
        self.goal: Goal | None = None
        self._world_model = world_model
        self._cost = cost
        self._spec = spec
        self._people: People | None = None

    def pursue(self, goal: Goal) -> Refusal | None:
        """Take up a goal. The last stays where it is refused: outside the workspace, on a way that nobody goes, or
        with something in it that nothing measures.
        """
        if goal.way and not isinstance(self.planner, Arrival):
            reason = "the goal has others on the way to it; a task that goes through them has the section arrival"
            return Refusal(reason, "goal", float("nan"))
        for step in (*goal.way, goal):
            if refusal := self._outside(step) or self._unmeasured(step):
                return refusal
        if isinstance(self.monitor, Refusal):
            return self.monitor
        if self.monitor is not None:
            self.monitor.reset()
        self.goal = goal
        self.planner.reset()
        return None

    def on_latent(self, latent: Latent) -> Refusal | None:
        """What the encoder saw."""
        refusal = self.memory.on_latent(latent)
        if refusal is None and isinstance(self.monitor, Monitor):
            self.monitor.observe(latent, self.memory.held_tool_target)
        return refusal

    def on_report(
        self, target_joint_positions: Array, target_tool_position: Array, gripper_width: float, stamp_ns: int
    ) -> Refusal | None:
        """Where the guardrail says the arm will come to rest; shapes as in `CommandMemory.on_report`."""
        return self.memory.on_report(target_joint_positions, target_tool_position, gripper_width, stamp_ns)

    def on_people(self, people: People) -> None:
        """Who was seen near the arm; forgotten when it gets too old."""
        self._people = people

    def act(self, now_ns: int, deadline_s: float | None = None) -> Plan | Refusal:
        """A plan that begins one model step after the latest frame, when the command in flight has been carried out.

        The first of its actions is the one to propose.
        """
        started = time.perf_counter()
        if self.goal is None:
            return Refusal("there is no goal to pursue", "goal", float("nan"))
        recalled = self.memory.recall(now_ns)
        if isinstance(recalled, Refusal):
            return recalled
        belief, in_flight = recalled
        self.mask.people = None if check_people(self._spec, self._people, now_ns) else self._people
        future = roll_forward(self._world_model, belief, in_flight)
        if refusal := self._widen(belief, future):
            return refusal
        left_s = None if deadline_s is None else deadline_s - (time.perf_counter() - started)
        plan = self.planner.plan(future, self.goal, left_s)
        if isinstance(plan, Refusal) or not isinstance(self.monitor, Monitor):
            return plan
        sha256 = self.monitor.bound.checkpoint_sha256
        return replace(plan, model_error_bound_m=self.mask.widen_m, checkpoint_sha256=sha256)

    @property
    def goals_passed(self) -> int:
        """How many of the goals on the way to the last one are behind."""
        return self.planner.passed if isinstance(self.planner, Arrival) else 0

    def _outside(self, goal: Goal) -> Refusal | None:
        """Why the tool may not be where it is wanted; what is decoded from a picture may be a little off."""
        if goal.tool_position is None or goal.image_latent is not None:
            return None
        lower, upper = self._spec.workspace.lower_m, self._spec.workspace.upper_m
        margin_m = float(np.minimum(goal.tool_position - lower, upper - goal.tool_position).min())
        if margin_m >= 0:
            return None
        where = np.array2string(goal.tool_position, precision=3)
        reason = f"the goal {where} m is outside the tool's workspace, {list(lower)} to {list(upper)} m"
        return Refusal(reason, "workspace", margin_m)

    def _unmeasured(self, goal: Goal) -> Refusal | None:
        """Why it would never be known whether all that was asked for has come about."""
        parts = [goal]
        told_both = goal.image_latent is None and goal.tool_position is not None and goal.block_position is not None
        if told_both and not (isinstance(self.planner, Arrival) and self.planner.looks_at_block):
            parts = [replace(goal, block_position=None), replace(goal, tool_position=None)]
        for part in parts:
            try:
                self._cost.for_goal(part)
            except CostError as error:
                what = "block" if part.tool_position is None else "tool"
                said = f"says where the {what} is to be" if part.image_latent is None else "is a picture"
                return Refusal(f"the goal {said}, and {error}", "goal", float("nan"))
        return None

    def _widen(self, belief: Belief, future: Belief) -> Refusal | None:
        """Let the mask's margins widen by the model's error, or say why that error forbids to plan."""
        if self.monitor is None or isinstance(self.monitor, Refusal):
            return self.monitor
        seen, calibrated = self.memory.checkpoint_sha256, self.monitor.bound.checkpoint_sha256
        if seen != calibrated:
            reason = f"the model error is that of checkpoint {calibrated[:12]}, the latents come from {seen[:12]}"
            return Refusal(f"{reason}; run {CALIBRATE}", GUARDRAIL, float("nan"))
        self.monitor.expect(belief, future)
        if refusal := self.monitor.refusal():
            return refusal
        widen_m, most_m = self.monitor.widen_m, self._spec.model_error.max_bound_m
        if not widen_m <= most_m:
            reason = f"the world model may be off by {widen_m:.3f} m now; at most {most_m:g} m is planned with"
            return Refusal(reason, GUARDRAIL, most_m - widen_m)
        self.mask.widen_m = widen_m
        return None
