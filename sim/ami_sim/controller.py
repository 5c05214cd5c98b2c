"""The rules of the stock joint_trajectory_controller (ros2_controllers), for simulated and loopback arms.

As configured for streams: `allow_partial_joints_goal: false`, `allow_nonzero_velocity_at_trajectory_end: false`,
`interpolate_from_desired_state: true`. A new trajectory starts now, from the present desired state, and replaces the
running one. Spline degree by what the points carry: positions alone give straight lines, positions and velocities
cubics, positions, velocities and accelerations quintics. Stricter than the stock controller in one way: numbers that
are not finite are rejected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ami_robot.safety.motion import Spline
from ami_robot.types import Array, JointState, JointTrajectory

END_VELOCITY_TOLERANCE_RAD_PER_S = float(np.finfo(np.float32).eps)  # the stock controller's own

AcceptListener = Callable[[JointTrajectory, JointState, float], None]
"""Called with the accepted trajectory in the controller's joint order, the desired state it starts from, the time s."""


class _Motion(Protocol):
    duration_s: float

    def sample(self, t_s: float) -> JointState: ...


class JointTrajectoryController:
    """Holds the desired motion of some joints; knows no clock: every call says what time it is, in s."""

    def __init__(self, joint_names: tuple[str, ...]):
        self.joint_names = tuple(joint_names)
        self.on_accept: AcceptListener | None = None
        self.hold(np.zeros(len(self.joint_names)), 0.0)

    def hold(self, positions: Array, now_s: float) -> None:
        """Forget the running trajectory and rest at positions (J,) rad from now on."""
        self._start_s = now_s
        self._motion: _Motion = _Rest(_at_rest(np.array(positions, float)))

    def accept(self, trajectory: JointTrajectory, now_s: float) -> str | None:
        """Start following the trajectory now; returns None, or one sentence saying why it was rejected."""
        reason = self._reason_to_reject(trajectory)
        if reason:
            return reason
        ordered = self._ordered(trajectory)
        start = self.sample(now_s)
        self._motion = Spline(start, ordered) if ordered.accelerations.size else _LowDegree(start, ordered)
        self._start_s = now_s
        if self.on_accept:
            self.on_accept(ordered, start, now_s)
        return None

    def sample(self, now_s: float) -> JointState:
        """The desired state at a time, s; at rest at the last point after the end of the motion."""
        return self._motion.sample(max(0.0, now_s - self._start_s))

    def busy(self, now_s: float) -> bool:
        """Whether the desired state still moves."""
        return now_s - self._start_s < self._motion.duration_s

    def _reason_to_reject(self, trajectory: JointTrajectory) -> str | None:
        names, times = trajectory.joint_names, np.asarray(trajectory.times_s, float)
        if unknown := sorted(set(names) - set(self.joint_names)):
            return f"the trajectory names unknown joints {', '.join(unknown)}; known are {', '.join(self.joint_names)}."
        if missing := sorted(set(self.joint_names) - set(names)):
            return f"the trajectory lacks the joints {', '.join(missing)}; every joint has to be commanded."
        if len(names) != len(self.joint_names):
            return "the trajectory names a joint twice."
        if times.ndim != 1 or not times.size:
            return "the trajectory has no points."
        shape = (times.size, len(names))
        if np.shape(trajectory.positions) != shape:
            return f"the trajectory's positions have the shape {np.shape(trajectory.positions)}, not {shape}."
        for quantity in ("velocities", "accelerations"):
            values = np.asarray(getattr(trajectory, quantity))
            if values.size and values.shape != shape:
                return f"the trajectory's {quantity} have the shape {values.shape}, not {shape} and not empty."
        if np.size(trajectory.accelerations) and not np.size(trajectory.velocities):
            return "the trajectory has accelerations but no velocities."
        for quantity in ("times_s", "positions", "velocities", "accelerations"):
            if not np.isfinite(getattr(trajectory, quantity)).all():
                return f"the trajectory's {quantity} are not all finite numbers."
        if times[0] <= 0 or (np.diff(times) <= 0).any():
            return "the trajectory's times have to be positive and strictly increasing."
        speeds = np.abs(trajectory.velocities[-1]) if np.size(trajectory.velocities) else np.zeros(1)
        if (speeds > END_VELOCITY_TOLERANCE_RAD_PER_S).any():
            return f"the trajectory's last point moves at {speeds.max():.3g} rad/s; it has to be at rest."
        return None

    def _ordered(self, trajectory: JointTrajectory) -> JointTrajectory:
        """The same trajectory with its joints in the controller's order; absent quantities become (0, J)."""
        order = [trajectory.joint_names.index(name) for name in self.joint_names]

        def column_order(values: Array) -> Array:
            return np.asarray(values, float)[:, order] if np.size(values) else np.empty((0, len(order)))

        return JointTrajectory(
            joint_names=self.joint_names,
            times_s=np.array(trajectory.times_s, float),
            positions=column_order(trajectory.positions),
            velocities=column_order(trajectory.velocities),
            accelerations=column_order(trajectory.accelerations),
        )


class _Rest:
    def __init__(self, state: JointState):
        self.state, self.duration_s = state, 0.0

    def sample(self, t_s: float) -> JointState:
        """The resting state, at any time."""
        return self.state


class _LowDegree:
    """Points without accelerations: cubic Hermite splines through velocities, or straight lines without them."""

    def __init__(self, start: JointState, trajectory: JointTrajectory):
        self._times = np.concatenate([[0.0], trajectory.times_s])
        self._positions = np.vstack([start.positions, trajectory.positions])
        cubic = trajectory.velocities.size > 0
        self._velocities = np.vstack([start.velocities, trajectory.velocities]) if cubic else None
        self.duration_s = float(self._times[-1])

    def sample(self, t_s: float) -> JointState:
        """The desired state t_s after the start."""
        if t_s >= self.duration_s:
            return _at_rest(self._positions[-1])
        k = int(np.searchsorted(self._times, t_s, side="right")) - 1
        span, t = self._times[k + 1] - self._times[k], t_s - self._times[k]
        p0, step = self._positions[k], self._positions[k + 1] - self._positions[k]
        if self._velocities is None:
            return JointState(p0 + step * t / span, step / span, np.zeros_like(p0))
        v0, v1 = self._velocities[k : k + 2]
        c2 = (3 * step / span - 2 * v0 - v1) / span
        c3 = (v0 + v1 - 2 * step / span) / span**2
        return JointState(p0 + t * (v0 + t * (c2 + t * c3)), v0 + t * (2 * c2 + 3 * t * c3), 2 * c2 + 6 * t * c3)


def _at_rest(positions: Array) -> JointState:
    return JointState(positions, np.zeros_like(positions), np.zeros_like(positions))
