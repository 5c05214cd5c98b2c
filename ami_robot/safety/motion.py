"""Motions that end at rest: one quintic from where the arm is told to be, to standing still, within the limits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ami_robot.safety.compiled import array, compiled, made
from ami_robot.safety.quintic import (
    Extremes,
    Strays,
    bounds,
    bounds_of_joining,
    no_strays,
    quintic,
    sample,
    sample_chain,
)
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
        self.lengths_s = self._times_s[1:] - self._times_s[:-1]
        states = np.empty((3, len(self._times_s), len(start.positions)))
        states[:, 0] = start.positions, start.velocities, start.accelerations
        states[:, 1:] = trajectory.positions, trajectory.velocities, trajectory.accelerations
        self.control = quintic(JointState(*states[:, :-1]), JointState(*states[:, 1:]), self.lengths_s)
        self._end = JointState(states[0, -1], *np.zeros((2, len(start.positions))))

    def sample(self, t_s: float) -> JointState:
        """Desired state `t_s` seconds after the start, each (7,); the start before it, rest after the end."""
        if t_s <= 0.0:
            return self.start
        if not t_s < self.duration_s:
            return self._end
        state = self.states(np.array([t_s]))
        return JointState(state.positions[0], state.velocities[0], state.accelerations[0])

    @property
    def join_s(self) -> float:
        """Until the first control point, s: from there on it no longer matters where the controller began."""
        return float(self.lengths_s[0])

    def joining(self, states: JointState) -> Array:
        """Coefficients (n, 6, 7) of the pieces from other states, each (n, 7), to the first control point."""
        return quintic(states, self.sample(self.join_s), self.lengths_s[0])

    def positions(self, times_s: Array) -> Array:
        """Desired positions (n, 7), rad, at times (n,), s; those of the start and the end before and after."""
        return self.states(np.minimum(np.maximum(times_s, 0.0), self.duration_s)).positions

    def states(self, times_s: Array) -> JointState:
        """Desired states, each (n, 7), at times (n,), s, within the duration."""
        return sample_chain(self.control, self._times_s, times_s)

    def extremes(self) -> Extremes:
        """Bounds over the whole motion, each (7,)."""
        pieces = bounds(self.control, self.lengths_s).values  # (5, P, 7)
        return Extremes(np.concatenate([pieces[:1].min(axis=1), pieces[1:].max(axis=1)]))


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

    When no duration keeps all limits, the one that exceeds them least, and the shortest of those that do so alike, as
    from a start that is too fast: an arm that has to stop must get something.
    """
    also_from = also_from or no_strays(len(start.positions))
    h = BRAKE_DURATIONS_S[:, None]
    ends = start.positions + start.velocities * h / 2.0 + start.accelerations * h**2 / 12.0
    worst = np.full(len(h), np.inf)
    for batch in (slice(0, 6), slice(6, 16), slice(16, None)):  # mostly an early one holds
        durations_s = BRAKE_DURATIONS_S[batch]
        control = _to_rest(start, ends[batch], durations_s)
        joining = _excess_of_joining(control, durations_s, JOINS_S[-1], spec, also_from)
        worst[batch] = np.maximum(excess(bounds(control, durations_s), spec), joining)
        holds = worst <= ROUNDING
        if holds.any():
            break
    best = int(np.argmax(holds if holds.any() else worst <= worst.min() * (1.0 + ROUNDING)))
    return _trajectory(start, ends[best], float(BRAKE_DURATIONS_S[best]), JOINS_S[-1], spec)


def limit_margins(extremes: Extremes, spec: Spec, whole_limits: bool = False) -> dict[str, Array]:
    """Distance of each joint to each limit, (..., 7) for each row in the row's unit, negative when broken.

    Measured to what commands may use of a limit, or to the whole limit.
    """
    values = extremes.values
    margins = _margins(values.reshape(5, -1, values.shape[-1]), _limits(spec, whole_limits))
    position, velocity, acceleration, jerk = margins.reshape(4, *values.shape[1:])
    return {
        "joint_position": position,
        "joint_velocity": velocity,
        "joint_acceleration": acceleration,
        "joint_jerk": jerk,
    }


def excess(extremes: Extremes, spec: Spec, whole_limits: bool = False) -> Array:
    """By what share of its limit the worst joint breaks the worst row, (...,); not above 0 when all rows hold."""
    values = extremes.values
    flat = values.reshape(5, -1, values.shape[-1])
    return _worst_share(flat, _limits(spec, whole_limits), _ranges(spec)).reshape(values.shape[1:-1])[()]


@lru_cache(maxsize=16)
def _limits(spec: Spec, whole: bool) -> Array:
    """Least and greatest position, greatest speed, acceleration and jerk, (5, 7)."""
    position, velocity, acceleration, jerk = (
        spec.joint_position, spec.joint_velocity, spec.joint_acceleration, spec.joint_jerk,
    )  # fmt: skip
    if whole:
        limits = (
            position.lower_rad, position.upper_rad,
            velocity.limit_rad_per_s, acceleration.limit_rad_per_s2, jerk.limit_rad_per_s3,
        )  # fmt: skip
    else:
        limits = (
            position.command_lower_rad, position.command_upper_rad,
            velocity.command_limit_rad_per_s, acceleration.command_limit_rad_per_s2, jerk.command_limit_rad_per_s3,
        )  # fmt: skip
    return np.array(limits)


@lru_cache(maxsize=8)
def _ranges(spec: Spec) -> Array:
    """What shares of the four rows are shares of, (4, 7): the whole range of positions and the whole limits."""
    lower, upper, *others = _limits(spec, True)
    return np.array([upper - lower, *others])


@compiled(made(3), array(3), array(2))
def _margins(values: Array, limits: Array) -> Array:
    """Distance (4, n, 7) of `Extremes` (5, n, 7) to limits (5, 7), for each row."""
    margins = np.empty((4, *values.shape[1:]))
    for i in range(values.shape[1]):
        for j in range(values.shape[2]):
            margins[0, i, j] = np.minimum(values[0, i, j] - limits[0, j], limits[1, j] - values[1, i, j])  # keeps NaN
            for row in range(1, 4):
                margins[row, i, j] = limits[row + 1, j] - values[row + 1, i, j]
    return margins


@compiled(made(1), array(3), array(2), array(2))
def _worst_share(values: Array, limits: Array, ranges: Array) -> Array:
    """By what share (n,) of its range (4, 7) the worst row of the worst joint is broken."""
    margins = _margins(values, limits)
    worst = np.full(margins.shape[1], -np.inf)
    for row in range(4):
        for i in range(len(worst)):
            for j in range(ranges.shape[1]):
                worst[i] = np.maximum(worst[i], -margins[row, i, j] / ranges[row, j])  # keeps NaN
    return worst


def _to_rest(start: JointState, ends: Array, durations_s: Array | float) -> Array:
    """Coefficients (n, 6, 7) of the motions from `start` to rest at `ends` (n, 7)."""
    rest = np.zeros(ends.shape[-1])
    return quintic(start, JointState(ends, rest, rest), durations_s)


def _excess_of_joining(control: Array, durations_s: Array, join_s: float, spec: Spec, also_from: Strays) -> Array:
    """`excess` (n,) of joining motions (n, 6, 7) from wherever else the controller may begin; -inf from nowhere."""
    if not len(also_from.states.positions):
        return np.full(len(control), -np.inf)
    joins_s = np.where(join_s < durations_s - 0.5 * CONTROL_POINT_SPACING_S, join_s, durations_s)  # `control_times`
    joining = bounds_of_joining(also_from, sample(control, durations_s, joins_s), joins_s)
    return excess(joining, spec, whole_limits=True)


def _trajectory(start: JointState, end: Array, duration_s: float, join_s: float, spec: Spec) -> JointTrajectory:
    times_s = control_times(duration_s, join_s)
    states = sample(_to_rest(start, end, duration_s), duration_s, times_s)
    states.positions[-1], states.velocities[-1], states.accelerations[-1] = end, 0.0, 0.0  # exactly, not rounded
    return JointTrajectory(spec.joint_names, times_s, states.positions, states.velocities, states.accelerations)


def control_times(duration_s: float, join_s: float) -> Array:
    """`join_s`, from there every control point spacing, and the end instead of one closer than half of that to it."""
    steps = np.arange(join_s, duration_s - 0.5 * CONTROL_POINT_SPACING_S, CONTROL_POINT_SPACING_S)
    return np.concatenate([steps, [duration_s]])
