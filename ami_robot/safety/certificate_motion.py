"""The motion that a sent trajectory makes, rebuilt from its control points for `certificate`; its extremes are exact.

Between two control points runs the quintic through position, velocity and acceleration at both. In s = t / h from 0 to
1 it is c0 + c1 s + ... + c5 s^5. What a polynomial can reach lies at an end or where its derivative is zero, and those
roots are the eigenvalues of a companion matrix: no bounds and no samples, unlike `motion`, with which this file shares
no code.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ami_robot.types import Array, JointState, JointTrajectory

QUANTITIES = ("position", "velocity", "acceleration", "jerk")
"""Derivatives by order: rad, rad/s, rad/s^2, rad/s^3."""

_NOISE = 1e-12
"""A leading coefficient below this share of the greatest one is rounding: it is lifted to it, its root far outside."""


class Motion:
    """Quintic pieces from `start` through the points of a trajectory, then rest."""

    def __init__(self, start: JointState, trajectory: JointTrajectory):
        self._knots_s = np.concatenate([[0.0], trajectory.times_s])
        positions, velocities, accelerations = (
            np.vstack([getattr(start, name), getattr(trajectory, name)])
            for name in ("positions", "velocities", "accelerations")
        )
        self._spans_s = np.diff(self._knots_s)
        self._pieces = _hermite(positions, velocities, accelerations, self._spans_s)
        self._end = positions[-1]

    @classmethod
    def at_rest(cls, positions: Array) -> Motion:
        """Standing still at joint positions (7,), rad."""
        rest = np.zeros((1, len(positions)))
        still = JointState(positions, rest[0], rest[0])
        return cls(still, JointTrajectory((), np.array([1e-9]), np.array([positions]), rest, rest))

    @property
    def duration_s(self) -> float:
        """Until it rests, s."""
        return float(self._knots_s[-1])

    @property
    def join_s(self) -> float:
        """Until the first control point, s: from there on it no longer matters where the motion began."""
        return float(self._knots_s[1])

    @property
    def end(self) -> Array:
        """Where it comes to rest (7,), rad."""
        return self._end

    def state(self, t_s: float) -> JointState:
        """State `t_s` after the start, s, each (7,); the start before it, rest after the end."""
        if not t_s < self.duration_s:
            return JointState(self._end, np.zeros_like(self._end), np.zeros_like(self._end))
        positions, velocities, accelerations = self.sample(np.array([max(0.0, t_s)]))
        return JointState(positions[0], velocities[0], accelerations[0])

    def sample(self, times_s: Array) -> tuple[Array, Array, Array]:
        """Positions, velocities and accelerations, each (n, 7), at times (n,), s, from the start to the end."""
        piece = np.clip(np.searchsorted(self._knots_s, times_s, side="right") - 1, 0, len(self._spans_s) - 1)
        span_s = self._spans_s[piece]
        s = (times_s - self._knots_s[piece]) / span_s
        curves = np.moveaxis(self._pieces[piece], 1, -1)  # (n, 7, 6)
        values = []
        for order in range(3):
            values.append(_evaluate(curves, s[:, None, None])[..., 0] / span_s[:, None] ** order)
            curves = _derivative(curves)
        return values[0], values[1], values[2]

    def extremes(self, join_only: bool = False) -> dict[str, tuple[Array, Array]]:
        """Least and greatest value (7,) of each quantity over the whole motion, or up to the first control point."""
        pieces, spans_s = (self._pieces[:1], self._spans_s[:1]) if join_only else (self._pieces, self._spans_s)
        found = {}
        for quantity, (low, high) in zip(QUANTITIES, _extremes_by_order(pieces), strict=True):
            scale = spans_s[:, None] ** QUANTITIES.index(quantity)
            found[quantity] = ((low / scale).min(axis=0), (high / scale).max(axis=0))
        return found


def _hermite(positions: Array, velocities: Array, accelerations: Array, spans_s: Array) -> Array:
    """Coefficients (K, 6, 7) in rising powers of s of the pieces between states (K + 1, 7)."""
    h = spans_s[:, None]
    p0, p1 = positions[:-1], positions[1:]
    v0, v1 = velocities[:-1] * h, velocities[1:] * h
    a0, a1 = accelerations[:-1] * h**2 / 2, accelerations[1:] * h**2 / 2
    way = p1 - p0
    c3 = 10 * way - 6 * v0 - 4 * v1 - 3 * a0 + a1
    c4 = -15 * way + 8 * v0 + 7 * v1 + 3 * a0 - 2 * a1
    c5 = 6 * way - 3 * v0 - 3 * v1 - a0 + a1
    return np.stack([p0, v0, a0, c3, c4, c5], axis=1)


def _extremes_by_order(pieces: Array) -> Iterator[tuple[Array, Array]]:
    """Least and greatest value (K, 7) over 0..1 of the pieces (K, 6, 7) and of their derivatives by s, in order."""
    curves = np.moveaxis(pieces, 1, -1)  # (K, 7, 6)
    for _ in QUANTITIES:
        slopes = _derivative(curves)
        roots = np.clip(_real_parts_of_roots(slopes), 0.0, 1.0)  # a value inside is reached, so one too many is no harm
        ends = np.broadcast_to([0.0, 1.0], (*roots.shape[:-1], 2))
        values = _evaluate(curves, np.concatenate([ends, roots], axis=-1))
        yield values.min(axis=-1), values.max(axis=-1)
        curves = slopes


def _derivative(curves: Array) -> Array:
    """Of polynomials (..., d + 1) in rising powers: (..., d)."""
    return curves[..., 1:] * np.arange(1, curves.shape[-1])


def _evaluate(curves: Array, s: Array) -> Array:
    """Polynomials (..., d + 1) at points (..., n)."""
    value = np.zeros(np.broadcast_shapes((*curves.shape[:-1], 1), s.shape))
    for power in range(curves.shape[-1] - 1, -1, -1):
        value = value * s + curves[..., power, None]
    return value


def _real_parts_of_roots(curves: Array) -> Array:
    """Of polynomials (..., d + 1): (..., d). A double root may come back as a close complex pair, so all are tried."""
    degree = curves.shape[-1] - 1
    greatest = np.abs(curves).max(axis=-1)
    floor = np.where(greatest > 0.0, _NOISE * greatest, 1.0)
    leading = np.where(np.abs(curves[..., -1]) < floor, floor, curves[..., -1])
    companion = np.zeros((*curves.shape[:-1], degree, degree))
    companion[..., np.arange(1, degree), np.arange(degree - 1)] = 1.0
    companion[..., -1] = -curves[..., :-1] / leading[..., None]
    return np.linalg.eigvals(companion).real
