"""Quintics between two states of the joints: where they are at a time, and what they stay within all the way.

A quintic on [0, h] through (position, velocity, acceleration) at both ends has the Bernstein coefficients

    p0, p0 + v0 h/5, p0 + 2 v0 h/5 + a0 h^2/20, p1 - 2 v1 h/5 + a1 h^2/20, p1 - v1 h/5, p1.

A polynomial lies between its least and greatest Bernstein coefficient, and more closely so after subdivision
(Farin, "Curves and Surfaces for CAGD", ch. 5). Limits are checked on these bounds: they hold everywhere along the
motion, not only at samples, and no roots are needed. Arrays of control points are (..., 6, 7), joints last.

The loops are compiled. Arguments of n rows may have fewer, which are then gone round. Least and greatest of compared
numbers pass over NaN, so each joint has an `unknown`, 0 or NaN, that is added in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod

import numpy as np
from numba import void

from ami_robot.safety.compiled import FLOAT, INTEGER, array, compiled, made
from ami_robot.types import Array, JointState

PARTS = 12
"""Equal parts of a quintic's length, each of which `enclosing` encloses by itself."""


@dataclass(frozen=True, eq=False)
class Extremes:
    """Bounds of a motion for each joint. Never too small; less than 1 % too large."""

    values: Array  # (5, ..., 7): those below, one after the other

    @property
    def lower_rad(self) -> Array:
        """Least position, (..., 7)."""
        return self.values[0]

    @property
    def upper_rad(self) -> Array:
        """Greatest position, (..., 7)."""
        return self.values[1]

    @property
    def speed_rad_per_s(self) -> Array:
        """Greatest speed, (..., 7)."""
        return self.values[2]

    @property
    def acceleration_rad_per_s2(self) -> Array:
        """Greatest magnitude of the acceleration, (..., 7)."""
        return self.values[3]

    @property
    def jerk_rad_per_s3(self) -> Array:
        """Greatest magnitude of the jerk, (..., 7)."""
        return self.values[4]


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


def quintic(start: JointState, end: JointState, length_s: Array | float) -> Array:
    """Bernstein coefficients (..., 6, 7) of the quintics between states (..., 7) that take `length_s` (...,)."""
    joints = start.positions.shape[-1]
    shape = _together(np.shape(length_s), start.positions.shape[:-1], end.positions.shape[:-1])
    p0, v0, a0, p1, v1, a1 = (_rows(values, shape, joints) for values in (*_values(start), *_values(end)))
    return _quintics(prod(shape), p0, v0, a0, p1, v1, a1, _rows(length_s, shape)).reshape(*shape, 6, joints)


def sample(control: Array, length_s: Array | float, t_s: Array | float) -> JointState:
    """States (..., 7) of quintics with coefficients (..., 6, 7) and lengths (...,), s, at times (...,), s."""
    shape = _together(np.shape(length_s), np.shape(t_s), control.shape[:-2])
    each = control.shape[-2:]
    states = _samples(prod(shape), _rows(control, shape, *each), _rows(length_s, shape), _rows(t_s, shape))
    return JointState(*states.reshape(3, *shape, each[1]))


def sample_chain(control: Array, knots_s: Array, t_s: Array) -> JointState:
    """States (n, 7) at times (n,), s, of quintics (P, 6, 7) one after the other, from knot to knot (P + 1,), s."""
    return JointState(*_chain_samples(control, knots_s, np.ascontiguousarray(t_s, dtype=np.float64)))


def bounds(control: Array, length_s: Array | float) -> Extremes:
    """Bounds (..., 7) of the quintics with coefficients (..., 6, 7) and lengths (...,), s."""
    shape = _together(np.shape(length_s), control.shape[:-2])
    each = control.shape[-2:]
    extremes = _bounds(prod(shape), _rows(control, shape, *each), _rows(length_s, shape))
    return Extremes(extremes.reshape(5, *shape, each[1]))


def bounds_of_joining(also_from: Strays, ends: JointState, length_s: Array) -> Extremes:
    """Bounds (n, 7) of the quintics of lengths (n,), s, to `ends` (n, 7) from wherever else a motion may begin.

    A quintic is the sum of what its start and what its end make of it, so the starts are gone through once for lengths
    that follow each other and are equal: motions that differ in where they end only, and most candidates do.
    """
    count, joints = also_from.states.positions.shape
    p0, v0, a0 = (_rows(values, (count,), joints) for values in _values(also_from.states))
    p1, v1, a1 = (_rows(values, length_s.shape, joints) for values in _values(ends))
    blur, lengths_s = _rows(also_from.blur, (3,), joints), _rows(length_s, length_s.shape)
    return Extremes(_joining_bounds(p0, v0, a0, blur, p1, v1, a1, lengths_s))


def enclosing(control: Array, length_s: Array | float) -> tuple[Array, Array, Array, Array]:
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


def left_of(spread: Array, length_s: float, begin_s: float, end_s: float) -> Array:
    """How far (3, 7) quintics that begin off by up to `spread` (3, 7) and end alike still differ between two times.

    The difference of two of them is one that ends in zero: linear in how it begins, joint by joint.
    """
    first = min(int(begin_s / length_s * PARTS), PARTS - 1)
    end = min(max(ceil(end_s / length_s * PARTS), first + 1), PARTS)
    return _left_of(_rows(spread, (3,), spread.shape[-1]), length_s, first, end)


def _values(states: JointState) -> tuple[Array, Array, Array]:
    return states.positions, states.velocities, states.accelerations


def _together(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that these broadcast to; mostly it is one of them."""
    distinct = {*shapes} - {()}
    return np.broadcast_shapes(*distinct) if len(distinct) > 1 else next(iter(distinct), ())


def _rows(values: Array | float, shape: tuple[int, ...], *each: int) -> Array:
    """Values that broadcast to (*shape, *each), as rows (n, *each); as fewer of them where repeating these suffices."""
    rows = np.array(values, np.float64, copy=None, order="C", ndmin=1 + len(each))
    if rows.shape[1:] == each and rows.shape[0] in (1, *shape[-1:]):
        return rows
    repeated = np.empty((*shape, *each))
    repeated[...] = values
    return repeated.reshape(-1, *each)


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


_ENCLOSE = [_subdivision(5 - order) @ matrix for order, matrix in enumerate(_derivatives())]
_ORDERS = np.cumsum([0, *map(len, _ENCLOSE)])  # where the values of each derivative begin, and where they end
_VALUES = int(_ORDERS[-1])  # R of them

_OF_CONTROL = np.ascontiguousarray(np.vstack(_ENCLOSE).T)
"""What each coefficient gives to the enclosing values, (6, R)."""

_OF_START = np.array([[1, 1, 1, 0, 0, 0], [0, 0.2, 0.4, 0, 0, 0], [0, 0, 0.05, 0, 0, 0]]) @ _OF_CONTROL
_OF_END = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, -0.4, -0.2, 0], [0, 0, 0, 0.05, 0, 0]]) @ _OF_CONTROL
"""What position, velocity and acceleration at the start or at the end give to them on [0, 1], (3, R)."""


@compiled(made(3), INTEGER, *[array(2)] * 6, array(1))
def _quintics(
    n: int, p0: Array, v0: Array, a0: Array, p1: Array, v1: Array, a1: Array, lengths_s: Array
) -> Array:  # (n, 6, 7)
    joints = p0.shape[1]
    control = np.empty((n, 6, joints))
    for i in range(n):
        h = lengths_s[i % len(lengths_s)]
        fifth, twentieth = h / 5.0, h**2 / 20.0
        for j in range(joints):
            p, v, a = p0[i % len(p0), j], v0[i % len(v0), j] * fifth, a0[i % len(a0), j] * twentieth
            control[i, 0, j], control[i, 1, j], control[i, 2, j] = p, p + v, p + 2.0 * v + a
            p, v, a = p1[i % len(p1), j], v1[i % len(v1), j] * fifth, a1[i % len(a1), j] * twentieth
            control[i, 3, j], control[i, 4, j], control[i, 5, j] = p - 2.0 * v + a, p - v, p
    return control


@compiled(void, array(2), FLOAT, FLOAT, made(3), INTEGER)
def _set_state(control: Array, h: float, t_s: float, states: Array, i: int) -> None:
    """The state at a time as the i-th of (3, n, 7), by de Casteljau's steps: each leaves one coefficient less."""
    s = t_s / h
    r = 1.0 - s
    for j in range(control.shape[1]):
        c0, c1, c2, c3, c4, c5 = (
            control[0, j],
            control[1, j],
            control[2, j],
            control[3, j],
            control[4, j],
            control[5, j],
        )
        c0, c1, c2, c3, c4 = r * c0 + s * c1, r * c1 + s * c2, r * c2 + s * c3, r * c3 + s * c4, r * c4 + s * c5
        c0, c1, c2, c3 = r * c0 + s * c1, r * c1 + s * c2, r * c2 + s * c3, r * c3 + s * c4
        c0, c1, c2 = r * c0 + s * c1, r * c1 + s * c2, r * c2 + s * c3
        states[2, i, j] = 20.0 * (c2 - 2.0 * c1 + c0) / h**2
        c0, c1 = r * c0 + s * c1, r * c1 + s * c2
        states[1, i, j] = 5.0 * (c1 - c0) / h
        states[0, i, j] = r * c0 + s * c1


@compiled(made(3), INTEGER, array(3), array(1), array(1))
def _samples(n: int, control: Array, lengths_s: Array, times_s: Array) -> Array:  # (3, n, 7)
    states = np.empty((3, n, control.shape[2]))
    for i in range(n):
        _set_state(control[i % len(control)], lengths_s[i % len(lengths_s)], times_s[i % len(times_s)], states, i)
    return states


@compiled(made(3), array(3), array(1), array(1))
def _chain_samples(control: Array, knots_s: Array, times_s: Array) -> Array:  # (3, n, 7)
    states = np.empty((3, len(times_s), control.shape[2]))
    for i, t_s in enumerate(times_s):
        piece = 0
        while piece < len(control) - 1 and knots_s[piece + 1] <= t_s:
            piece += 1
        _set_state(control[piece], knots_s[piece + 1] - knots_s[piece], t_s - knots_s[piece], states, i)
    return states


@compiled(FLOAT, array(1), INTEGER, INTEGER)
def _greatest(values: Array, begin: int, end: int) -> float:
    """Of a part of some values, four at a time: a comparison waits for the one before."""
    first, second, third, fourth = -np.inf, -np.inf, -np.inf, -np.inf
    for row in range(begin, end, 4):  # parts are multiples of `PARTS`
        first, second = max(first, values[row]), max(second, values[row + 1])
        third, fourth = max(third, values[row + 2]), max(fourth, values[row + 3])
    return max(first, second, third, fourth)


@compiled(void, array(1), array(1), FLOAT, FLOAT, made(3), INTEGER, INTEGER)
def _set_extremes(most: Array, least: Array, h: float, unknown: float, extremes: Array, i: int, j: int) -> None:
    """The extremes (5, n, 7) of one joint of one motion, from the most and minus the least (R,) of enclosing values."""
    extremes[0, i, j] = unknown - _greatest(least, 0, _ORDERS[1])
    extremes[1, i, j] = unknown + _greatest(most, 0, _ORDERS[1])
    for order in range(1, 4):
        begin, end = _ORDERS[order], _ORDERS[order + 1]
        peak = max(_greatest(most, begin, end), _greatest(least, begin, end))
        extremes[order + 1, i, j] = unknown + peak / abs(h) ** order


@compiled(made(3), INTEGER, array(3), array(1))
def _bounds(n: int, control: Array, lengths_s: Array) -> Array:  # (5, n, 7)
    joints = control.shape[2]
    extremes, most, least = np.empty((5, n, joints)), np.empty(_VALUES), np.empty(_VALUES)
    for i in range(n):
        for j in range(joints):
            c0, c1, c2, c3, c4, c5 = control[i % len(control), :, j]
            for row in range(_VALUES):
                value = _OF_CONTROL[0, row] * c0 + _OF_CONTROL[1, row] * c1 + _OF_CONTROL[2, row] * c2
                value += _OF_CONTROL[3, row] * c3 + _OF_CONTROL[4, row] * c4 + _OF_CONTROL[5, row] * c5
                most[row], least[row] = value, -value
            unknown = 0.0 * (c0 + c1 + c2 + c3 + c4 + c5)
            _set_extremes(most, least, lengths_s[i % len(lengths_s)], unknown, extremes, i, j)
    return extremes


@compiled(FLOAT, array(2), array(2), array(2), array(2), INTEGER, FLOAT, made(1), made(1))
def _set_starts(
    p0: Array, v0: Array, a0: Array, blur: Array, j: int, h: float, most: Array, least: Array
) -> float:  # unknown
    """The most and minus the least (R,) that all starts (S, 7) of one joint, blurred, give to enclosing values."""
    most[:], least[:], unknown = -np.inf, -np.inf, 0.0
    for start in range(len(p0)):
        p, v, a = p0[start, j], v0[start, j] * h, a0[start, j] * h**2
        unknown += 0.0 * (p + v + a)
        for row in range(_VALUES):
            value = _OF_START[0, row] * p + _OF_START[1, row] * v + _OF_START[2, row] * a
            most[row], least[row] = max(most[row], value), max(least[row], -value)
    p, v, a = blur[0, j], blur[1, j] * h, blur[2, j] * h**2
    for row in range(_VALUES):
        blurred = abs(_OF_START[0, row]) * p + abs(_OF_START[1, row]) * v + abs(_OF_START[2, row]) * a
        most[row], least[row] = most[row] + blurred, least[row] + blurred
    return unknown + 0.0 * (p + v + a)


@compiled(made(3), *[array(2)] * 7, array(1))
def _joining_bounds(
    p0: Array, v0: Array, a0: Array, blur: Array, p1: Array, v1: Array, a1: Array, lengths_s: Array
) -> Array:  # (5, n, 7)
    n, joints = len(lengths_s), p0.shape[1]
    extremes, unknown = np.empty((5, n, joints)), np.empty(joints)
    of_starts, most, least = np.empty((2, joints, _VALUES)), np.empty(_VALUES), np.empty(_VALUES)
    for i in range(n):
        h = lengths_s[i]
        for j in range(joints):
            if i == 0 or h != lengths_s[i - 1]:
                unknown[j] = _set_starts(p0, v0, a0, blur, j, h, of_starts[0, j], of_starts[1, j])
            p, v, a = p1[i % len(p1), j], v1[i % len(v1), j] * h, a1[i % len(a1), j] * h**2
            for row in range(_VALUES):
                value = _OF_END[0, row] * p + _OF_END[1, row] * v + _OF_END[2, row] * a
                most[row], least[row] = of_starts[0, j, row] + value, of_starts[1, j, row] - value
            _set_extremes(most, least, h, unknown[j] + 0.0 * (p + v + a), extremes, i, j)
    return extremes


@compiled(made(2), array(2), FLOAT, INTEGER, INTEGER)
def _left_of(spread: Array, h: float, first: int, end: int) -> Array:  # (3, 7)
    left = np.zeros(spread.shape)
    for j in range(spread.shape[1]):
        p, v, a = spread[0, j], spread[1, j] * h, spread[2, j] * h**2
        for order in range(3):
            each = 6 - order
            for row in range(_ORDERS[order] + first * each, _ORDERS[order] + end * each):
                value = abs(_OF_START[0, row]) * p + abs(_OF_START[1, row]) * v + abs(_OF_START[2, row]) * a
                left[order, j] = max(left[order, j], value / h**order)
            left[order, j] += 0.0 * (p + v + a)
    return left
