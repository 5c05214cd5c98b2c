"""Motions that end at rest: one quintic from where the arm is told to be, to standing still.

A quintic on [0, h] through (position, velocity, acceleration) at both ends has the Bernstein coefficients

    p0, p0 + v0 h/5, p0 + 2 v0 h/5 + a0 h^2/20, p1 - 2 v1 h/5 + a1 h^2/20, p1 - v1 h/5, p1.

A polynomial lies between its least and greatest Bernstein coefficient, and more closely so after subdivision
(Farin, "Curves and Surfaces for CAGD", ch. 5). Limits are checked on these bounds: they hold everywhere along the
motion, not only at samples, and no roots are needed. Arrays of control points are (..., 6, 7), joints last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.spec import Spec
from ami_robot.types import MODEL_STEP_S, Array, JointState, JointTrajectory

MOVE_DURATIONS_S = 0.4 + 0.04 * np.arange(29)
"""What `move_to_rest` tries, shortest first, s: two model steps, so that the next command arrives half way."""

BRAKE_DURATIONS_S = 0.1 + 0.02 * np.arange(46)
"""What `brake` tries, shortest first, s."""

CONTROL_POINT_SPACING_S = MODEL_STEP_S
"""Between control points, s."""

JOINS_S = (0.15, CONTROL_POINT_SPACING_S)
"""When the first control point may come, s, tried in this order. A trajectory starts when it arrives, from the state
desired by then, and has made good the difference by that point. The sooner, the less is left of it when the next
trajectory comes, even one step later; but 10 ms over 0.1 s already break the acceleration limits at working speed.
"""

ROUNDING = 1e-9
"""What lies beyond a limit by less than this, in the row's unit or as a share, lies on it."""

PARTS = 12
"""Equal parts of a quintic's length, each of which `enclosing` encloses by itself."""


@dataclass(frozen=True, eq=False)
class Extremes:
    """Bounds of a motion for each joint, (..., 7). Never too small; less than 1 % too large."""

    lower_rad: Array
    upper_rad: Array
    speed_rad_per_s: Array
    acceleration_rad_per_s2: Array
    jerk_rad_per_s3: Array


@dataclass(frozen=True, eq=False)
class Strays:
    """From where else than from its start the controller may begin a motion; `strays` says why and computes them."""

    states: JointState  # (S, 7) each: it begins between these
    blur: Array  # (3, 7) rad, rad/s, rad/s^2: or this far from there
    corners: JointState  # (C, 7) each: the outermost of them
    way: JointState  # (3, 7) each: where the motion before leads, early, in between and late
    spread: Array  # (3, 7): how far from that way it may begin


@lru_cache(maxsize=8)
def no_strays(joints: int) -> Strays:
    """It begins where it was said to."""
    nowhere = JointState(*np.zeros((3, 0, joints)))
    return Strays(nowhere, np.zeros((3, joints)), nowhere, nowhere, np.zeros((3, joints)))


class Spline:
    """Quintic pieces from `start` through the control points of `trajectory`, then rest."""

    control: Array
    """Bernstein coefficients (P, 6, 7) of the pieces, rad."""

    lengths_s: Array
    """Of the pieces, (P,), s."""

    def __init__(self, start: JointState, trajectory: JointTrajectory, also_from: Strays | None = None):
        self.start, self.also_from = start, also_from or no_strays(len(start.positions))
        self.duration_s = float(trajectory.times_s[-1])
        self._times_s = np.concatenate([[0.0], trajectory.times_s])
        self.lengths_s = np.diff(self._times_s)
        positions = np.concatenate([start.positions[None], trajectory.positions])
        velocities = np.concatenate([start.velocities[None], trajectory.velocities])
        accelerations = np.concatenate([start.accelerations[None], trajectory.accelerations])
        begin = JointState(positions[:-1], velocities[:-1], accelerations[:-1])
        end = JointState(positions[1:], velocities[1:], accelerations[1:])
        self.control = quintic(begin, end, self.lengths_s)
        self._end = JointState(positions[-1], np.zeros_like(start.positions), np.zeros_like(start.positions))

    def sample(self, t_s: float) -> JointState:
        """Desired state `t_s` seconds after the start, each (7,); the start before it, rest after the end."""
        if t_s <= 0.0:
            return self.start
        if not t_s < self.duration_s:
            return self._end
        piece = int(np.searchsorted(self._times_s, t_s, side="right")) - 1
        return sample(self.control[piece], self.lengths_s[piece], t_s - self._times_s[piece])

    @property
    def join_s(self) -> float:
        """Until the first control point, s: from there on it no longer matters where the controller began."""
        return float(self.lengths_s[0])

    def joining(self, states: JointState) -> Array:
        """Coefficients (n, 6, 7) of the pieces from other states, each (n, 7), to the first control point."""
        return quintic(states, self.sample(self.join_s), self.lengths_s[0])

    def positions(self, times_s: Array) -> Array:
        """Desired positions (n, 7), rad, at times (n,), s; those of the start and the end before and after."""
        piece = self._pieces(times_s)
        s = np.clip((times_s - self._times_s[piece]) / self.lengths_s[piece], 0.0, 1.0)
        return (_basis(s)[:, None, :] @ self.control[piece])[:, 0]

    def states(self, times_s: Array) -> JointState:
        """Desired states, each (n, 7), at times (n,), s, within the duration."""
        piece = self._pieces(times_s)
        return sample(self.control[piece], self.lengths_s[piece], times_s - self._times_s[piece])

    def _pieces(self, times_s: Array) -> NDArray[np.intp]:
        return np.clip(np.searchsorted(self._times_s, times_s, side="right") - 1, 0, len(self.lengths_s) - 1)

    def extremes(self) -> Extremes:
        """Bounds over the whole motion, each (7,)."""
        pieces = bounds(self.control, self.lengths_s)
        return Extremes(
            pieces.lower_rad.min(axis=0),
            pieces.upper_rad.max(axis=0),
            pieces.speed_rad_per_s.max(axis=0),
            pieces.acceleration_rad_per_s2.max(axis=0),
            pieces.jerk_rad_per_s3.max(axis=0),
        )


def move_to_rest(
    start: JointState, target: Array, spec: Spec, also_from: Strays | None = None, at_least_s: float = 0.0
) -> JointTrajectory | None:
    """Quintic from `start` to rest at `target` (7,), rad, as short as the limits allow; None if no duration does.

    It takes no less than `at_least_s`.

    From wherever else the controller may begin, the whole limits hold; from `start`, the share that commands may use.
    """
    also_from = also_from or no_strays(len(target))
    durations_s = MOVE_DURATIONS_S[at_least_s - ROUNDING <= MOVE_DURATIONS_S]
    ends = np.broadcast_to(target, (len(durations_s), len(target)))
    joins_s = JOINS_S if len(also_from.states.positions) else JOINS_S[:1]
    for batch in (slice(0, 1), slice(1, 5), slice(5, 13), slice(13, None)):  # mostly the first one holds
        tried_s = durations_s[batch]
        control = _to_rest(start, ends[batch], tried_s)
        holds = excess(bounds(control, tried_s), spec) <= ROUNDING
        tried_s, control = tried_s[holds], control[holds]
        for join_s in joins_s if holds.any() else ():
            joins = _excess_of_joining(control, tried_s, join_s, spec, also_from) <= ROUNDING
            if joins.any():
                return _trajectory(start, target, float(tried_s[np.argmax(joins)]), join_s, spec)
    return None


def brake(start: JointState, spec: Spec, also_from: Strays | None = None) -> JointTrajectory:
    """Shortest motion from `start` to rest, velocity a cubic Hermite: displacement v T/2 + a T^2/12.

    When no duration keeps all limits, the one that exceeds them least: an arm that has to stop must get something.
    """
    also_from = also_from or no_strays(len(start.positions))
    tried: list[tuple[float, Array, float]] = []  # excess, end, duration
    for batch in (slice(0, 6), slice(6, 16), slice(16, None)):  # mostly an early one holds
        durations_s = BRAKE_DURATIONS_S[batch]
        h = durations_s[:, None]
        ends = start.positions + start.velocities * h / 2.0 + start.accelerations * h**2 / 12.0
        control = _to_rest(start, ends, durations_s)
        joining = _excess_of_joining(control, durations_s, JOINS_S[-1], spec, also_from)
        worst = np.maximum(excess(bounds(control, durations_s), spec), joining)
        holds = worst <= ROUNDING
        best = int(np.argmax(holds) if holds.any() else np.argmin(worst))
        tried.append((float(worst[best]), ends[best], float(durations_s[best])))
        if holds.any():
            break
    _, end, duration_s = tried[-1] if holds.any() else min(tried, key=lambda brake: brake[0])
    return _trajectory(start, end, duration_s, JOINS_S[-1], spec)


def limit_margins(extremes: Extremes, spec: Spec, whole_limits: bool = False) -> dict[str, Array]:
    """Distance of each joint to each limit, (..., 7) for each row in the row's unit, negative when broken.

    Measured to what commands may use of a limit, or to the whole limit.
    """
    position, velocity, acceleration, jerk = (
        spec.joint_position, spec.joint_velocity, spec.joint_acceleration, spec.joint_jerk,
    )  # fmt: skip
    lower, upper = position.command_lower_rad, position.command_upper_rad
    speeds, accelerations = velocity.command_limit_rad_per_s, acceleration.command_limit_rad_per_s2
    jerks = jerk.command_limit_rad_per_s3
    if whole_limits:
        lower, upper = position.lower_rad, position.upper_rad
        speeds, accelerations = velocity.limit_rad_per_s, acceleration.limit_rad_per_s2
        jerks = jerk.limit_rad_per_s3
    return {
        "joint_position": np.minimum(extremes.lower_rad - lower, upper - extremes.upper_rad),
        "joint_velocity": speeds - extremes.speed_rad_per_s,
        "joint_acceleration": accelerations - extremes.acceleration_rad_per_s2,
        "joint_jerk": jerks - extremes.jerk_rad_per_s3,
    }


def excess(extremes: Extremes, spec: Spec, whole_limits: bool = False) -> Array:
    """By what share of its limit the worst joint breaks the worst row, (...,); not above 0 when all rows hold."""
    margins = limit_margins(extremes, spec, whole_limits)
    scales = {
        "joint_position": spec.joint_position.upper_rad - spec.joint_position.lower_rad,
        "joint_velocity": spec.joint_velocity.limit_rad_per_s,
        "joint_acceleration": spec.joint_acceleration.limit_rad_per_s2,
        "joint_jerk": spec.joint_jerk.limit_rad_per_s3,
    }
    return np.max([-margins[row] / scales[row] for row in margins], axis=(0, -1))


def quintic(start: JointState, end: JointState, length_s: Array) -> Array:
    """Bernstein coefficients (..., 6, 7) of the quintics between states (..., 7) that take `length_s` (...,)."""
    h = np.asarray(length_s, dtype=np.float64)[..., None]
    shape = np.broadcast_shapes(start.positions.shape, end.positions.shape, h.shape)
    control = np.empty((*shape[:-1], 6, shape[-1]))
    control[..., 0, :] = start.positions
    control[..., 1, :] = start.positions + start.velocities * (h / 5.0)
    control[..., 2, :] = start.positions + start.velocities * (2.0 * h / 5.0) + start.accelerations * (h**2 / 20.0)
    control[..., 3, :] = end.positions - end.velocities * (2.0 * h / 5.0) + end.accelerations * (h**2 / 20.0)
    control[..., 4, :] = end.positions - end.velocities * (h / 5.0)
    control[..., 5, :] = end.positions
    return control


def sample(control: Array, length_s: Array | float, t_s: Array | float) -> JointState:
    """States (..., 7) of quintics with coefficients (..., 6, 7) and lengths (...,), s, at times (...,), s."""
    h = np.asarray(length_s, dtype=np.float64)
    s, h = np.asarray(t_s) / h, h[..., None]
    blends = (_basis(s) @ _BLENDS).reshape(*s.shape, 3, 6) @ control
    return JointState(blends[..., 0, :], blends[..., 1, :] / h, blends[..., 2, :] / h**2)


def bounds(control: Array, length_s: Array) -> Extremes:
    """Bounds (..., 7) of the quintics with coefficients (..., 6, 7) and lengths (...,), s."""
    position, *derivatives = enclosing(control, length_s)
    peaks = (np.abs(derivative).max(axis=-2) for derivative in derivatives)
    return Extremes(position.min(axis=-2), position.max(axis=-2), *peaks)


def bounds_of_joining(also_from: Strays, ends: JointState, length_s: Array) -> Extremes:
    """Bounds (n, 7) of the quintics of lengths (n,), s, to `ends` (n, 7) from wherever else a motion may begin.

    A quintic is the sum of what its start and what its end make of it, so the starts are gone through once for each
    length: motions that differ in where they end only, and most candidates do, share that.
    """
    lengths_s, which = np.unique(length_s, return_inverse=True)
    states = also_from.states
    zero = np.zeros(states.positions.shape[-1])
    nowhere = JointState(zero, zero, zero)
    starts = JointState(states.positions[:, None], states.velocities[:, None], states.accelerations[:, None])
    of_starts = enclosing(quintic(starts, nowhere, lengths_s), lengths_s)  # (S, lengths, values, 7) each
    of_ends = enclosing(quintic(nowhere, ends, length_s), length_s)  # (n, values, 7) each
    of_blur = spreading(also_from.blur, lengths_s)
    parts = list(zip(of_starts, of_blur, of_ends, strict=True))
    least = [(start.min(axis=0) - blur)[which] + end for start, blur, end in parts]
    most = [(start.max(axis=0) + blur)[which] + end for start, blur, end in parts]
    peaks = (np.maximum(high, -low).max(axis=-2) for low, high in zip(least[1:], most[1:], strict=True))
    return Extremes(least[0].min(axis=-2), most[0].max(axis=-2), *peaks)


def enclosing(control: Array, length_s: Array) -> tuple[Array, Array, Array, Array]:
    """Values (..., n, 7) that enclose position, velocity, acceleration and jerk of the quintics; linear in `control`.

    They are the Bernstein coefficients after subdivision; n differs between the four.
    """
    h = np.asarray(length_s)[..., None, None]
    return (
        _ENCLOSE[0] @ control,
        _ENCLOSE[1] @ control / h,
        _ENCLOSE[2] @ control / h**2,
        _ENCLOSE[3] @ control / h**3,
    )


def spreading(spread: Array, length_s: Array) -> tuple[Array, Array, Array, Array]:
    """By how much values of `enclosing` may differ, (..., n, 7), when a quintic begins off by up to `spread` (3, 7).

    The difference of two quintics that end alike is one that ends in zero: linear in how it begins, joint by joint.
    """
    h = np.asarray(length_s)[..., None, None]
    scaled = spread * np.concatenate([np.ones_like(h), h, h**2], axis=-2)
    return (
        _SPREAD[0] @ scaled,
        _SPREAD[1] @ scaled / h,
        _SPREAD[2] @ scaled / h**2,
        _SPREAD[3] @ scaled / h**3,
    )


def _to_rest(start: JointState, ends: Array, durations_s: Array) -> Array:
    """Coefficients (n, 6, 7) of the motions from `start` to rest at `ends` (n, 7)."""
    rest = np.zeros(ends.shape[-1])
    return quintic(start, JointState(ends, rest, rest), durations_s)


def _excess_of_joining(control: Array, durations_s: Array, join_s: float, spec: Spec, also_from: Strays) -> Array:
    """`excess` (n,) of joining motions (n, 6, 7) from wherever else the controller may begin; -inf from nowhere."""
    if not len(also_from.states.positions):
        return np.full(len(control), -np.inf)
    joins_s = np.array([control_times(duration, join_s)[0] for duration in durations_s])
    joining = bounds_of_joining(also_from, sample(control, durations_s, joins_s), joins_s)
    return excess(joining, spec, whole_limits=True)


def _trajectory(start: JointState, end: Array, duration_s: float, join_s: float, spec: Spec) -> JointTrajectory:
    times_s = control_times(duration_s, join_s)
    states = sample(_to_rest(start, end, np.asarray(duration_s)), duration_s, times_s)
    states.positions[-1], states.velocities[-1], states.accelerations[-1] = end, 0.0, 0.0  # exactly, not rounded
    return JointTrajectory(spec.joint_names, times_s, states.positions, states.velocities, states.accelerations)


def control_times(duration_s: float, join_s: float) -> Array:
    """`join_s`, from there every control point spacing, and the end instead of one closer than half of that to it."""
    steps = np.arange(join_s, duration_s - 0.5 * CONTROL_POINT_SPACING_S, CONTROL_POINT_SPACING_S)
    return np.append(steps, duration_s)


def _basis(s: Array | float) -> Array:
    """Quintic Bernstein polynomials (..., 6) at s (...)."""
    factors = np.ones((2, *np.shape(s), 6))
    factors[0, ..., 1:] = np.asarray(s)[..., None]
    factors[1, ..., 1:] = 1.0 - factors[0, ..., 1:]
    rising, falling = np.multiply.accumulate(factors, axis=-1)
    return _BINOMIALS * rising * falling[..., ::-1]


def _subdivision(degree: int) -> Array:
    """Matrix from Bernstein coefficients on [0, 1] to those on each of `PARTS` equal parts, stacked.

    The k-th coefficient on [u, w] is the polar form (blossom) at n - k arguments u and k arguments w.
    """
    rows = []
    for part in range(PARTS):
        u, w = part / PARTS, (part + 1) / PARTS
        for k in range(degree + 1):
            coefficients = np.eye(degree + 1)
            for argument in [u] * (degree - k) + [w] * k:
                coefficients = (1.0 - argument) * coefficients[:-1] + argument * coefficients[1:]
            rows.append(coefficients[0])
    return np.array(rows)


def _derivatives() -> list[Array]:
    """Matrices from the coefficients of a quintic on [0, 1] to those of its derivatives, from the 0th to the third."""
    matrices: list[Array] = [np.eye(6)]
    for degree in (5, 4, 3):
        matrices.append(degree * np.diff(matrices[-1], axis=0))
    return matrices


def _blends() -> Array:
    """Matrix (6, 3 x 6): quintic Bernstein polynomials times it are those of position, velocity and acceleration.

    Derivatives are of lower degree; each step raises it by one (Farin, ch. 5, degree elevation).
    """
    blends = []
    for order in range(3):
        matrix = _DERIVATIVES[order]
        for degree in range(6 - order, 6):
            share = np.arange(degree + 1)[:, None] / degree
            matrix = share * np.vstack([matrix[:1], matrix]) + (1.0 - share) * np.vstack([matrix, matrix[-1:]])
        blends.append(matrix)
    return np.hstack(blends)


_BINOMIALS = np.array([float(comb(5, k)) for k in range(6)])
_DERIVATIVES = _derivatives()
_BLENDS = _blends()
_ENCLOSE = [_subdivision(5 - order) @ matrix for order, matrix in enumerate(_DERIVATIVES)]
_UNIT_STARTS = np.array([[1.0, 1.0, 1.0, 0, 0, 0], [0, 0.2, 0.4, 0, 0, 0], [0, 0, 0.05, 0, 0, 0]]).T
"""Coefficients (6, 3) of the quintics on [0, 1] that begin with position, velocity or acceleration 1, and end in 0."""

_SPREAD = [np.abs(matrix @ _UNIT_STARTS) for matrix in _ENCLOSE]
