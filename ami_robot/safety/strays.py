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

from math import ceil

import numpy as np

from ami_robot.safety.compiled import INTEGER, array, compiled, made
from ami_robot.safety.motion import Spline
from ami_robot.safety.quintic import Strays, left_of, sample
from ami_robot.types import Array, JointState

_STEP_S = 0.02  # at most, between the states; half way between two of them is looked how far the way bends


def strays(motion: Spline, elapsed_s: float, before_s: float, after_s: float) -> Strays:
    """Where the next motion may begin, s before and after the time that has elapsed of this one."""
    margin_s = 4.0 * _STEP_S  # a clock may be years ahead, the motion is only so long
    begin_s, end_s = (
        min(max(shifted_s, -margin_s), motion.duration_s + margin_s)
        for shifted_s in (elapsed_s - before_s, elapsed_s + after_s)
    )
    quarter = max(2, ceil((end_s - begin_s) / _STEP_S / 2.0 - 1e-9))
    times_s = begin_s + (end_s - begin_s) * (np.arange(4 * quarter + 1) / (4 * quarter))
    times_s = np.minimum(np.maximum(times_s, 0.0), motion.duration_s)
    way = _stacked(motion.states(times_s))[:, None]  # (3, 1, T, 7)
    nodes = JointState(*way[:, 0, :: 2 * quarter])
    bent = _bend(way, 2 * quarter)
    if not (len(motion.also_from.way.positions) and times_s[0] < motion.join_s):
        return Strays(_flat(way[:, :, ::2]), _bend(way, 2), _flat(way[:, :, [0, -1]]), nodes, bent)
    off = motion.joining(motion.also_from.way) - motion.control[0]  # (3, 6, 7)
    off = _stacked(sample(off[:, None], motion.join_s, np.minimum(times_s, motion.join_s)))  # (3, 3, T, 7)
    left = left_of(motion.also_from.spread, motion.join_s, times_s[0], times_s[-1])
    sums = way + off
    spread = bent + np.abs(off).max(axis=(1, 2)) + _bend(off, 2) + left
    return Strays(_flat(sums[:, :, ::2]), _bend(sums, 2) + left, _flat(sums[:, ::2, [0, -1]]), nodes, spread)


def _stacked(states: JointState) -> Array:
    """States, each (..., 7), as (3, ..., 7)."""
    return np.array([states.positions, states.velocities, states.accelerations])


def _flat(states: Array) -> JointState:
    """States (3, n, T, 7), as (n T, 7) each."""
    return JointState(*states.reshape(3, -1, states.shape[-1]))


@compiled(made(2), array(4), INTEGER)
def _bend(ways: Array, every: int) -> Array:  # (3, 7)
    """How far ways (3, n, T, 7) bend from the chords between each `every`-th of their states; NaN stays."""
    times, joints = ways.shape[2:]
    bend = np.zeros((3, joints))
    for kind in range(3):
        for way in ways[kind]:
            for t in range(times - 1):
                begin, share = t - t % every, (t % every) / every
                for j in range(joints):
                    chord = (1.0 - share) * way[begin, j] + share * way[begin + every, j]
                    bend[kind, j] = np.maximum(bend[kind, j], abs(way[t, j] - chord))
    return bend
