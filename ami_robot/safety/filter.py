"""The filter: the target nearest to a proposed one whose motion keeps the limits and stays clear of everything.

For a fixed duration the motion from `start` to rest at a target is linear in the target. So what encloses position,
velocity, acceleration and jerk on the way (see `motion.enclosing`) leaves each joint an exact interval: the
acceleration, and the braking at the end, are inside the programme and not cut off after it. Distances are linearised
at poses along the motion. A quadratic programme in the displacement x (7,) of the target, rad,

    minimise |W J (x - x_nominal)|^2 + r |x - x_nominal|^2   subject to   G x >= -slack,   lower <= x <= upper

is solved by DAQP, whose answer is believed only after it was put into the rows here. It promises nothing about the
motion between those poses: the last gate looks at the whole of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import daqp
import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.compiled import FLOAT, INTEGER, array, compiled, made, several
from ami_robot.safety.distances import distance_rows
from ami_robot.safety.kinematics import Kinematics, tool_jacobian
from ami_robot.safety.motion import JOINS_S, ROUNDING, control_times, enclosing, quintic, sample
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, Refusal

POSES = (0.5, 1.0)
"""Where along the motion distances are linearised, as shares of its duration: its greatest speed, and its end."""

np.empty(1 << 20)  # glibc gives a heap's free end back above 128 KiB and then takes it again page by page, at each call
# 0.15 ms; one larger block that was freed raises that threshold (mallopt(3), M_MMAP_THRESHOLD)

LINEARISATION_M = 1e-4
"""What a distance has to keep beyond its row, since the truth bends away from its linearisation."""

_STEPS_RAD = (np.inf, np.inf, 0.005)
"""How far each linearisation may move a joint. One that moves none further than the last of these is the last: it bends
a distance by at most 1 m/rad^2 x 7 x 0.005^2 / 2, which is within LINEARISATION_M.
"""

_WEIGHTS = np.array([1.0, 1.0, 1.0, 0.3, 0.3, 0.3])  # a tilt of 0.1 rad is as bad as a miss of 3 cm
_REGULARISED = 1e-3  # m^2/rad^2, so that a swing of the elbow costs something
_FEASIBLE = 1e-6  # by how much, m or rad, an answer may miss a row; DAQP's own tolerance
_STILL = 1e-9  # a row that grows slower than this with the target does not depend on it
_SOLVED = 1  # DAQP's exit flag for an optimal point
_LIMITS = ("joint_position", "joint_velocity", "joint_acceleration", "joint_jerk")
_UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class FilteredTarget:
    """Where the motion should come to rest instead."""

    joint_positions: Array  # (7,), rad
    active_row: str  # the row that is closest there; empty when the nominal target keeps them all
    rows: int  # how many geometric rows the programme had


@dataclass(frozen=True, eq=False)
class _Interval:
    """Targets (7,), rad, that keep the limits, and which of `_LIMITS` bounds each joint."""

    lower: Array
    upper: Array
    lower_row: list[str]
    upper_row: list[str]

    def nearest(self, target: Array) -> Array:
        """The target (7,) with each joint brought into its interval."""
        return np.minimum(np.maximum(target, self.lower), self.upper)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows A x >= least (R, 7) and (R,), m, for a displacement x of the target: distances at each pose, workspace."""

    matrix: Array
    least: Array
    names: tuple[str, ...]  # of the distances at one pose

    def name(self, row: int) -> str:
        """The guardrail that the row belongs to."""
        return self.names[row % len(self.names)] if row < len(POSES) * len(self.names) else "workspace"


@dataclass(frozen=True, eq=False)
class _MotionMap:
    """What a motion's shape makes of its start and target, for each joint alike.

    An enclosing value is `start part + growth * target`. M values grow with the target; K do not, such as the
    acceleration half way. The former are given divided by their growth: they bound the target itself.
    """

    of_start: Array  # (3, M): start part / growth, of (position, velocity, acceleration)
    growth: Array  # (M,)
    limit: NDArray[np.intp]  # (M,): index in _LIMITS
    still_of_start: Array  # (K, 3)
    still_limit: NDArray[np.intp]  # (K,)
    pose_of_start: Array  # (P, 3), of the poses of POSES
    pose_of_target: Array  # (P,)


def nearest_target(
    spec: Spec,
    kinematics: Kinematics,
    start: JointState,
    nominal: Array,
    duration_s: float,
    keep_m: float = LINEARISATION_M,
) -> FilteredTarget | Refusal:
    """The target (7,) nearest to `nominal` (7,), rad, that a motion of `duration_s` from `start` may end at.

    Distances to table, arm space, obstacles and itself keep `keep_m` beyond their rows at the poses along the motion.
    Nearest: least deviation of the tool's pose. No input raises; what is not finite, of a wrong shape or without
    an answer is a Refusal that names the row in the way.
    """
    states = _finite([start.positions, start.velocities, start.accelerations, nominal], (4, len(spec.joint_names)))
    duration = _finite(duration_s, ())
    if states is None or duration is None:
        return Refusal("Start, target or duration of the motion are not finite numbers.", "filter", _UNKNOWN)
    if not 0.0 < duration <= spec.trajectory.max_duration_s:
        reason = f"The duration of {duration:.3g} s is not between 0 and {spec.trajectory.max_duration_s} s."
        return Refusal(reason, "trajectory", float(spec.trajectory.max_duration_s - duration))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _nearest(spec, kinematics, states[:3], states[3], float(duration), keep_m)


def _nearest(
    spec: Spec, kinematics: Kinematics, start: Array, nominal: Array, duration_s: float, keep_m: float
) -> FilteredTarget | Refusal:
    shape = _motion_map(duration_s)
    interval = _interval(spec, shape, start)
    if isinstance(interval, Refusal):
        return interval
    target = interval.nearest(nominal)
    for farthest in _STEPS_RAD:
        tools, centers, twists = kinematics.points_and_twists(_poses(shape, start, target))
        tool, jacobian = tools[-1], tool_jacobian(tools[-1], twists[-1])
        distances = distance_rows(spec, centers, kinematics.sphere_radii, twists)
        rows = _geometric_rows(spec, shape, distances, tool, jacobian[:3], keep_m)
        lower = np.maximum(interval.lower - target, -farthest)
        upper = np.minimum(interval.upper - target, farthest)
        x = _solve(_hessian(jacobian), nominal - target, rows, lower, upper)
        if isinstance(x, Refusal):
            return x
        target = interval.nearest(target + x)
        if np.abs(x).max() <= _STEPS_RAD[-1]:
            break
    bent = float(np.abs(target - nominal).max()) > ROUNDING
    return FilteredTarget(target, _active_row(rows, x, interval, target) if bent else "", len(rows.least))


def _finite(values: Any, shape: tuple[int, ...]) -> Array | None:
    """Float64 array of this shape; None when it is not one, or not finite."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == shape and np.isfinite(array).all() else None


@lru_cache(maxsize=64)
def _motion_map(duration_s: float) -> _MotionMap:
    """The map, read off the motions of four "joints": one for each part of the start, one for the target."""
    position, velocity, acceleration, target = np.eye(4)
    rest, h = np.zeros(4), np.asarray(duration_s)
    control = quintic(JointState(position, velocity, acceleration), JointState(target, rest, rest), h)
    times_s = np.concatenate([[0.0], control_times(duration_s, JOINS_S[0])])
    states = sample(control, h, times_s)
    begin, end = (
        JointState(states.positions[part], states.velocities[part], states.accelerations[part])
        for part in (slice(None, -1), slice(1, None))
    )
    lengths_s = np.diff(times_s)
    pieces = enclosing(quintic(begin, end, lengths_s), lengths_s)  # what the gate looks at; the whole is what
    whole = enclosing(control, h)  # `move_to_rest` looks at
    values = [np.concatenate([each.reshape(-1, 4) for each in both]) for both in zip(whole, pieces, strict=True)]
    poses = sample(control, h, h * np.array(POSES)).positions
    limit = np.repeat(np.arange(len(_LIMITS)), [len(value) for value in values])
    every = np.concatenate(values)
    moves = np.abs(every[:, 3]) > _STILL
    growth, still = every[moves, 3], every[~moves, :3]
    of_start, still = np.ascontiguousarray(every[moves, :3].T) / growth, np.ascontiguousarray(still)
    pose_of_start, pose_of_target = poses[:, :3].copy(), poses[:, 3].copy()
    return _MotionMap(of_start, growth, limit[moves], still, limit[~moves], pose_of_start, pose_of_target)


def _interval(spec: Spec, shape: _MotionMap, start: Array) -> _Interval | Refusal:
    """Targets that keep all limits, joint by joint, or the limit that leaves none."""
    least, most = _limits(spec)
    value, room = _tightest(start, shape.still_of_start, shape.still_limit, least, most)
    if not room >= 0.0:
        row = _LIMITS[shape.still_limit[value]]
        return Refusal(f"Wherever it ended, the motion would break the row {row}.", row, room)
    lower, upper, lower_at, upper_at = _between(start, shape.of_start, *_edges(spec, shape))
    width = upper - lower
    if not width.min() >= 0.0:
        narrowest = int(width.argmin())
        value = upper_at[narrowest]
        row = _LIMITS[shape.limit[value]]
        margin = float(width[narrowest] / 2.0 * np.abs(shape.growth[value]))
        reason = f"No target of {spec.joint_names[narrowest]} keeps its limits on the way, nearest is the row {row}."
        return Refusal(reason, row, margin)
    lower_rows, upper_rows = ([_LIMITS[limit] for limit in shape.limit[at]] for at in (lower_at, upper_at))
    return _Interval(lower, upper, lower_rows, upper_rows)


@compiled(several(INTEGER, FLOAT), array(2), array(2), array(1, INTEGER), array(2), array(2))
def _tightest(start: Array, of_start: Array, limit: NDArray[np.intp], least: Array, most: Array) -> tuple[int, float]:
    """Of the values that do not depend on the target the one with the least share of room, and its room."""
    worst, worst_at, worst_room = np.inf, 0, np.inf
    for value in range(len(of_start)):
        for joint in range(start.shape[1]):
            low, high, still = least[limit[value], joint], most[limit[value], joint], 0.0
            for part in range(3):
                still += of_start[value, part] * start[part, joint]
            room = np.minimum(high - still, still - low)
            if not room / (high - low) >= worst:
                worst, worst_at, worst_room = room / (high - low), value, room
                if np.isnan(worst):
                    return worst_at, worst_room
    return worst_at, worst_room


@lru_cache(maxsize=16)
def _edges(spec: Spec, shape: _MotionMap) -> tuple[Array, Array]:
    """Least and greatest target (7, M), rad, that each value leaves to each joint where the start's part is zero."""
    one, other = (limits.T.take(shape.limit, axis=1) / shape.growth for limits in _limits(spec))
    return np.minimum(one, other), np.maximum(one, other)


@compiled(several(made(1), made(1), made(1, INTEGER), made(1, INTEGER)), array(2), array(2), array(2), array(2))
def _between(
    start: Array, of_start: Array, lowest: Array, highest: Array
) -> tuple[Array, Array, NDArray[np.intp], NDArray[np.intp]]:
    """Least and greatest target (7,) of each joint, and which of the values bounds it. NaN stays."""
    joints, values = lowest.shape
    lower, upper = np.empty(joints), np.empty(joints)
    lower_at, upper_at = np.zeros(joints, np.int64), np.zeros(joints, np.int64)
    for joint in range(joints):
        position, velocity, acceleration = start[0, joint], start[1, joint], start[2, joint]
        greatest, smallest = -np.inf, np.inf
        for value in range(values):
            fixed = of_start[0, value] * position + of_start[1, value] * velocity + of_start[2, value] * acceleration
            low, high = lowest[joint, value] - fixed, highest[joint, value] - fixed
            if not (low <= greatest or np.isnan(greatest)):
                greatest, lower_at[joint] = low, value
            if not (high >= smallest or np.isnan(smallest)):
                smallest, upper_at[joint] = high, value
        lower[joint], upper[joint] = greatest, smallest
    return lower, upper, lower_at, upper_at


@lru_cache(maxsize=8)
def _limits(spec: Spec) -> tuple[Array, Array]:
    """Least and greatest values (4, 7) of _LIMITS that commands may use, widened by half of what the gate forgives."""
    peaks = np.array(
        [
            spec.joint_velocity.command_limit_rad_per_s,
            spec.joint_acceleration.command_limit_rad_per_s2,
            spec.joint_jerk.command_limit_rad_per_s3,
        ]
    )
    least = np.vstack([spec.joint_position.command_lower_rad, -peaks]) - ROUNDING / 2.0
    return least, np.vstack([spec.joint_position.command_upper_rad, peaks]) + ROUNDING / 2.0


def _poses(shape: _MotionMap, start: Array, target: Array) -> Array:
    """Joint positions (P, 7) at POSES on the way to `target`, which is the last of them."""
    return shape.pose_of_start @ start + shape.pose_of_target[:, None] * target


def _geometric_rows(
    spec: Spec,
    shape: _MotionMap,
    distances: tuple[Array, Array, tuple[str, ...]],
    tool: Array,
    linear: Array,
    keep_m: float,
) -> _Rows:
    """Distances at the poses, and the tool in its workspace at the end, for a displacement of the target."""
    gradients, slack, names = distances
    matrix, least = np.empty((slack.size + 6, gradients.shape[-1])), np.empty(slack.size + 6)
    np.multiply(shape.pose_of_target[:, None, None], gradients, out=matrix[:-6].reshape(gradients.shape))
    np.subtract(keep_m, slack, out=least[:-6].reshape(slack.shape))
    matrix[-6:-3], matrix[-3:] = linear, -linear
    least[-6:-3], least[-3:] = spec.workspace.lower_m - tool, tool - spec.workspace.upper_m
    return _Rows(matrix, least, names)


@compiled(made(2), array(2))
def _hessian(jacobian: Array) -> Array:
    """Of half the squared deviation of the tool and the joints, (7, 7)."""
    joints = jacobian.shape[1]
    hessian = np.zeros((joints, joints))
    for one in range(joints):
        hessian[one, one] = _REGULARISED
        for axis in range(6):
            for other in range(joints):
                hessian[one, other] += (_WEIGHTS[axis] * jacobian[axis, one]) * (_WEIGHTS[axis] * jacobian[axis, other])
    return hessian


def _solve(hessian: Array, wanted: Array, rows: _Rows, lower: Array, upper: Array) -> Array | Refusal:
    """The displacement (7,) nearest to `wanted`; a Refusal when there is none or the answer does not keep the rows."""
    gradient = -hessian @ wanted
    matrix, least = _reachable(rows.matrix, rows.least, lower, upper)
    parts = (hessian, gradient, matrix, least, upper)
    if not np.isfinite([part.sum() for part in parts]).all():  # one that is not finite leaves no finite sum
        return Refusal("The filter's programme has numbers that are not finite.", "filter", _UNKNOWN)
    most = np.concatenate([upper, np.full(len(matrix), np.inf)])
    try:
        answer, _, flag, _ = daqp.solve(hessian, gradient, matrix, most, least)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        return Refusal(f"The filter's solver failed: {error}.", "filter", _UNKNOWN)
    if flag != _SOLVED:
        worst = int(rows.least.argmax())
        reason = f"No target near the proposed one keeps the row {rows.name(worst)} and all the others."
        return Refusal(reason, rows.name(worst), float(-rows.least[worst]))
    x = _finite(answer, wanted.shape)
    if x is None or not ((x >= lower - _FEASIBLE) & (x <= upper + _FEASIBLE)).all():
        return Refusal(
            "The filter's solver gave an answer that is not finite or not within bounds.", "filter", _UNKNOWN
        )
    kept = rows.matrix @ x - rows.least
    if not kept.min() >= -_FEASIBLE:
        worst = int(kept.argmin())
        reason = f"The filter's solver gave an answer that breaks the row {rows.name(worst)}."
        return Refusal(reason, rows.name(worst), float(kept[worst]))
    return x


@compiled(several(made(2), made(1)), array(2), array(1), array(1), array(1))
def _reachable(matrix: Array, least: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The rows that some displacement within the bounds would break, and what is least of the bounds and of them.

    The others cannot change the answer, and the solver's time is theirs. What is not finite stays, to be found.
    """
    rows, joints = matrix.shape
    middle, half = (upper + lower) / 2.0, (upper - lower) / 2.0
    within, found = np.zeros(rows, np.bool_), 0
    for row in range(rows):
        nearest = 0.0
        for joint in range(joints):
            nearest += matrix[row, joint] * middle[joint] - abs(matrix[row, joint]) * half[joint]
        within[row] = not -np.inf < least[row] < nearest < np.inf
        found += within[row]
    some, floors, place = np.empty((found, joints)), np.empty(joints + found), 0
    for joint in range(joints):
        floors[joint] = lower[joint]
    for row in range(rows):
        if within[row]:
            floors[joints + place] = least[row]
            for joint in range(joints):
                some[place, joint] = matrix[row, joint]
            place += 1
    return some, floors


def _active_row(rows: _Rows, x: Array, interval: _Interval, target: Array) -> str:
    rooms = (rows.matrix @ x - rows.least, target - interval.lower, interval.upper - target)
    nearest = [int(room.argmin()) for room in rooms]
    names = (rows.name(nearest[0]), interval.lower_row[nearest[1]], interval.upper_row[nearest[2]])
    return min(zip(rooms, nearest, names, strict=True), key=lambda item: item[0][item[1]])[2]
