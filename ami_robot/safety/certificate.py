"""A second opinion on a recorded run: every command verified again from the guardrail's reports alone.

Each report is a certificate: what was sent, verbatim, and how close it comes to each row. `Verifier` reads reports in
order and rebuilds what the arm was told to do: it rests where it was armed, and each command begins where the one
before had got to. So a report that is altered, left out or moved breaks the chain or disagrees with its own margins.

Independent by construction: besides the guardrail file and the records of `types`, nothing is shared with what decided.
Kinematics and torques come from Pinocchio on Franka's own frames, distances from Coal, extremes from roots.

What a recording cannot show is taken from the report as it stands: whether source, frame, checkpoint, people and tool
are those that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.certificate_geometry import Arm
from ami_robot.safety.certificate_motion import Motion
from ami_robot.safety.certificate_people import people_margins, why_unknown
from ami_robot.safety.certificate_rows import ROUNDING, Margin, joint_margins, path_margins
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, GuardrailReport, JointState, JointTrajectory

COMMANDS = ("accepted", "modified", "brake")
SILENT = ("refused", "status")

GREATEST = 1e6
"""No joint, speed, length or time of an arm is greater, in its unit; beyond it sums lose what they are about."""

SAME_POSITION = 1e-9  # rad, m: the same number, through another sum
SAME_TOOL_M = 1e-6


@dataclass(frozen=True)
class Finding:
    """Why a report does not hold."""

    report: int  # its number in the recording, from 1
    sequence: int  # of the command; 0 for a report without one
    row: str  # of the guardrail file, or what else is wrong: certificate, chain, arming
    reason: str  # one sentence


class Verifier:
    """Give it every report of a recording, in order."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._arm = spec, Arm(spec)
        self._armed: bool | None = None  # None: nothing was heard yet
        self._motion: Motion | None = None  # what runs; None: unknown
        self._others: list[Motion] = []  # the same, had it begun early or late
        self._began_ns = self._stamp_ns = 0
        self._sequence: int | None = None  # of the last command; None: any may come next
        self._command_ns: int | None = None  # of the last proposal that moved the arm since arming
        self._tip: np.ndarray | None = None  # of the tool that the last accepted motion was checked with
        self._new = False  # the last report was of a guardrail that was never armed, after another one
        self.reports = self.commands = 0
        self.restarts = 0
        """How often another guardrail spoke, after the process of the one before had ended."""

        self.least: dict[str, tuple[float, int]] = {}
        """Row -> least margin seen, in the row's unit, and the command's sequence."""

    def verify(self, report: GuardrailReport) -> list[Finding]:
        """What is wrong with the next report; empty when it holds."""
        self.reports += 1
        found = [Finding(self.reports, report.sequence, *what) for what in self._wrong(report)]
        self._armed, self._stamp_ns = report.armed, max(self._stamp_ns, report.stamp_ns)
        return found

    def skip(self, reason: str) -> Finding:
        """The next report cannot be read: it does not hold, and what it sent is unknown from now on."""
        self.reports += 1
        self._motion = None
        return Finding(self.reports, 0, "certificate", reason)

    def _wrong(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        if report.spec_sha256 != self._spec.sha256:
            yield "certificate", f"It was decided by another guardrail file, {report.spec_sha256[:12] or 'unnamed'}."
        if report.stamp_ns < self._stamp_ns:
            back_s = (self._stamp_ns - report.stamp_ns) / NS_PER_S
            yield "certificate", f"Its stamp lies {back_s:.3f} s before that of the report before."
        if report.decision not in (*COMMANDS, *SILENT):
            yield "certificate", f"{report.decision!r} is no decision of the guardrail."
        if self._is_of_a_new_guardrail(report):
            self.restarts += not self._new
            self._armed, self._sequence, self._new = False, 0, True
            return
        self._new = False
        yield from self._wrong_arming(report)
        if report.sent is not None or report.sequence != 0:
            yield from self._wrong_command(report)
        yield from self._wrong_target(report)

    def _is_of_a_new_guardrail(self, report: GuardrailReport) -> bool:
        """Whether one speaks that was never armed, after one that was: that one's process had ended.

        Its last motion ends at rest by itself, and the new one may not be armed before that.
        """
        idle = report.decision in SILENT and not report.armed and report.sequence == 0 and report.sent is None
        return idle and self._motion is not None and bool(np.isnan(report.target_joint_positions).all())

    def _wrong_arming(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        """Arming begins a new chain: at rest where the report says."""
        if self._armed and not report.armed and report.decision != "brake":
            yield "arming", "The guardrail was disarmed without a brake."
        if self._armed or not report.armed:
            return
        if report.sent is not None:
            yield "arming", "It carries a command, and nothing says where the arm was when the guardrail was armed."
        if report.e_stopped:
            yield "e_stop", "The guardrail is armed although the e-stop is latched."
        if self._motion is not None and self._running_s(report) < self._motion.duration_s:
            yield "arming", "The guardrail was armed before the last motion had come to rest."
        if self._armed is None:
            self._sequence = 0  # armed when the recording begins: only a guardrail that sent nothing yet is known
        self._command_ns, self._motion, self._tip, self._others = None, None, None, []
        if _is_vector(report.target_joint_positions, len(self._spec.joint_names)):
            self._motion, self._began_ns = Motion.at_rest(report.target_joint_positions), report.stamp_ns
        else:
            yield "arming", "The guardrail was armed without saying where the arm rests."

    def _wrong_command(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        """A command: whether it may be there, follows the one before, and keeps every row."""
        sequence, expected = report.sequence, None if self._sequence is None else self._sequence + 1
        self._sequence, self.commands = sequence, self.commands + 1
        if expected is not None and sequence != expected:
            yield "certificate", f"Its sequence is {sequence}; {expected} had to follow: reports are missing or moved."
        if report.sent is None:
            yield "certificate", "It has the sequence of a command but carries none."
            return
        yield from self._wrong_occasion(report)
        motion = self._motion
        malformed = why_malformed(self._spec, report.sent) or why_unusable(report)
        if malformed is not None or motion is None:
            yield "chain", malformed or "Where the arm was told to be is unknown: nothing before it says so."
            self._motion = None
            return
        elapsed_s = self._running_s(report)
        if report.decision == "brake" and not report.sent.times_s[-1] < motion.duration_s - elapsed_s:
            yield "chain", "It brakes, but comes to rest no sooner than the motion that it replaces."
        corners = [Motion(state, report.sent) for state in self._elsewhere(motion, elapsed_s)]
        self._others = [Motion(motion.state(time_s), report.sent) for time_s in self._early_and_late(elapsed_s)]
        self._motion, self._began_ns = Motion(motion.state(elapsed_s), report.sent), report.stamp_ns
        yield from self._broken_rows(report, self._motion, corners)
        if report.decision != "brake":
            yield from self._wrong_goal(report, self._motion)

    def _early_and_late(self, elapsed_s: float) -> tuple[float, float]:
        jitter_s = self._spec.transport.jitter_s
        return elapsed_s - jitter_s, elapsed_s + jitter_s

    def _elsewhere(self, motion: Motion, elapsed_s: float) -> Iterator[JointState]:
        """Where the running motion may be early or late, and also if it had itself begun early or late."""
        for time_s in self._early_and_late(elapsed_s):
            may_be = self._others if self._others and time_s < motion.join_s else [motion]
            yield from (other.state(time_s) for other in may_be)

    def _wrong_occasion(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        """Whether a command may be sent at all, whatever it is."""
        if report.decision in SILENT:
            yield "certificate", f"It is a report of {report.decision!r} and carries a command all the same."
        if not self._armed:
            yield "arming", "It was sent while the guardrail was not armed."
        if report.decision == "brake":
            return
        if not report.armed:
            yield "arming", "It was sent by a report that says the guardrail is not armed."
        if report.e_stopped:
            yield "e_stop", "It was sent while the e-stop was latched."
        yield from self._wrong_proposal(report)

    def _wrong_proposal(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        """What the report says of the proposal that it follows."""
        yield from (("people", reason) for reason in why_unknown(self._spec, report))
        staleness, row = self._spec.staleness, self._spec.model_error
        age_s = (report.stamp_ns - report.observation_stamp_ns) / NS_PER_S
        self._see("staleness", min(staleness.frame_s - age_s, staleness.future_s + age_s), report)
        if not -staleness.future_s <= age_s <= staleness.frame_s:
            yield "staleness", f"The frame behind it was {age_s:.3f} s old; at most {staleness.frame_s} s are allowed."
        if self._command_ns is not None:
            interval_s, least_s = (report.stamp_ns - self._command_ns) / NS_PER_S, self._spec.command_rate
            self._see("command_rate", interval_s - least_s.min_interval_s, report)
            if not interval_s >= least_s.min_interval_s:
                yield "command_rate", f"It was sent {interval_s:.3f} s after the command before, too soon."
        self._command_ns = report.stamp_ns
        if report.checkpoint_sha256 and not 0.0 <= report.model_error_bound_m <= row.max_bound_m:
            bound_m = report.model_error_bound_m
            yield "model_error", f"Its model errs by {bound_m:.4f} m or more; at most {row.max_bound_m} m are allowed."

    def _broken_rows(
        self, report: GuardrailReport, motion: Motion, early_and_late: list[Motion]
    ) -> Iterator[tuple[str, str]]:
        """Rows that the motion breaks, also when it arrives early or late, and rows that its report misstates."""
        load_kg = report.held_tool.mass_kg if report.held_tool is not None else 0.0
        if report.decision != "brake":  # which keeps off what the motion before it kept off, with the same tool
            self._tip = _tip(report)
        paths = [(motion, motion.duration_s), *((other, other.join_s) for other in early_and_late)]
        margins = joint_margins(self._spec, motion) | path_margins(self._spec, self._arm, paths, load_kg, self._tip)
        if report.decision != "brake":
            margins |= people_margins(self._spec, self._arm, motion, report, early_and_late)
        for row, margin in margins.items():
            self._see(row, margin.least, report)
            if not margin.holds:
                yield row, f"Its motion breaks the row {row} by {-margin.least:.6f}."
        for other in early_and_late:
            for row, margin in joint_margins(self._spec, other, whole_limits=True).items():
                if not margin.holds:
                    jitter_s = self._spec.transport.jitter_s
                    yield row, f"Starting {jitter_s} s early or late it breaks the row {row} by {-margin.least:.6f}."
        gripper = self._spec.gripper
        self._see(
            "gripper", min(report.gripper_width - gripper.lower_m, gripper.upper_m - report.gripper_width), report
        )
        if not gripper.lower_m <= report.gripper_width <= gripper.upper_m:
            yield "gripper", f"The gripper width {report.gripper_width} m is out of range."
        # After a silence a brake is looked at from all that the arm may have done meanwhile, which no report tells.
        yield from _misstated(margins, report.margins, least=report.decision != "brake")

    def _wrong_goal(self, report: GuardrailReport, motion: Motion) -> Iterator[tuple[str, str]]:
        """Motions may bulge out of the workspace by the path's tolerance; where they end may not lie outside."""
        workspace, tool_m = self._spec.workspace, self._arm.tool_position(motion.end)
        inside_m = float(np.minimum(tool_m - workspace.lower_m, workspace.upper_m - tool_m).min())
        if not inside_m >= -self._spec.tool_displacement.tolerance_m - ROUNDING:
            yield "workspace", f"It brings the tool to rest {-inside_m:.6f} m outside of the workspace."

    def _wrong_target(self, report: GuardrailReport) -> Iterator[tuple[str, str]]:
        """Every report says where the arm will come to rest."""
        if self._motion is None:
            return
        if not _same(report.target_joint_positions, self._motion.end, SAME_POSITION):
            yield "chain", "The arm comes to rest elsewhere than the report says: commands are missing or altered."
        elif not _same(report.target_tool_position, self._arm.tool_position(self._motion.end), SAME_TOOL_M):
            yield "chain", "The tool comes to rest elsewhere than the report says."

    def _running_s(self, report: GuardrailReport) -> float:
        return (report.stamp_ns - self._began_ns) / NS_PER_S

    def _see(self, row: str, margin: float, report: GuardrailReport) -> None:
        if not margin >= self.least.get(row, (float("inf"), 0))[0]:
            self.least[row] = (margin, report.sequence)


def why_malformed(spec: Spec, trajectory: JointTrajectory) -> str | None:
    """One sentence, or None for finite control points of the right joints, in order, that end at rest."""
    times_s, count = np.asarray(trajectory.times_s), len(trajectory.times_s)
    states = [np.asarray(trajectory.positions), np.asarray(trajectory.velocities), np.asarray(trajectory.accelerations)]
    if tuple(trajectory.joint_names) != spec.joint_names:
        return "Its trajectory does not name the arm's joints in order."
    if not 1 <= count <= spec.trajectory.max_points or any(
        values.shape != (count, len(spec.joint_names)) for values in states
    ):
        return "Its trajectory has no or too many points, or points without position, velocity and acceleration."
    if not all((np.abs(values) <= GREATEST).all() for values in (times_s, *states)):
        return "Its trajectory has numbers that are not finite, or so large that nothing can be reckoned with them."
    if not (np.diff(times_s, prepend=0.0) > 0.0).all() or not times_s[-1] <= spec.trajectory.max_duration_s:
        return "Its trajectory's times do not increase, or it takes too long."
    if states[1][-1].any() or states[2][-1].any():
        return "Its trajectory does not end at rest."
    return None


def why_unusable(report: GuardrailReport) -> str | None:
    """One sentence, or None when gripper, held tool and people of a command are numbers to reckon with."""
    tool, persons = report.held_tool, report.people.persons if report.people is not None else ()
    lengths = [(report.gripper_width, -GREATEST)] + [(p.radius, 0.0) for p in persons]
    lengths += [(p.radius_error, 0.0) for p in persons] + ([(tool.mass_kg, 0.0)] if tool is not None else [])
    points = [p.end_a for p in persons] + [p.end_b for p in persons] + ([tool.tip] if tool is not None else [])
    if all(least <= value <= GREATEST for value, least in lengths) and all(_is_vector(point, 3) for point in points):
        return None
    return "Its gripper width, held tool or people are not numbers that anything can be reckoned with."


def _tip(report: GuardrailReport) -> np.ndarray | None:
    """Where the held tool ends, (3,), m, in the frame of the tool."""
    tool = report.held_tool
    return None if tool is None or tool.hazard == "none" else np.asarray(tool.tip, dtype=np.float64)


def _misstated(margins: dict[str, Margin], reported: dict[str, float], least: bool) -> Iterator[tuple[str, str]]:
    for row in sorted(margins.keys() | reported.keys()):
        if row not in margins:
            yield row, f"The report gives a margin for {row}, which cannot be verified."
        elif row not in reported:
            yield row, f"The report gives no margin for {row}."
        elif not margins[row].agrees(reported[row], least):
            yield (
                row,
                f"The report gives {row} a margin of {reported[row]:.6f}, it is {margins[row].greatest_claim:.6f}.",
            )


def _same(values: object, expected: np.ndarray, within: float) -> bool:
    return _is_vector(values, len(expected)) and bool((np.abs(np.asarray(values) - expected) <= within).all())


def _is_vector(values: object, length: int) -> bool:
    array = np.asarray(values)
    return array.shape == (length,) and bool((np.abs(array) <= GREATEST).all())
