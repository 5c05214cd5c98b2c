"""The loop: see, remember, imagine what is already under way, choose."""

from __future__ import annotations

import time

import numpy as np

from ami_robot.actor.planner import Planner
from ami_robot.memory.command_memory import CommandMemory
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, Goal, Latent, Plan, Refusal
from ami_robot.world_model.protocol import WorldModel
from ami_robot.world_model.roll_forward import roll_forward


def image_goal(latent: Latent) -> Goal:
    """The goal that a picture shows: its latent, and the tool position decoded from it."""
    return Goal(tool_position=latent.tool_position, image_latent=latent.image_latent)


class Agent:
    """Pursues one goal at a time. Give it every latent and every guardrail report, and call `act` once a model step."""

    def __init__(self, memory: CommandMemory, world_model: WorldModel, planner: Planner, spec: Spec) -> None:
        self.memory = memory
        self.planner = planner
        self.goal: Goal | None = None
        self._world_model = world_model
        self._spec = spec

    def pursue(self, goal: Goal) -> Refusal | None:
        """Take up a goal; one that lies outside the workspace is refused and the last goal stays."""
        lower, upper = self._spec.workspace.lower_m, self._spec.workspace.upper_m
        margin_m = float(np.minimum(goal.tool_position - lower, upper - goal.tool_position).min())
        if goal.image_latent is None and not margin_m >= 0:  # what is decoded from a picture may be a little off
            where = np.array2string(goal.tool_position, precision=3)
            reason = f"the goal {where} m is outside the tool's workspace, {list(lower)} to {list(upper)} m"
            return Refusal(reason, "workspace", margin_m)
        self.goal = goal
        self.planner.reset()
        return None

    def on_latent(self, latent: Latent) -> Refusal | None:
        """What the encoder saw."""
        return self.memory.on_latent(latent)

    def on_report(
        self, target_joint_positions: Array, target_tool_position: Array, gripper_width: float, stamp_ns: int
    ) -> Refusal | None:
        """Where the guardrail says the arm will come to rest; shapes as in `CommandMemory.on_report`."""
        return self.memory.on_report(target_joint_positions, target_tool_position, gripper_width, stamp_ns)

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
        future = roll_forward(self._world_model, belief, in_flight)
        left_s = None if deadline_s is None else deadline_s - (time.perf_counter() - started)
        return self.planner.plan(future, self.goal, left_s)
