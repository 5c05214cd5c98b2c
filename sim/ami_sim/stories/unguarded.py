"""The control row of every story: the same proposals carried out with no guardrail in between.

A story that passes like this as well has shown nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, GuardrailReport, JointState, JointTrajectory, Proposal, Refusal

_SHORTEST_S = 0.4
_FARTHEST_M = 10.0  # beyond that a number is no place


class Unguarded:
    """Takes the place of a Guardrail; does at once what it is told, as far as that is a motion at all."""

    armed = True

    def __init__(self, spec: Spec, kinematics: Kinematics):
        self._spec, self._kinematics = spec, kinematics
        self._pending: Proposal | None = None
        self._joints: Array = np.zeros(7)
        self._tool: Array = np.zeros(3)
        self._sequence = 0

    def arm(self, measured: JointState, stamp_ns: int, now_ns: int) -> Refusal | None:
        """Take the measured state as the commanded one."""
        self._joints, self._tool = measured.positions, self._kinematics.tool_position(measured.positions)
        return None

    def select_source(self, name: str) -> None:
        """Everybody is listened to."""

    def people(self, people: Any) -> None:
        """Nobody is looked at."""

    def held_tool(self, held_tool: Any) -> None:
        """Nothing either."""

    def propose(self, proposal: Proposal) -> None:
        """The newest one wins."""
        self._pending = proposal

    def step(
        self, names: Any, positions: Any, velocities: Any, stamp_ns: int, now_ns: int, efforts: Any = None
    ) -> GuardrailReport | None:
        """Carry the last proposal out."""
        proposal, self._pending = self._pending, None
        if not isinstance(proposal, Proposal):
            return None
        trajectory = proposal.trajectory
        if trajectory is None:
            trajectory = self._towards(proposal.tool_displacement)
        if trajectory is None or not np.isfinite(trajectory.positions).all():
            return None
        self._joints = trajectory.positions[-1]
        self._tool = self._kinematics.tool_position(self._joints)
        return self._report(now_ns, trajectory, proposal.sequence)

    def status(self, now_ns: int) -> GuardrailReport:
        """Where the arm will come to rest."""
        return self._report(now_ns, None, 0)

    def _towards(self, displacement: Any) -> JointTrajectory | None:
        wanted = np.asarray(displacement, dtype=np.float64)
        if wanted.shape != (3,) or not np.abs(wanted).max() <= _FARTHEST_M:
            return None
        target, _ = self._kinematics.inverse(self._tool + wanted)
        rest = np.zeros(7)
        within = move_to_rest(JointState(self._joints, rest, rest), target, self._spec)
        times_s = np.array([_SHORTEST_S]) if within is None else within.times_s[-1:]
        return JointTrajectory(self._spec.joint_names, times_s, target[None], rest[None], rest[None])

    def _report(self, now_ns: int, sent: JointTrajectory | None, sequence: int) -> GuardrailReport:
        self._sequence += sent is not None
        return GuardrailReport(
            stamp_ns=now_ns,
            decision="status" if sent is None else "accepted",
            armed=True,
            source="story",
            proposal_sequence=sequence,
            observation_stamp_ns=now_ns,
            sequence=self._sequence if sent is not None else 0,
            sent=sent,
            target_joint_positions=np.array(self._joints),
            target_tool_position=np.array(self._tool),
            gripper_width=0.0,
            refusal=None,
        )
