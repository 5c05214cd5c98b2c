"""The filter and last gate: every command passes here, or nothing moves.

A proposal becomes motion only as a whole trajectory that ends at rest and was checked from its first to its last
instant. So a refused proposal leaves the running motion alone, and a guardrail that dies leaves an arm that stops.
The library has no clock: `stamp_ns` and `now_ns` come from the caller, on one clock. Not thread-safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ami_robot.safety.checks import (
    NS_PER_S,
    check_age,
    check_measured,
    check_proposal,
    in_spec_order,
    is_stamp,
    read_joint_state,
)
from ami_robot.safety.gate import check_motion, table_margin, workspace_margin
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import (
    MOVE_DURATIONS_S,
    ROUNDING,
    Spline,
    bounds,
    brake,
    limit_margins,
    move_to_rest,
    quintic,
)
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, GuardrailReport, JointState, JointTrajectory, Proposal, Refusal

_UNKNOWN = float("nan")


class Guardrail:
    """Turns proposals of the selected source into checked motions; brakes and disarms when the arm is not known.

    Call `step` on every joint state message, `silence` when they stop. Each returns a report; its `sent` has to be
    published at once. The commanded state is the guardrail's own record of what it sent, never the measured one.
    """

    def __init__(self, spec: Spec, kinematics: Kinematics):
        self._spec, self._kinematics = spec, kinematics
        self._armed = False
        self._motion: Spline | None = None  # last sent, or the rest at which it was armed
        self._motion_start_ns = self._rest_ns = 0  # when it began, when it ends
        self._target_joints, self._target_tool = np.full(7, np.nan), np.full(3, np.nan)
        self._gripper_width = spec.gripper.lower_m
        self._source: str | None = None
        self._pending: Proposal | None = None  # the newest of the selected source
        self._stray: Proposal | None = None  # the last that cannot win, kept to be refused by name
        self._last_proposal_sequence: int | None = None
        self._last_command_ns: int | None = None
        self._last_stamp_ns: int | None = None
        self._last_now_ns = 0
        self._sequence = 0  # of the last sent trajectory

    @property
    def armed(self) -> bool:
        """Whether proposals can become motion."""
        return self._armed

    def arm(self, measured: JointState, stamp_ns: int, now_ns: int) -> Refusal | None:
        """Take the measured state as the commanded one, or say why not: moving, stale, out of limits, already armed."""
        refusal = self._why_not_arm(measured, stamp_ns, now_ns)
        if refusal is not None:
            return refusal
        q, rest = np.array(measured.positions, dtype=np.float64), np.zeros(7)
        hold = JointTrajectory(self._spec.joint_names, np.array([0.1]), q[None], rest[None], rest[None])
        self._motion = Spline(JointState(q, rest, rest), hold)
        self._motion_start_ns = self._rest_ns = int(now_ns)
        self._target_joints, self._target_tool = q, self._kinematics.tool_position(q)
        self._pending = self._stray = None
        self._last_proposal_sequence = self._last_command_ns = None
        self._last_stamp_ns, self._last_now_ns = int(stamp_ns), int(now_ns)
        self._armed = True
        return None

    def disarm(self, now_ns: int) -> GuardrailReport:
        """Brake, and let nothing through until armed again. A status report when it was not armed."""
        if not self._armed:
            return self.status(now_ns)
        return self._brake(Refusal("Disarmed on request.", "arming", _UNKNOWN), now_ns)

    def select_source(self, name: str) -> None:
        """Listen to this source alone from now on; its sequence numbers may start anywhere. ValueError if empty."""
        if not isinstance(name, str) or not name:
            raise ValueError(f"a source is named by a text, got {name!r}.")
        self._source = name
        self._pending = None
        self._last_proposal_sequence = None

    def propose(self, proposal: Proposal) -> None:
        """Keep for the next step; the newest of the selected source wins, and nobody else can push it out."""
        waiting = self._pending
        if not self._is_selected(proposal) or (waiting is not None and proposal.sequence <= waiting.sequence):
            self._stray = proposal
        else:
            self._pending = proposal

    def step(self, names: Any, positions: Any, velocities: Any, stamp_ns: int, now_ns: int) -> GuardrailReport | None:
        """Check joint states (J,) in any order, then the newest proposal; None when there was nothing to decide.

        Joint states that are malformed, not finite, stale, from the future, out of order, beyond a limit or away from
        the commanded position brake and disarm. No input raises.
        """
        proposal = self._pending if self._pending is not None else self._stray
        self._pending = self._stray = None
        with np.errstate(over="ignore", invalid="ignore"):
            if self._armed:
                fault = self._joint_state_fault(names, positions, velocities, stamp_ns, now_ns)
                if fault is not None:
                    return self._brake(fault, now_ns)
                self._last_stamp_ns, self._last_now_ns = int(stamp_ns), int(now_ns)
            return None if proposal is None else self._decide(proposal, now_ns)

    def silence(self, now_ns: int) -> GuardrailReport | None:
        """No joint states came for too long: brake and disarm, once."""
        if not self._armed:
            return None
        limit_s = self._spec.staleness.joint_state_s
        return self._brake(Refusal(f"No joint states came for {limit_s} s.", "staleness", _UNKNOWN), now_ns)

    def status(self, now_ns: int) -> GuardrailReport:
        """The heartbeat: armed or not, and where the arm will come to rest; NaN before it was first armed."""
        return self._report("status", now_ns)

    def _why_not_arm(self, measured: JointState, stamp_ns: int, now_ns: int) -> Refusal | None:
        spec = self._spec
        if self._armed:
            return Refusal("The guardrail is armed already; disarm it first.", "arming", _UNKNOWN)
        state = read_joint_state(spec, spec.joint_names, measured.positions, measured.velocities)
        if isinstance(state, Refusal):
            return state
        stale = check_age(stamp_ns, now_ns, spec.staleness.joint_state_s, spec.staleness.future_s, "joint state")
        if stale is not None:
            return stale
        if self._motion_start_ns <= int(now_ns) < self._rest_ns:
            return Refusal("The last motion has not come to rest yet.", "arming", _UNKNOWN)
        margin = spec.arming.rest_velocity_rad_per_s - float(np.abs(state.velocities).max())
        if not margin >= 0.0:
            return Refusal("The arm moves; it can be armed only at rest.", "arming", margin)
        row = spec.joint_position
        lower, upper = row.command_lower_rad, row.command_upper_rad
        margin = float(np.minimum(state.positions - lower, upper - state.positions).min())
        if not margin >= 0.0:
            return Refusal("A joint is beyond its limits, or closer than the margin.", "joint_position", margin)
        margin = table_margin(spec, self._kinematics, state.positions)
        if not margin >= 0.0:
            return Refusal("The arm is closer to the table than the clearance.", "table", margin)
        return None

    def _joint_state_fault(
        self, names: Any, positions: Any, velocities: Any, stamp_ns: Any, now_ns: Any
    ) -> Refusal | None:
        spec = self._spec
        measured = read_joint_state(spec, names, positions, velocities)
        if isinstance(measured, Refusal):
            return measured
        stale = check_age(stamp_ns, now_ns, spec.staleness.joint_state_s, spec.staleness.future_s, "joint state")
        if stale is not None:
            return stale
        assert self._last_stamp_ns is not None and self._motion is not None, "armed without a record"
        if int(stamp_ns) < self._last_stamp_ns or int(now_ns) < self._last_now_ns:
            step_s = min(int(stamp_ns) - self._last_stamp_ns, int(now_ns) - self._last_now_ns) / NS_PER_S
            return Refusal(f"Time went back by {-step_s:.3f} s.", "staleness", step_s)
        beyond = check_measured(spec, measured)
        if beyond is not None:
            return beyond
        commanded = self._motion.sample(self._elapsed_s(int(stamp_ns))).positions
        error_rad = float(np.abs(measured.positions - commanded).max())
        margin = spec.tracking.max_error_rad - error_rad
        if not margin >= 0.0:
            return Refusal(f"The arm is {error_rad:.3f} rad away from where it was sent.", "tracking", margin)
        return None

    def _decide(self, proposal: Proposal, now_ns: Any) -> GuardrailReport:
        refusal = self._why_not_listen(proposal, now_ns)
        if refusal is not None:
            return self._report("refused", now_ns, proposal, refusal=refusal)
        now_ns = int(now_ns)
        if proposal.trajectory is not None:
            return self._decide_trajectory(proposal, in_spec_order(self._spec, proposal.trajectory), now_ns)
        tool = self._target_tool + np.asarray(proposal.tool_displacement, dtype=np.float64)
        refusal = self._outside(tool)
        if refusal is not None:
            return self._report("refused", now_ns, proposal, refusal=refusal)
        target, error_m = self._kinematics.inverse(tool)
        margin = self._spec.inverse_kinematics.max_error_m - float(error_m)
        if not margin >= 0.0:
            refusal = Refusal("No joint positions put the tool at its target.", "inverse_kinematics", margin)
            return self._report("refused", now_ns, proposal, refusal=refusal)
        start, also_from = self._commanded(now_ns)
        trajectory = move_to_rest(start, target, self._spec, also_from)
        change = self._why_stretched(start, target, trajectory)
        if trajectory is None:
            return self._report("refused", now_ns, proposal, refusal=change)
        return self._send(proposal, trajectory, tool, start, also_from, now_ns, change)

    def _decide_trajectory(self, proposal: Proposal, trajectory: JointTrajectory, now_ns: int) -> GuardrailReport:
        tool = self._kinematics.tool_position(trajectory.positions[-1])
        refusal = self._outside(tool)
        if refusal is not None:
            return self._report("refused", now_ns, proposal, refusal=refusal)
        start, also_from = self._commanded(now_ns)
        return self._send(proposal, trajectory, tool, start, also_from, now_ns, None)

    def _why_not_listen(self, proposal: Any, now_ns: Any) -> Refusal | None:
        if not isinstance(proposal, Proposal):
            return Refusal("What was proposed is not a Proposal.", "proposal", _UNKNOWN)
        if not self._armed:
            return Refusal("The guardrail is not armed.", "arming", _UNKNOWN)
        if not self._is_selected(proposal):
            reason = f"The source {proposal.source!r} is not the selected one, {self._source!r}, or has no sequence."
            return Refusal(reason, "source", _UNKNOWN)
        last = self._last_proposal_sequence
        if last is not None and not proposal.sequence > last:
            reason = f"The sequence number {proposal.sequence!r} is not greater than the last one, {last}."
            return Refusal(reason, "sequence", _UNKNOWN)
        self._last_proposal_sequence = int(proposal.sequence)
        malformed = check_proposal(self._spec, proposal, now_ns)
        if malformed is not None:
            return malformed
        if self._last_command_ns is not None:
            interval_s = (int(now_ns) - self._last_command_ns) / NS_PER_S
            margin = interval_s - self._spec.command_rate.min_interval_s
            if not margin >= 0.0:
                reason = f"The proposal comes {interval_s:.3f} s after the last command, too soon."
                return Refusal(reason, "command_rate", margin)
        return None

    def _is_selected(self, proposal: Any) -> bool:
        if not isinstance(proposal, Proposal) or not isinstance(proposal.source, str):
            return False
        return proposal.source == self._source and is_stamp(proposal.sequence)

    def _outside(self, tool: Array) -> Refusal | None:
        margin = float(workspace_margin(self._spec, tool))
        if margin >= -self._spec.tool_displacement.tolerance_m:
            return None
        where = ", ".join(f"{value:.3f}" for value in tool)
        return Refusal(f"The tool target ({where}) m is outside the workspace.", "workspace", margin)

    def _why_stretched(self, start: JointState, target: Array, trajectory: JointTrajectory | None) -> Refusal | None:
        """Which row would break in the shortest time; None when the motion takes no longer."""
        shortest_s = float(MOVE_DURATIONS_S[0])
        if trajectory is not None and trajectory.times_s[-1] <= shortest_s:
            return None
        rest = np.zeros(7)
        control = quintic(start, JointState(target, rest, rest), np.asarray(shortest_s))
        rows = {
            row: float(m.min()) for row, m in limit_margins(bounds(control, np.asarray(shortest_s)), self._spec).items()
        }
        broken = [row for row, margin in rows.items() if not margin >= -ROUNDING]
        row = broken[0] if broken else "transport"
        what = (
            f"No duration up to {MOVE_DURATIONS_S[-1]:.2f} s keeps"
            if trajectory is None
            else f"Stretched to {trajectory.times_s[-1]:.2f} s to keep"
        )
        return Refusal(f"{what} the row {row}.", row, rows.get(row, _UNKNOWN))

    def _send(
        self,
        proposal: Proposal,
        trajectory: JointTrajectory,
        tool: Array,
        start: JointState,
        also_from: tuple[JointState, ...],
        now_ns: int,
        change: Refusal | None,
    ) -> GuardrailReport:
        """Through the last gate, and onto the record."""
        verdict = check_motion(self._spec, self._kinematics, start, trajectory, also_from)
        if verdict.refusal is not None:
            return self._report("refused", now_ns, proposal, refusal=verdict.refusal)
        self._gripper_width = float(
            np.clip(proposal.gripper_width, self._spec.gripper.lower_m, self._spec.gripper.upper_m)
        )
        self._record(start, trajectory, tool, now_ns)
        self._last_command_ns = now_ns
        decision = "accepted" if change is None else "modified"
        return self._report(decision, now_ns, proposal, trajectory, change, verdict.margins)

    def _brake(self, reason: Refusal, now_ns: Any) -> GuardrailReport:
        """Disarm, and stop on the shortest checked motion; where there is none, the running one ends at rest anyway."""
        assert self._motion is not None, "armed without a record"
        self._armed = False
        at_ns = max(int(now_ns), self._last_now_ns) if is_stamp(now_ns) else self._last_now_ns
        start, also_from = self._commanded(at_ns)
        trajectory = brake(start, self._spec, also_from)
        verdict = check_motion(self._spec, self._kinematics, start, trajectory, also_from)
        sooner = trajectory.times_s[-1] * NS_PER_S < self._rest_ns - at_ns
        if verdict.refusal is not None or not sooner:
            return self._report("brake", at_ns, refusal=reason)
        self._record(start, trajectory, self._kinematics.tool_position(trajectory.positions[-1]), at_ns)
        return self._report("brake", at_ns, None, trajectory, reason, verdict.margins)

    def _elapsed_s(self, at_ns: int) -> float:
        return (at_ns - self._motion_start_ns) / NS_PER_S

    def _commanded(self, at_ns: int) -> tuple[JointState, tuple[JointState, ...]]:
        """What the controller should desire at this time, and as much earlier and later as transport varies."""
        assert self._motion is not None, "armed without a record"
        elapsed_s, jitter_s = self._elapsed_s(at_ns), self._spec.transport.jitter_s
        now, early, late = (self._motion.sample(elapsed_s + shift_s) for shift_s in (0.0, -jitter_s, jitter_s))
        return now, (early, late)

    def _record(self, start: JointState, trajectory: JointTrajectory, tool: Array, at_ns: int) -> None:
        self._motion, self._motion_start_ns = Spline(start, trajectory), at_ns
        self._rest_ns = at_ns + int(np.ceil(self._motion.duration_s * NS_PER_S))
        self._target_joints, self._target_tool = trajectory.positions[-1], tool
        self._sequence += 1

    def _report(
        self,
        decision: str,
        now_ns: Any,
        proposal: Any = None,
        sent: JointTrajectory | None = None,
        refusal: Refusal | None = None,
        margins: dict[str, float] | None = None,
    ) -> GuardrailReport:
        known = isinstance(proposal, Proposal)
        return GuardrailReport(
            stamp_ns=int(now_ns) if is_stamp(now_ns) else self._last_now_ns,
            decision=decision,
            armed=self._armed,
            source=str(proposal.source) if known else "",
            proposal_sequence=int(proposal.sequence) if known and is_stamp(proposal.sequence) else 0,
            observation_stamp_ns=(
                int(proposal.observation_stamp_ns) if known and is_stamp(proposal.observation_stamp_ns) else 0
            ),
            sequence=self._sequence if sent is not None else 0,
            sent=sent,
            target_joint_positions=self._target_joints.copy(),
            target_tool_position=self._target_tool.copy(),
            gripper_width=self._gripper_width,
            refusal=refusal,
            margins=margins or {},
            spec_sha256=self._spec.sha256,
        )
