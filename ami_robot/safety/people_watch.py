"""People and the held tool, as far as they are known: may the arm go on like this, may it begin to move like that?

An arm that goes on for the reaction time and brakes then has to be at rest before anybody could be there. While
somebody is in reach, every part of it and the tip of its tool keep a speed cap, and a blade does not point at them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ami_robot.safety.gate import SAMPLE_S
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import ROUNDING, Spline, brake, excess
from ami_robot.safety.rows import ToolClass
from ami_robot.safety.separation import (
    check_held_tool,
    check_people,
    facing_margin,
    in_reach,
    separation_margin,
    speed_cap,
    tool_class,
)
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, HeldTool, People, Refusal

_DOWN_THE_HAND = np.array([0.0, 0.0, 1.0])  # where a tool points whose tip is not known, in the frame of `tool`


@dataclass(frozen=True)
class PeopleVerdict:
    """Margins of the rows that were looked at, the broken one, and by what factor a slower motion would keep it."""

    margins: dict[str, float]
    refusal: Refusal | None = None
    slower_by: float = 1.0  # 1 where slowing down does not help


@dataclass(frozen=True)
class _Sight:
    """What is known at one time: somebody is near, and the gripper holds this."""

    people: People
    tool: HeldTool | None
    tool_class: ToolClass | None
    now_ns: int


@dataclass(frozen=True)
class _Sweep:
    """Where the arm's spheres and the tool's tip are at times along a motion."""

    times_s: Array  # (T,), from now
    centers: Array  # (T, S + 1, 3), m; the last one is the tip
    directions: Array  # (T, 3) of the tip

    def part(self, samples: slice) -> _Sweep:
        """Some of the times."""
        return _Sweep(self.times_s[samples], self.centers[samples], self.directions[samples])


class PeopleWatch:
    """What was heard last about people and the held tool; nothing heard, or nothing usable, is not nobody."""

    def __init__(self, spec: Spec, kinematics: Kinematics):
        self._spec, self._kinematics = spec, kinematics
        self._moving = kinematics.sphere_links >= 2  # the base and link 1 stay where they are
        self._radii = np.append(kinematics.sphere_radii[self._moving], 0.0)
        self._asked = spec.people.source_of_people == "topic"
        self._people: People | None = None
        self._held_tool: HeldTool | None = None

    def hear_people(self, people: Any) -> None:
        """The newest message counts, however old its stamp: a person seen long ago may be anywhere near by now."""
        self._people = people if isinstance(people, People) else None

    def hear_held_tool(self, held_tool: Any) -> None:
        """The newest message counts."""
        self._held_tool = held_tool if isinstance(held_tool, HeldTool) else None

    def known_people(self, now_ns: int) -> People | None:
        """Whom decisions are taken on, None when nobody is asked or nothing usable was heard."""
        known = self._asked and check_people(self._spec, self._people, now_ns) is None
        return self._people if known else None

    def known_tool(self, now_ns: int) -> HeldTool | None:
        """The tool, None when nothing usable was heard of late."""
        return self._held_tool if check_held_tool(self._spec, self._held_tool, now_ns) is None else None

    def load_kg(self, now_ns: int) -> float:
        """Mass of the held tool, kg; 0 when it is not known."""
        tool = self.known_tool(now_ns)
        return 0.0 if tool is None else float(tool.mass_kg)

    def why_stop(self, motion: Spline, elapsed_s: float, now_ns: int) -> Refusal | None:
        """Why the arm may not go on with this motion, into which it is so far."""
        sight = self._look(now_ns)
        if not isinstance(sight, _Sight):
            return sight
        times_s, q, going = self._until_stopped(motion, elapsed_s)
        sweep = self._sweep(times_s, q, sight)
        margin = separation_margin(self._spec, sweep.centers, self._radii, sweep.times_s, sight.people, now_ns)
        if not margin >= 0.0:
            return Refusal("Somebody could be there before the arm has stopped.", "people", margin)
        return self._near(sweep.part(slice(None, going)), sight, between=False).refusal

    def check(self, motion: Spline, now_ns: int) -> PeopleVerdict:
        """Whether the arm may begin this motion now."""
        sight = self._look(now_ns)
        if not isinstance(sight, _Sight):
            return PeopleVerdict({}, sight)
        stop_s, stop_q, _ = self._until_stopped(motion, 0.0)
        times_s = _steps(motion.duration_s)
        both = self._sweep(  # at once, for the time it takes
            np.append(stop_s, times_s), np.concatenate([stop_q, motion.positions(times_s)]), sight
        )
        sweep, whole = both.part(slice(None, len(stop_s))), both.part(slice(len(stop_s), None))
        margin = separation_margin(self._spec, sweep.centers, self._radii, sweep.times_s, sight.people, now_ns)
        if not margin >= 0.0:
            refusal = Refusal("Somebody could be there before the arm would have stopped.", "people", margin)
            return PeopleVerdict({"people": margin}, refusal)
        near = self._near(whole, sight, between=True)
        return replace(near, margins={"people": margin} | near.margins)

    def _look(self, now_ns: int) -> _Sight | Refusal | None:
        """Who is there; None when nobody is, or nobody is asked."""
        if not self._asked:
            return None
        silent = check_people(self._spec, self._people, now_ns)
        if silent is not None or self._people is None:
            return silent
        if not self._people.persons:
            return None
        tool = self.known_tool(now_ns)
        return _Sight(self._people, tool, tool_class(self._spec, tool, now_ns), now_ns)

    def _until_stopped(self, motion: Spline, elapsed_s: float) -> tuple[Array, Array, int]:
        """On for the reaction time, then the shortest brake; the motion itself where it rests sooner.

        Times (T,), s, from now, joint positions (T, 7), rad, and how many of them are before the brake.
        """
        reaction_s, jitter_s = self._spec.people.reaction_s, self._spec.transport.jitter_s
        left_s, begin_s = motion.duration_s - elapsed_s, elapsed_s + reaction_s
        start, *others = (motion.sample(begin_s + shift_s) for shift_s in (0.0, -jitter_s, jitter_s))
        stop = Spline(start, brake(start, self._spec, others))
        legal = excess(stop.extremes(), self._spec) <= ROUNDING
        if not (legal and reaction_s + stop.duration_s < left_s):
            times_s = _steps(max(left_s, SAMPLE_S))
            return times_s, motion.positions(elapsed_s + times_s), len(times_s)
        on_s, braking_s = _steps(reaction_s), _steps(stop.duration_s)[1:]
        q = np.concatenate([motion.positions(elapsed_s + on_s), stop.positions(braking_s)])
        return np.append(on_s, reaction_s + braking_s), q, len(on_s)

    def _sweep(self, times_s: Array, q: Array, sight: _Sight) -> _Sweep:
        """The spheres, and the tip: a tool that is not known ends at the fingertips and points down the hand."""
        tip = np.zeros(3) if sight.tool is None else np.asarray(sight.tool.tip, dtype=np.float64)
        direction = tip if tip.any() else _DOWN_THE_HAND
        poses = self._kinematics.tool_pose(q)
        turns, origins = poses[:, :3, :3], poses[:, :3, 3]
        centers = np.concatenate(
            [self._kinematics.spheres(q)[:, self._moving], (origins + turns @ tip)[:, None]], axis=1
        )
        return _Sweep(times_s, centers, turns @ direction)

    def _near(self, sweep: _Sweep, sight: _Sight, between: bool) -> PeopleVerdict:
        """Speed caps and direction, when somebody is in reach; `between`: with what may lie between the samples."""
        spec = self._spec
        if not in_reach(spec, sweep.centers, self._radii, sight.people, sight.now_ns):
            return PeopleVerdict({})
        margin = facing_margin(spec, sweep.centers[:, -1], sweep.directions, sight.people, sight.tool_class)
        if not margin >= 0.0:
            refusal = Refusal("The tool points at somebody in reach; it may not move.", "tool_hazard", margin)
            return PeopleVerdict({"tool_hazard": margin}, refusal)
        load_kg = 0.0 if sight.tool is None else float(sight.tool.mass_kg)
        arm_cap, tip_cap = speed_cap(spec, sight.tool_class, load_kg)
        of_arm, of_tip = _greatest_speeds(sweep, between)
        margins = {"power_and_force": arm_cap - of_arm, "tool_hazard": tip_cap - of_tip}
        for row, part, speed, cap in (
            ("power_and_force", "arm", of_arm, arm_cap),
            ("tool_hazard", "tip", of_tip, tip_cap),
        ):
            if not margins[row] >= 0.0:
                reason = f"With somebody in reach the {part} may move at {cap:.3f} m/s, not at {speed:.3f} m/s."
                return PeopleVerdict(
                    margins, Refusal(reason, row, margins[row]), max(of_arm / arm_cap, of_tip / tip_cap)
                )
        return PeopleVerdict(margins)


def _greatest_speeds(sweep: _Sweep, between: bool) -> tuple[float, float]:
    """Of any sphere, and of the tip, m/s: means over each step, and half of the greatest change from step to step."""
    steps = np.diff(sweep.centers, axis=0) / np.diff(sweep.times_s)[:, None, None]  # (T - 1, S + 1, 3)
    speeds = np.linalg.norm(steps, axis=-1).max(axis=0)
    if between:
        speeds = speeds + np.linalg.norm(np.diff(steps, axis=0), axis=-1).max(axis=0, initial=0.0) / 2.0
    return float(speeds.max()), float(speeds[-1])


def _steps(duration_s: float) -> Array:
    """Times from 0 to this one, at most SAMPLE_S apart."""
    return np.linspace(0.0, duration_s, int(np.ceil(duration_s / SAMPLE_S)) + 1)
