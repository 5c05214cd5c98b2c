"""Decisions: every command passes here, or nothing moves.

A proposal becomes motion only as a whole trajectory that ends at rest and was checked from its first to its last
instant. So a refused proposal leaves the running motion alone, and a guardrail that dies leaves an arm that stops.
The library has no clock: `stamp_ns` and `now_ns` come from the caller, on one clock, and so does how long ago that was.
Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ami_robot.safety.checks import check_age, is_number, is_stamp, read_joint_state
from ami_robot.safety.choice import PASSING, Chooser
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import Verdict, check_motion
from ami_robot.safety.inbox import Inbox
from ami_robot.safety.joint_watch import JointWatch
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.last_gate import LastGate
from ami_robot.safety.motion import Spline, brake
from ami_robot.safety.people_watch import PeopleWatch
from ami_robot.safety.record import CommandRecord, standing
from ami_robot.safety.spec import Spec
from ami_robot.safety.switches import EStop, Sources
from ami_robot.types import NS_PER_S, Array, GuardrailReport, JointState, JointTrajectory, Proposal, Refusal

_UNKNOWN = float("nan")
_ON_REQUEST = Refusal("Disarmed on request.", "arming", _UNKNOWN)


class Guardrail:
    """Turns proposals of whoever may move the arm into checked motions; brakes when anything is not known.

    Call `step` on every joint state message, `silence` when they stop, `e_stop`, `deadman`, `people` and `held_tool` on
    what their topics say. What comes back is a report; its `sent` has to be published at once. Faults of the arm and
    the e-stop brake and disarm. People, the held tool and deadman switches brake in a protective stop: the guardrail
    stays armed, and the next proposal that holds moves the arm again.
    """

    def __init__(
        self, spec: Spec, kinematics: Kinematics, dynamics: Dynamics, late_s: Callable[[], float] = lambda: 0.0
    ):
        """`late_s` says how long ago the `now_ns` of the running call was right; where time stands still, 0."""
        self._spec, self._kinematics, self._dynamics = spec, kinematics, dynamics
        self._record, self._gate = CommandRecord(spec), LastGate(spec)
        self._e_stop, self._sources = EStop(spec), Sources(spec)
        self._joints = JointWatch(spec, dynamics)
        self._people = PeopleWatch(spec, kinematics, dynamics)
        self._inbox = Inbox(spec)
        self._chooser = Chooser(spec, kinematics, dynamics, self._people)
        self._late_s = late_s
        self._armed = False
        self._stopping: Refusal | None = None  # why a protective stop is wanted, until it began or the arm rests
        self._said: Refusal | None = None  # of which stop there was a report
        self._ending: Refusal | None = None  # why it will be disarmed, once a brake begins or the arm rests
        self._ends_ns = 0  # when it will rest in any case
        self._gripper_width = spec.gripper.lower_m

    @property
    def armed(self) -> bool:
        """Whether proposals can become motion."""
        return self._armed

    def arm(self, measured: JointState, stamp_ns: int, now_ns: int) -> Refusal | None:
        """Take the measured state as the commanded one, or say why not: moving, stale, out of limits, e-stopped."""
        with np.errstate(over="ignore", invalid="ignore"):
            refusal = self._why_not_arm(measured, stamp_ns, now_ns)
        if refusal is not None:
            return refusal
        q = np.array(measured.positions, dtype=np.float64)
        self._record.hold(q, self._kinematics.tool_position(q), int(now_ns))
        self._gate.hold(q, int(now_ns))
        self._inbox.clear()
        self._joints.start(stamp_ns, now_ns)
        self._armed, self._stopping, self._ending = True, None, None
        return None

    def disarm(self, now_ns: int, reason: Refusal = _ON_REQUEST) -> GuardrailReport:
        """Brake, and let nothing through until armed again. A status report when it was not armed.

        Where no brake holds at this moment it stays armed for that alone: the next steps try again until the arm rests.
        """
        return self._brake_and_disarm(reason, now_ns) if self._armed else self.status(now_ns)

    def select_source(self, name: str) -> None:
        """Listen to this source alone from now on; its sequence numbers may start anywhere.

        ValueError if it is empty, or while somebody holds a deadman switch.
        """
        self._sources.select(name)
        self._inbox.listen_to_another()

    def deadman(self, source: str, pressed: bool, now_ns: int) -> None:
        """What a deadman switch says. A held one moves the arm before all others; let go, the next step brakes."""
        before = self._sources.active
        self._sources.hear(source, pressed, now_ns)
        if self._sources.active != before:
            self._inbox.listen_to_another()

    def e_stop(self, pressed: bool, now_ns: int) -> GuardrailReport | None:
        """What the e-stop's line says. Pressed, it brakes at once, disarms and stays latched; None when it is released.

        A status report when the arm was disarmed already.
        """
        self._e_stop.hear(pressed, now_ns)
        refusal = self._e_stop.check(now_ns)
        if refusal is None or pressed is False:
            return None
        return self._brake_and_disarm(refusal, now_ns) if self._armed else self.status(now_ns)

    def reset_e_stop(self, now_ns: int) -> Refusal | None:
        """Unlatch deliberately, or say why not: still pressed, or the arm moves. It does not arm."""
        if self._armed or not is_stamp(now_ns) or self._record.moves(int(now_ns)):
            return Refusal("The e-stop is reset only while the arm is disarmed and at rest.", "e_stop", _UNKNOWN)
        return self._e_stop.reset(now_ns)

    def people(self, people: Any) -> None:
        """What is known about people near the arm, from now on."""
        self._people.hear_people(people)

    def held_tool(self, held_tool: Any) -> None:
        """What the gripper holds, from now on."""
        self._people.hear_held_tool(held_tool)

    def propose(self, proposal: Proposal) -> None:
        """Keep for the next step; the newest of the active source wins, and nobody else can push it out."""
        self._inbox.put(proposal, self._sources.active)

    def step(
        self, names: Any, positions: Any, velocities: Any, stamp_ns: int, now_ns: int, efforts: Any = None
    ) -> GuardrailReport | None:
        """Check joint states (J,) in any order, then people and switches, then the newest proposal.

        Positions rad, velocities rad/s, efforts N m or None. None when there was nothing to decide. No input raises.
        """
        proposal = self._inbox.take(now_ns)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self._armed:
                load_kg = self._people.load_kg(now_ns)
                fault = self._e_stop.check(now_ns) or self._joints.fault(
                    names, positions, velocities, efforts, stamp_ns, now_ns, self._record, load_kg
                )
                if (reason := fault or self._ending) is not None:
                    return self._end(reason, now_ns, proposal)
            self._let_go(now_ns)
            decided = None if proposal is None else self._decide(proposal, now_ns)
            if not self._armed or (decided is not None and decided.sent is not None):
                return decided
            return self._protective_stop(int(now_ns), proposal) or decided

    def silence(self, now_ns: int) -> GuardrailReport | None:
        """No joint states came for too long: brake and disarm. To be said again while the guardrail stays armed."""
        if not self._armed:
            return None
        limit_s = self._spec.staleness.joint_state_s
        return self._end(Refusal(f"No joint states came for {limit_s} s.", "staleness", _UNKNOWN), now_ns)

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
        refusal = self._e_stop.check(now_ns) or check_age(
            stamp_ns, now_ns, spec.staleness.joint_state_s, spec.staleness.future_s, "joint state"
        )
        if refusal is not None:
            return refusal
        if self._record.moves(int(now_ns)):
            return Refusal("The last motion has not come to rest yet.", "arming", _UNKNOWN)
        margin = spec.arming.rest_velocity_rad_per_s - float(np.abs(state.velocities).max())
        if not margin >= 0.0:
            return Refusal("The arm moves; it can be armed only at rest.", "arming", margin)
        load_kg = self._people.load_kg(now_ns)
        hold = standing(spec.joint_names, state.positions)
        return check_motion(spec, self._kinematics, self._dynamics, Spline(*hold), load_kg).refusal

    def _let_go(self, now_ns: Any) -> None:
        """Nobody moves the arm any more when a deadman switch was let go, and it stops."""
        refusal = self._sources.expire(now_ns)
        if refusal is not None:
            self._stopping = refusal
            self._inbox.listen_to_another()

    def _protective_stop(self, now_ns: int, proposal: Any) -> GuardrailReport | None:
        """Brake, armed, when somebody let go of a switch or people are too near; None when there is nothing new to say.

        A stop that no verified brake could begin is tried again at every step while the running motion goes on.
        """
        record = self._record
        if not record.moves(now_ns) or record.braking:
            self._stopping = None
            return None
        reason = self._stopping or self._people.why_stop(*record.running(now_ns), now_ns, record.tip)
        if reason is None:
            return None
        said, self._said = self._said is reason, reason
        report = self._brake(reason, now_ns, proposal)
        if report.sent is None:
            self._stopping = reason
        return None if said and report.sent is None else report

    def _decide(self, proposal: Any, now_ns: Any) -> GuardrailReport | None:
        """The report on it; None when it has to wait."""
        refusal = self._inbox.check(proposal, self._sources.active, self._armed, now_ns)
        choice = refusal or self._chooser.choose(proposal, self._record, int(now_ns))
        if isinstance(choice, Refusal):
            return self._put_back_or_refuse(proposal, choice, now_ns)
        now_ns = int(now_ns)
        barred = self._send(choice.trajectory, choice.motion, choice.tool, now_ns, braking=False)
        if barred is not None:
            return self._put_back_or_refuse(proposal, barred, now_ns)
        self._record.tip = choice.tip
        self._people.rely_on(choice.way_out)
        row = self._spec.gripper
        self._gripper_width = float(np.clip(proposal.gripper_width, row.lower_m, row.upper_m))
        self._inbox.commanded(now_ns)
        decision = "accepted" if choice.change is None else "modified"
        return self._report(decision, now_ns, proposal, choice.trajectory, choice.change, choice.margins)

    def _put_back_or_refuse(self, proposal: Any, refusal: Refusal, now_ns: Any) -> GuardrailReport | None:
        """None when it is looked at again a little later: what is in the way will pass."""
        late = refusal.guardrail == "transport"  # it may be decided in time when it is looked at again
        passes = late or (refusal.guardrail in PASSING and self._record.moves(int(now_ns)))
        if passes and self._inbox.put_back(proposal, int(now_ns)):
            return None
        return self._report("refused", now_ns, proposal, refusal=refusal)

    def _end(self, reason: Refusal, now_ns: Any, proposal: Any = None) -> GuardrailReport | None:
        """Brake and disarm; None while that is tried again and there is nothing new to say."""
        again = self._ending is not None
        report = self._brake_and_disarm(reason, now_ns, proposal)
        return None if again and report.armed and proposal is None else report

    def _brake_and_disarm(self, reason: Refusal, now_ns: Any, proposal: Any = None) -> GuardrailReport:
        """Disarmed when this returns, unless the arm moves and no brake holds now: then that is tried at each step.

        How long it moves on is counted from the last time that was believed: the clock itself may be the fault. Then it
        is later than that by as long as joint states may be missing. While a brake is tried again that time gets older
        still, so nothing may begin there; a clock that went back ends the trying.
        """
        believed_ns = self._joints.last_now_ns
        went_back = is_stamp(now_ns) and int(now_ns) < believed_ns
        known = is_stamp(now_ns) and not went_back
        at_ns = int(now_ns) if known else believed_ns
        self._armed, first = False, self._ending is None
        if first:
            self._ends_ns = at_ns + int(self._record.rests_in_s(believed_ns) * NS_PER_S)
        if first or known:
            report = self._brake(reason, at_ns, proposal, 0.0 if known else self._spec.staleness.joint_state_s)
        else:
            report = self._report("brake", at_ns, proposal, refusal=reason)
        self._armed = report.sent is None and not went_back and at_ns < self._ends_ns and not self._record.braking
        self._ending = reason if self._armed else None
        return replace(report, armed=self._armed)

    def _brake(self, reason: Refusal, at_ns: int, proposal: Any, ahead_s: float = 0.0) -> GuardrailReport:
        """Stop on a brake that holds; where there is none, the running motion ends at rest anyway.

        One that took too long to decide is decided once more, for the time that it is by then. `ahead_s`: it may be up
        to so much later than at_ns.
        """
        report, late = self._brake_at(at_ns, 0.0, ahead_s, reason, proposal)
        late_s = self._late_s()
        if late and 0.0 <= late_s <= self._spec.trajectory.max_duration_s:
            report, _ = self._brake_at(at_ns + int(late_s * NS_PER_S), late_s, ahead_s, reason, proposal)
        return report

    def _brake_at(
        self, at_ns: int, after_s: float, ahead_s: float, reason: Refusal, proposal: Any
    ) -> tuple[GuardrailReport, bool]:
        """The report, and whether a brake came too late. `after_s`: at_ns is so long after the caller's time."""
        late = False
        for trajectory, motion, margins in self._brakes(at_ns, ahead_s):
            if not motion.duration_s < self._record.rests_in_s(at_ns):
                continue
            tool = self._kinematics.tool_position(trajectory.positions[-1])
            barred = self._send(trajectory, motion, tool, at_ns, braking=True, after_s=after_s)
            if barred is None:
                self._people.rely_on(None)
                return self._report("brake", at_ns, proposal, trajectory, reason, margins), False
            late = late or barred.guardrail == "transport"
        return self._report("brake", at_ns, proposal, refusal=reason), late

    def _brakes(self, at_ns: int, ahead_s: float) -> Iterator[tuple[JointTrajectory, Spline, dict[str, float]]]:
        """Brakes that hold, with their margins: what was relied upon with somebody near, then the shortest one now.

        What was relied upon is sent whatever its margins from this very state; they are for the report. The tip of the
        tool counts as it did for the running motion: of another tool nothing was promised.
        """
        load_kg, tip = self._people.load_kg(at_ns), self._record.tip
        start = self._record.state(at_ns)
        also_from = self._record.strays(at_ns, self._joints.last_now_ns, ahead_s)

        def checked(trajectory: JointTrajectory) -> tuple[Spline, Verdict]:
            motion = Spline(start, trajectory, also_from)
            return motion, check_motion(self._spec, self._kinematics, self._dynamics, motion, load_kg, tip)

        way_out = self._people.way_out(at_ns)
        if way_out is not None:
            motion, verdict = checked(way_out.trajectory)
            yield way_out.trajectory, motion, verdict.margins
        trajectory = brake(start, self._spec, also_from)
        motion, verdict = checked(trajectory)
        if verdict.refusal is None:
            yield trajectory, motion, verdict.margins

    def _send(
        self, trajectory: JointTrajectory, motion: Spline, tool: Array, at_ns: int, braking: bool, after_s: float = 0.0
    ) -> Refusal | None:
        """Through the last gate and onto the record, or why not. `after_s`: see _brake_at."""
        late_s = self._late_s() - after_s
        barred = self._gate.release(trajectory, self._record.sequence + 1, motion.start, at_ns, late_s)
        if barred is None:
            self._record.sent(motion, tool, at_ns, braking)
            self._stopping = None
        return barred

    def _report(
        self,
        decision: str,
        now_ns: Any,
        proposal: Any = None,
        sent: JointTrajectory | None = None,
        refusal: Refusal | None = None,
        margins: dict[str, float] | None = None,
    ) -> GuardrailReport:
        known = proposal if isinstance(proposal, Proposal) else None
        stamp_ns = int(now_ns) if is_stamp(now_ns) else self._joints.last_now_ns
        return GuardrailReport(
            stamp_ns=stamp_ns,
            decision=decision,
            armed=self._armed,
            source=str(known.source) if known else "",
            proposal_sequence=int(known.sequence) if known and is_stamp(known.sequence) else 0,
            observation_stamp_ns=(
                int(known.observation_stamp_ns) if known and is_stamp(known.observation_stamp_ns) else 0
            ),
            sequence=self._record.sequence if sent is not None else 0,
            sent=sent,
            target_joint_positions=self._record.target_joints.copy(),
            target_tool_position=self._record.target_tool.copy(),
            gripper_width=self._gripper_width,
            refusal=refusal,
            margins=margins or {},
            spec_sha256=self._spec.sha256,
            model_error_bound_m=(
                float(known.model_error_bound_m) if known and is_number(known.model_error_bound_m) else _UNKNOWN
            ),
            checkpoint_sha256=str(known.checkpoint_sha256) if known else "",
            people=self._people.known_people(stamp_ns),
            held_tool=self._people.known_tool(stamp_ns),
            e_stopped=self._e_stop.latched,
        )
