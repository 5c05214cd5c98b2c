"""From where the controller may really begin a motion: what of delays that vary is left of one motion in the next.

A trajectory starts when it arrives, from the state desired by then. It is reckoned to arrive at once; by up to
`jitter_s` the delays of two messages may differ, so the running motion is that much behind or ahead when the next one
arrives. And the running motion itself may have begun elsewhere: then it is off its nominal way until its first control
point, by a quintic that is linear in how far off it began, joint by joint. So it begins at a sum of

    way      along the nominal way of the running motion, from early to late
    off      what the running motion is off it, had it begun early, in between or late
    spread   what is left of all that came before: a box, which the quintic maps into another one

Joint limits are linear in where a motion begins: they are looked at from all sums of the first two, blurred by the
third, and by how far curves bend away from their chords, measured half way. Geometry is looked at from the outermost.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ami_robot.safety.motion import PARTS, Spline, Strays, sample, spreading
from ami_robot.types import Array, JointState

_STEP_S = 0.02  # at most, between the states; half way between two of them is looked how far the way bends


def strays(motion: Spline, elapsed_s: float, before_s: float, after_s: float) -> Strays:
    """Where the next motion may begin, s before and after the time that has elapsed of this one."""
    margin_s = 4.0 * _STEP_S  # a clock may be years ahead, the motion is only so long
    ends_s = np.clip([elapsed_s - before_s, elapsed_s + after_s], -margin_s, motion.duration_s + margin_s)
    quarter = max(2, int(np.ceil(np.ptp(ends_s) / _STEP_S / 2.0 - 1e-9)))
    times_s = np.linspace(ends_s[0], ends_s[1], 4 * quarter + 1)
    times_s = np.minimum(np.maximum(times_s, 0.0), motion.duration_s)
    way = _stacked(motion.states(times_s))  # (T, 3, 7)
    nodes = way[:: 2 * quarter]
    bent = np.abs(way - np.einsum("tn,nij->tij", _chords(quarter), nodes)).max(axis=0)
    if not (len(motion.also_from.way.positions) and times_s[0] < motion.join_s):
        return Strays(_state(way[::2]), _bow(way[None]), _state(way[[0, -1]]), _state(nodes), bent)
    off = motion.joining(motion.also_from.way) - motion.control[0]  # (3, 6, 7)
    off = _stacked(sample(off[:, None], motion.join_s, np.minimum(times_s, motion.join_s)))  # (3, T, 3, 7)
    sums, left = way + off, _left(motion, times_s[[0, -1]] / motion.join_s)
    spread = bent + np.abs(off).max(axis=(0, 1)) + _bow(off) + left
    corners = sums[::2, [0, -1]].reshape(-1, *way.shape[1:])
    return Strays(
        _state(sums[:, ::2].reshape(-1, *way.shape[1:])), _bow(sums) + left, _state(corners), _state(nodes), spread
    )


def _left(motion: Spline, shares: Array) -> Array:
    """What is left (3, 7) of the spread with which a motion begins, between two shares of its first piece."""
    parts = slice(int(shares[0] * PARTS), max(int(np.ceil(min(shares[1], 1.0) * PARTS)), 1))
    values = spreading(motion.also_from.spread, motion.lengths_s[0])[:3]
    return np.array([value.reshape(PARTS, -1, value.shape[-1])[parts].max(axis=(0, 1)) for value in values])


@lru_cache(maxsize=64)
def _chords(quarter: int) -> Array:
    """From the first, middle and last of T = 4 quarter + 1 states to the chords between them, (T, 3)."""
    return np.maximum(1.0 - np.abs(np.arange(4 * quarter + 1)[:, None] / (2.0 * quarter) - np.arange(3)), 0.0)


def _bow(ways: Array) -> Array:
    """How far ways (n, T, 3, 7) bend, half way, from the chords between every other of their states."""
    return np.abs(ways[:, 1::2] - (ways[:, :-1:2] + ways[:, 2::2]) / 2.0).max(axis=(0, 1))


def _stacked(states: JointState) -> Array:
    """States, each (..., 7), as (..., 3, 7)."""
    return np.stack([states.positions, states.velocities, states.accelerations], axis=-2)


def _state(stacked: Array) -> JointState:
    return JointState(stacked[:, 0], stacked[:, 1], stacked[:, 2])
