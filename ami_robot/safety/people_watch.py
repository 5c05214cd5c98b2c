"""People and the held tool, as far as they are known: may the arm go on like this, may it begin to move like that?

An arm that runs on, or brakes at the next step, has to be at rest before anybody could be there; `way_out` says why
that holds at all times. While somebody is in reach, every part of it and the tip of its tool keep a speed cap, and a
blade does not point at them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.compiled import INTEGER, array, compiled, made, several
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import between_means, times_until
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline
from ami_robot.safety.quintic import sample
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
from ami_robot.safety.way_out import Stop, WayOut, next_stop, verify
from ami_robot.types import Array, HeldTool, People, Refusal

_DOWN_THE_HAND = np.array([0.0, 0.0, 1.0])  # where a tool points whose tip is not known, in the frame of `tool`


@dataclass(frozen=True)
class PeopleVerdict:
    """Margins of the rows that were looked at, the broken one, and by what factor a slower motion would keep it."""

    margins: dict[str, float]
    refusal: Refusal | None = None
    slower_by: float = 1.0  # 1 where slowing down does not help
    stop: Stop | None = None  # to be verified where the motion may begin only with a way out of it


@dataclass(frozen=True)
class _Sight:
    """What is known at one time: somebody is near, and the gripper holds this."""

    people: People
    tool: HeldTool | None
    tool_class: ToolClass | None
    now_ns: int

    @property
    def tip(self) -> tuple[float, ...]:
        """Where the tool ends, m, in the frame of `tool`; at the fingertips when it is not known."""
        return (0.0, 0.0, 0.0) if self.tool is None else tuple(np.asarray(self.tool.tip, dtype=np.float64).tolist())


@dataclass(frozen=True)
class _Sweep:
    """Where the arm's spheres and the tool's tip are at times along a motion, or along several at once."""

    times_s: Array  # (T,), from now
    centers: Array  # (T, ..., S + 1, 3), m; the last one is the tip
    directions: Array  # (T, ..., 3) of the tip

    def between(self, begin_s: float, end_s: float) -> _Sweep:
        """From the last sample not after `begin_s`, which becomes now, to the first one not before `end_s`."""
        first = min(int(np.searchsorted(self.times_s, begin_s, side="right")) - 1, len(self.times_s) - 2)
        return self.part(slice(max(first, 0), int(np.searchsorted(self.times_s, end_s)) + 1)).later(-begin_s)

    def part(self, samples: slice) -> _Sweep:
        """Some of the times."""
        return _Sweep(self.times_s[samples], self.centers[samples], self.directions[samples])

    def later(self, by_s: float) -> _Sweep:
        """The same, begun this much later."""
        return _Sweep(self.times_s + by_s, self.centers, self.directions)


class PeopleWatch:
    """What was heard last about people and the held tool; nothing heard, or nothing usable, is not nobody."""

    def __init__(self, spec: Spec, kinematics: Kinematics, dynamics: Dynamics):
        self._spec, self._kinematics, self._dynamics = spec, kinematics, dynamics
        self._moving = np.flatnonzero(kinematics.sphere_links >= 1)  # the base stays where it is
        self._radii = np.append(kinematics.sphere_radii[self._moving], 0.0)
        self._asked = spec.people.source_of_people == "topic"
        self._people: People | None = None
        self._held_tool: HeldTool | None = None
        self._way_out: WayOut | None = None
        self._swept: tuple[Spline, tuple[float, ...], _Sweep] | None = None  # the last whole motion

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

    def tip(self, now_ns: int) -> Array | None:
        """Where the held tool ends, (3,), m, in the frame of `tool`; None when nothing is held or it is not known."""
        tool = self.known_tool(now_ns)
        return None if tool is None or tool.hazard == "none" else np.asarray(tool.tip, dtype=np.float64)

    def rely_on(self, way_out: WayOut | None) -> None:
        """A motion was sent, and this is the way out of it."""
        self._way_out = way_out

    def way_out(self, now_ns: int) -> WayOut | None:
        """The last verified brake out of the running motion; None when it is too late for it."""
        known = self._way_out
        return known if known is not None and known.from_ns <= now_ns <= known.until_ns else None

    def why_stop(self, motion: Spline, elapsed_s: float, now_ns: int, tip: Array | None) -> Refusal | None:
        """Why the arm may not go on with this motion, into which it is so far; `tip` is what it was accepted with."""
        sight = self._look(now_ns)
        if not isinstance(sight, _Sight):
            return sight
        whole = self._whole(motion, sight)
        margin = self._running_on(whole.between(elapsed_s, motion.duration_s), sight)
        if not margin >= 0.0:  # it cannot simply run on to its end
            stop = next_stop(self._spec, motion, elapsed_s)
            if stop is not None:
                margin = self._separation_of_stop(stop, sight)
            if stop is None or not margin >= 0.0:
                return Refusal("Somebody could be there before the arm has stopped.", "people", margin)
            load_kg = self.load_kg(now_ns)
            way_out = verify(self._spec, self._kinematics, self._dynamics, stop, load_kg, tip, now_ns)
            if isinstance(way_out, Refusal):
                return way_out
            self._way_out = way_out
        return self._near(whole.between(elapsed_s, elapsed_s + self._spec.people.reaction_s), sight, False).refusal

    def check(self, motion: Spline, now_ns: int) -> PeopleVerdict:
        """Whether the arm may begin this motion now."""
        sight = self._look(now_ns)
        if not isinstance(sight, _Sight):
            return PeopleVerdict({}, sight)
        whole = self._whole(motion, sight)
        near = self._near_from_everywhere(motion, whole, sight)
        if near.refusal is not None:
            return near
        margin, stop = self._running_on(whole, sight), None
        if not margin >= 0.0:  # it could not simply run on to its end
            stop = next_stop(self._spec, motion, 0.0)
            margin = margin if stop is None else self._separation_of_stop(stop, sight)
        margins = {"people": margin} | near.margins
        if not margin >= 0.0:
            refusal = Refusal("Somebody could be there before the arm would have stopped.", "people", margin)
            return PeopleVerdict(margins, refusal)
        return PeopleVerdict(margins, stop=stop)

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

    def _separation(self, sweep: _Sweep, sight: _Sight) -> float:
        return separation_margin(self._spec, sweep.centers, self._radii, sweep.times_s, sight.people, sight.now_ns)

    def _running_on(self, sweep: _Sweep, sight: _Sight) -> float:
        """Of the motion to its end, which may have begun late."""
        return self._separation(sweep.later(self._spec.transport.jitter_s), sight)

    def _separation_of_stop(self, stop: Stop, sight: _Sight) -> float:
        """Of the brake from the latest start and from the earliest one: swept at once, for the time it takes."""
        count, times_s = len(stop.times_s), np.concatenate([stop.times_s, stop.early_times_s])
        sweep = self._sweep(times_s, np.concatenate([stop.positions, stop.early_positions]), sight)
        late, early = sweep.part(slice(None, count)), sweep.part(slice(count, None))
        return float(np.minimum(self._separation(late, sight), self._separation(early, sight)))  # keeps NaN

    def _whole(self, motion: Spline, sight: _Sight) -> _Sweep:
        """Of the motion from its beginning; kept, as it is asked for at every step."""
        tip = sight.tip
        if self._swept is None or self._swept[0] is not motion or self._swept[1] != tip:
            times_s = times_until(motion.duration_s)
            self._swept = motion, tip, self._sweep(times_s, motion.positions(times_s), sight)
        return self._swept[2]

    def _sweep(self, times_s: Array, q: Array, sight: _Sight) -> _Sweep:
        """The spheres, and the tip: a tool that is not known ends at the fingertips and points down the hand."""
        tip = np.array(sight.tip)
        direction = tip if tip.any() else _DOWN_THE_HAND
        poses, spheres = self._kinematics.tool_pose_and_spheres(q)
        batch = q.shape[:-1]
        poses = np.ascontiguousarray(poses).reshape(-1, 4, 4)
        spheres = np.ascontiguousarray(spheres).reshape(-1, *spheres.shape[-2:])
        centers, directions = _with_tip(poses, spheres, self._moving, tip, direction)
        return _Sweep(times_s, centers.reshape(*batch, -1, 3), directions.reshape(*batch, 3))

    def _near_from_everywhere(self, motion: Spline, whole: _Sweep, sight: _Sight) -> PeopleVerdict:
        """Of the motion, and wherever else it may begin: who is behind hurries to the first control point."""
        near = self._near(whole, sight, between=True)
        if near.refusal is not None or not near.margins or not len(motion.also_from.corners.positions):
            return near
        times_s, pieces = times_until(motion.join_s), motion.joining(motion.also_from.corners)
        q = sample(pieces, motion.join_s, times_s[:, None]).positions  # (T, C, 7)
        joining = self._beside(self._sweep(times_s, q, sight), sight, between=True)
        if joining.refusal is not None:
            return joining
        return PeopleVerdict({row: min(margin, joining.margins[row]) for row, margin in near.margins.items()})

    def _near(self, sweep: _Sweep, sight: _Sight, between: bool) -> PeopleVerdict:
        """Speed caps and direction, when somebody is in reach; `between`: with what may lie between the samples."""
        if not in_reach(self._spec, sweep.centers, self._radii, sight.people, sight.now_ns):
            return PeopleVerdict({})
        return self._beside(sweep, sight, between)

    def _beside(self, sweep: _Sweep, sight: _Sight, between: bool) -> PeopleVerdict:
        """Speed caps and direction."""
        spec = self._spec
        margin = facing_margin(spec, sweep.centers[..., -1, :], sweep.directions, sight.people, sight.tool_class)
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
    """Of any sphere, and of the tip, m/s: means over each step, and what they hide."""
    points = sweep.centers.reshape(len(sweep.centers), -1, 3)
    velocities, speeds = _means(np.ascontiguousarray(points), np.ascontiguousarray(sweep.times_s))
    if between:
        speeds = speeds + between_means(velocities)
    return float(speeds.max()), float(speeds[sweep.centers.shape[-2] - 1 :: sweep.centers.shape[-2]].max())


@compiled(several(made(3), made(2)), array(3), array(3), array(1, INTEGER), array(1), array(1))
def _with_tip(
    poses: Array, spheres: Array, moving: NDArray[np.intp], tip: Array, direction: Array
) -> tuple[Array, Array]:
    """The moving ones of the spheres (M, S, 3) and the tip of tools with these poses (M, 4, 4), and its direction."""
    centers, directions = np.empty((len(poses), len(moving) + 1, 3)), np.zeros((len(poses), 3))
    for m in range(len(poses)):
        for axis in range(3):
            for s in range(len(moving)):
                centers[m, s, axis] = spheres[m, moving[s], axis]
            centers[m, -1, axis] = poses[m, axis, 3]
            for k in range(3):
                centers[m, -1, axis] += poses[m, axis, k] * tip[k]
                directions[m, axis] += poses[m, axis, k] * direction[k]
    return centers, directions


@compiled(several(made(3), made(1)), array(3), array(1))
def _means(points: Array, times_s: Array) -> tuple[Array, Array]:
    """Mean velocities (T - 1, K, 3), m/s, of points (T, K, 3) over each step, and the greatest speed (K,) of them."""
    steps, count = len(points) - 1, points.shape[1]
    velocities, squares = np.empty((steps, count, 3)), np.zeros(count)
    for n in range(steps):
        for point in range(count):
            square = 0.0
            for axis in range(3):
                velocity = (points[n + 1, point, axis] - points[n, point, axis]) / (times_s[n + 1] - times_s[n])
                velocities[n, point, axis] = velocity
                square += velocity * velocity
            squares[point] = np.maximum(squares[point], square)  # keeps NaN
    return velocities, np.sqrt(squares)
