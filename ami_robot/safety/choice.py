"""Which motion answers a proposal: the nominal one, a slower one, or the nearest one that keeps every guardrail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ami_robot.safety.checks import in_spec_order
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.filter import LINEARISATION_M, nearest_target
from ami_robot.safety.gate import check_motion, workspace_margin
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import (
    MOVE_DURATIONS_S,
    ROUNDING,
    Spline,
    Strays,
    bounds,
    limit_margins,
    move_to_rest,
    quintic,
)
from ami_robot.safety.people_watch import PeopleWatch
from ami_robot.safety.record import CommandRecord
from ami_robot.safety.spec import Spec
from ami_robot.safety.way_out import WayOut, verify
from ami_robot.types import Array, JointState, JointTrajectory, Proposal, Refusal

PASSING = ("joint_velocity", "joint_acceleration", "joint_jerk", "transport", "command_rate")
"""Rows that break while the arm is fast, soon after a command, or late: they may hold a moment later."""

_UNKNOWN = float("nan")
_NOT_FOR_THE_FILTER = ("people", "power_and_force", "tool_hazard")  # nearer targets do not help here
_DISTANCES = ("table", "arm_space", "obstacles", "self_collision")
_TRIES = 2  # of the filter, the second one further away by what the gate found missing between the filter's poses
_FURTHER_M = 5e-4  # and by this much
_SLOWER = 1.01  # at least by this much at a time
_SLOWINGS = 4  # at most, each tried in full: a decision may not take for ever


@dataclass(frozen=True)
class Choice:
    """A motion that keeps every guardrail."""

    trajectory: JointTrajectory
    motion: Spline  # that it makes from where the arm is told to be
    tool: Array  # (3,), m: where the tool comes to rest
    margins: dict[str, float]
    tip: Array | None = None  # (3,), m, of the held tool, in the frame of `tool`
    way_out: WayOut | None = None  # where somebody could be there before the motion ends
    change: Refusal | None = None  # what the proposal, taken literally, would have broken


@dataclass(frozen=True, eq=False)
class _Begin:
    """Where a motion would begin, now."""

    start: JointState  # (7,) each
    also_from: Strays
    now_ns: int

    def to_rest(self, target: Array, spec: Spec, at_least_s: float = 0.0) -> JointTrajectory | None:
        """`move_to_rest` from here."""
        return move_to_rest(self.start, target, spec, self.also_from, at_least_s)


class Chooser:
    """Answers proposals that are well-formed and come from whom they should."""

    def __init__(self, spec: Spec, kinematics: Kinematics, dynamics: Dynamics, people: PeopleWatch):
        self._spec, self._kinematics, self._dynamics, self._people = spec, kinematics, dynamics, people

    def choose(self, proposal: Proposal, record: CommandRecord, now_ns: int) -> Choice | Refusal:
        """The motion for a proposal, from where the arm is told to be now; or why there is none."""
        begin = _Begin(record.state(now_ns), record.strays(now_ns, now_ns), now_ns)
        if proposal.trajectory is not None:
            trajectory = in_spec_order(self._spec, proposal.trajectory)
            tool = self._kinematics.tool_position(trajectory.positions[-1])
            return self._outside(tool) or self._verified(trajectory, tool, begin)[0]
        displacement = np.asarray(proposal.tool_displacement, dtype=np.float64)
        tool = record.target_tool + displacement
        target = self._posture(tool)
        if isinstance(target, Refusal):
            return target
        shortest = begin.to_rest(target, self._spec)
        nominal = self._to(target, tool, shortest, begin)
        if isinstance(nominal, Choice) or nominal.guardrail in _NOT_FOR_THE_FILTER:
            return nominal
        if nominal.guardrail in PASSING and record.moves(now_ns):
            return nominal
        duration_s = float(MOVE_DURATIONS_S[-1] if shortest is None else shortest.times_s[-1])
        nearest = self._nearest(target, duration_s, nominal, begin)
        if nearest is not None:
            return nearest
        tool = record.target_tool + displacement / 2.0
        target = self._posture(tool)
        if isinstance(target, Refusal):
            return nominal
        half = self._to(target, tool, begin.to_rest(target, self._spec), begin)
        return nominal if isinstance(half, Refusal) else replace(half, change=_changed("Half the way", nominal))

    def _posture(self, tool: Array) -> Array | Refusal:
        """Joint positions (7,) that put the tool there, if it may be there."""
        refusal = self._outside(tool)
        if refusal is not None:
            return refusal
        target, error_m = self._kinematics.inverse(tool)
        margin = self._spec.inverse_kinematics.max_error_m - float(error_m)
        if not margin >= 0.0:
            return Refusal("No joint positions put the tool at its target.", "inverse_kinematics", margin)
        return target

    def _outside(self, tool: Array) -> Refusal | None:
        margin = float(workspace_margin(self._spec, tool))
        if margin >= -self._spec.tool_displacement.tolerance_m:
            return None
        where = ", ".join(f"{value:.3f}" for value in tool)
        return Refusal(f"The tool target ({where}) m is outside the workspace.", "workspace", margin)

    def _to(self, target: Array, tool: Array, trajectory: JointTrajectory | None, begin: _Begin) -> Choice | Refusal:
        """This motion to the target, or a slower one if the caps on speed want that, when it keeps all the rest."""
        slowed: Refusal | None = None
        for slowings_left in range(_SLOWINGS, -1, -1):
            if trajectory is None:
                break
            choice, slower_by = self._verified(trajectory, tool, begin)
            if isinstance(choice, Choice):
                return replace(choice, change=slowed or self._why_stretched(begin.start, target, trajectory))
            slower_by = max(slower_by, self._too_fast_by(choice))
            if not (slower_by > 1.0 and slowings_left):
                return choice
            slowed, at_least_s = choice, float(trajectory.times_s[-1]) * max(slower_by, _SLOWER)
            trajectory = begin.to_rest(target, self._spec, at_least_s)
        return slowed or self._why_stretched(begin.start, target, None)  # type: ignore[return-value]

    def _nearest(self, target: Array, duration_s: float, broken: Refusal, begin: _Begin) -> Choice | None:
        """The motion to the nearest target that the filter finds for this duration, if it holds."""
        keep_m = LINEARISATION_M
        for _ in range(_TRIES):
            filtered = nearest_target(self._spec, self._kinematics, begin.start, target, duration_s, keep_m)
            if isinstance(filtered, Refusal):
                return None
            tool = self._kinematics.tool_position(filtered.joint_positions)
            if self._outside(tool) is not None:
                return None
            trajectory = begin.to_rest(filtered.joint_positions, self._spec, duration_s)
            choice = self._to(filtered.joint_positions, tool, trajectory, begin)
            if isinstance(choice, Choice):
                missed_m = float(np.linalg.norm(tool - self._kinematics.tool_position(target)))
                return replace(choice, change=_changed(f"Bent by {missed_m:.4f} m", broken))
            if choice.guardrail not in _DISTANCES:
                return None
            keep_m += _FURTHER_M - choice.margin
        return None

    def _verified(self, trajectory: JointTrajectory, tool: Array, begin: _Begin) -> tuple[Choice | Refusal, float]:
        """The choice of this trajectory if it keeps every guardrail; and how much slower it would have to be."""
        motion = Spline(begin.start, trajectory, begin.also_from)
        near = self._people.check(motion, begin.now_ns)
        if near.refusal is not None:
            return near.refusal, near.slower_by
        parts = self._spec, self._kinematics, self._dynamics
        load_kg, tip = self._people.load_kg(begin.now_ns), self._people.tip(begin.now_ns)
        verdict = check_motion(*parts, motion, load_kg, tip)
        if verdict.refusal is not None:
            return verdict.refusal, 1.0
        choice = Choice(trajectory, motion, tool, verdict.margins | near.margins, tip)
        if near.stop is None:
            return choice, 1.0
        way_out = verify(*parts, near.stop, load_kg, tip, begin.now_ns)
        return (way_out if isinstance(way_out, Refusal) else replace(choice, way_out=way_out)), 1.0

    def _too_fast_by(self, broken: Refusal) -> float:
        """How many times too fast the arm would come down to the table; 1 where another row is broken."""
        allowed = self._spec.contact.approach_speed_m_per_s
        return 1.0 - broken.margin / allowed if broken.guardrail == "contact" else 1.0

    def _why_stretched(self, start: JointState, target: Array, trajectory: JointTrajectory | None) -> Refusal | None:
        """Which row would break in the shortest time; None when the motion takes no longer."""
        shortest_s = float(MOVE_DURATIONS_S[0])
        if trajectory is not None and trajectory.times_s[-1] <= shortest_s:
            return None
        rest = np.zeros_like(target)
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


def _changed(how: str, broken: Refusal) -> Refusal:
    return Refusal(f"{how} to keep the row {broken.guardrail}.", broken.guardrail, broken.margin)
