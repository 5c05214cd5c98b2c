"""Weaker protections, to compare with: what a clamp, plain rows, and the filter alone let happen. Never for use.

    clamp   motions are stretched until the joint limits hold; nothing is known of geometry
    rows    a quadratic programme with the distances at the present pose alone (a CBF-QP with gamma = 1 for one command)
    filter  the guardrail's filter, whose rows know where the motion ends and how it brakes, and no check after it

All of them are asked only what is well-formed and, but for the clamp, ends in the workspace, as the guardrail is.
"""

from __future__ import annotations

import daqp
import numpy as np

from ami_robot.safety.checks import check_proposal
from ami_robot.safety.distances import distance_rows
from ami_robot.safety.filter import nearest_target
from ami_robot.safety.gate import workspace_margin
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import MOVE_DURATIONS_S, Spline, move_to_rest
from ami_robot.safety.record import CommandRecord
from ami_robot.types import Array, JointState, JointTrajectory, Proposal, Refusal
from ami_sim.trials.trial import Trial

KINDS = ("clamp", "rows", "filter")
_SOLVED = 1


class Baseline:
    """One of KINDS. A motion that it does not find leaves the running one alone, which ends at rest, as all do."""

    def __init__(self, kind: str, trial: Trial, kinematics: Kinematics):
        if kind not in KINDS:
            raise ValueError(f"a baseline is one of {', '.join(KINDS)}, got {kind!r}.")
        self._kind, self._spec, self._kinematics = kind, trial.spec, kinematics
        self._record = CommandRecord(trial.spec)

    def begin(self, start: JointState, now_ns: int) -> bool:
        """Always."""
        self._record.hold(start.positions, self._kinematics.tool_position(start.positions), now_ns)
        return True

    def tool_target(self) -> Array:
        """Of the last motion."""
        return self._record.target_tool

    def hear(self, desired: JointState, now_ns: int) -> None:
        """Nothing is sent for a joint state."""

    def answer(self, proposal: Proposal, desired: JointState, now_ns: int) -> JointTrajectory | None:
        """A motion towards where the proposal, by a displacement or a trajectory's end, wants to be."""
        if check_proposal(self._spec, proposal, now_ns) is not None:
            return None
        tool = self._record.target_tool
        if proposal.trajectory is not None:
            order = [proposal.trajectory.joint_names.index(name) for name in self._spec.joint_names]
            goal = proposal.trajectory.positions[-1][order]
        else:
            goal, _ = self._kinematics.inverse(tool + np.asarray(proposal.tool_displacement))
        tool = self._kinematics.tool_position(goal)
        if self._kind != "clamp" and not workspace_margin(self._spec, tool) >= -1e-6:
            return None
        start = self._record.state(now_ns)
        target = self._target(start, goal)
        trajectory = None if target is None else move_to_rest(start, target, self._spec)
        if trajectory is not None:
            reached = self._kinematics.tool_position(trajectory.positions[-1])
            self._record.sent(Spline(start, trajectory), reached, now_ns, braking=False)
        return trajectory

    def _target(self, start: JointState, goal: Array) -> Array | None:
        if self._kind == "clamp":
            return goal
        if self._kind == "rows":
            return self._by_present_rows(start, goal)
        shortest = move_to_rest(start, goal, self._spec)
        duration_s = float(MOVE_DURATIONS_S[-1] if shortest is None else shortest.times_s[-1])
        filtered = nearest_target(self._spec, self._kinematics, start, goal, duration_s)
        return None if isinstance(filtered, Refusal) else filtered.joint_positions

    def _by_present_rows(self, start: JointState, goal: Array) -> Array | None:
        _, centers, twists = self._kinematics.points_and_twists(start.positions)
        gradients, slack, _ = distance_rows(self._spec, centers, self._kinematics.sphere_radii, twists)
        row, wanted = self._spec.joint_position, goal - start.positions
        least = np.concatenate([row.command_lower_rad - start.positions, -np.maximum(slack, 0.0)])
        most = np.concatenate([row.command_upper_rad - start.positions, np.full(len(slack), np.inf)])
        x, _, flag, _ = daqp.solve(np.eye(7), -wanted, gradients, most, least)
        return start.positions + x if flag == _SOLVED else None
