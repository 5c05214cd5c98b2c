"""Was the goal reached, and was every limit kept? Fed by the simulator alone, and by maths of its own.

The judge shares no code with the guardrail beyond the file of limits: it rebuilds the polynomials that the controller
really executed (a trajectory replaced after 0.2 s counts for 0.2 s) and finds their extremes from the roots of their
derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import polynomial

from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, JointTrajectory
from ami_sim.scene import Scene

EPISODE_S = 8.0
HOLD_S = 1.0  # the tool has to stay near the goal throughout this last part of the episode
SUCCESS_DISTANCE_M = 0.03
SAMPLE_GAP_S = 0.0101  # the sparsest truth accepted, 100 Hz
COMMAND_TOLERANCE = 1e-6  # relative: float noise of numbers that sit exactly on a limit
JOIN_TOLERANCE = 1e-6  # rad, rad/s, rad/s^2: a command has to start where the one before had got to
MEASURED_POSITION_TOLERANCE_RAD = 0.01
MEASURED_VELOCITY_TOLERANCE = 0.05  # relative
CLEARANCE_TOLERANCE_M = 0.002
QUANTITIES = ("position", "velocity", "acceleration", "jerk")


@dataclass(frozen=True)
class Verdict:
    """What the judge saw from the start of the episode until now."""

    success: bool  # within SUCCESS_DISTANCE_M in every sample of the last HOLD_S of EPISODE_S
    start_s: float
    times_s: Array  # (K,), since the start
    distances_m: Array  # (K,), tool to goal
    checked_commands: int
    violations: list[str] = field(default_factory=list)  # one sentence each
    max_measured_acceleration: float = 0.0  # rad/s^2, differences of the measured velocities
    min_clearance_m: float = float("inf")

    @property
    def final_distance_m(self) -> float:
        """Tool to goal at the last sample; NaN without samples."""
        return float(self.distances_m[-1]) if self.distances_m.size else float("nan")


class Judge:
    """One episode's judge: connect on_command to the controller's on_accept and on_substep to the arm's."""

    def __init__(self, scene: Scene, spec: Spec, start_s: float = 0.0):
        self._goal, self._start_s = scene.goal_position, start_s
        self._limits = _limits(spec)
        self._clearance_m = spec.table.clearance_m
        self._velocity_rad_per_s = np.asarray(spec.joint_velocity.limit_rad_per_s, float)
        self._lower_rad = np.asarray(spec.joint_position.lower_rad, float)
        self._upper_rad = np.asarray(spec.joint_position.upper_rad, float)
        self._running: tuple[float, list[tuple[float, Array]]] | None = None
        self._samples: list[tuple[float, float]] = []
        self._violations: list[str] = []
        self._checked = 0
        self._velocities: tuple[float, Array] | None = None
        self._max_acceleration, self._min_clearance_m = 0.0, float("inf")

    def on_command(self, trajectory: JointTrajectory, start: JointState, t_s: float) -> None:
        """A trajectory was accepted at t_s, where the desired state was `start`. What it replaces is now history."""
        if self._running:
            began_s, pieces = self._running
            self._violations += self._check_motion(began_s, pieces, t_s)
            self._violations += _check_join(_state_at(pieces, t_s - began_s), start, self._clock(t_s))
        self._checked += 1
        if not trajectory.accelerations.size:
            self._violations.append(f"{self._clock(t_s)}: a command without accelerations has no bound on its jerk.")
            self._running = None
            return
        self._running = (t_s, _pieces(start, trajectory))

    def on_substep(self, t_s: float, q: Array, dq: Array, tool_position: Array, clearance_m: float) -> None:
        """The truth after a physics substep: rad, rad/s, m, m."""
        clock = self._clock(t_s)
        self._samples.append((t_s - self._start_s, float(np.linalg.norm(tool_position - self._goal))))
        outside = np.maximum(self._lower_rad - q, q - self._upper_rad)
        if not outside.max() <= MEASURED_POSITION_TOLERANCE_RAD:
            self._violations.append(
                f"{clock}: joint {outside.argmax() + 1} was {outside.max():.4f} rad outside its range."
            )
        speed = np.abs(dq) / self._velocity_rad_per_s
        if not speed.max() <= 1 + MEASURED_VELOCITY_TOLERANCE:
            self._violations.append(f"{clock}: joint {speed.argmax() + 1} moved at {speed.max():.3f} of its limit.")
        if not clearance_m >= self._clearance_m - CLEARANCE_TOLERANCE_M:
            self._violations.append(f"{clock}: the arm was {clearance_m:.4f} m from the table.")
        if self._velocities and t_s > self._velocities[0]:
            change = np.abs(dq - self._velocities[1]).max() / (t_s - self._velocities[0])
            self._max_acceleration = max(self._max_acceleration, float(change))
        self._velocities = (t_s, np.array(dq))
        self._min_clearance_m = min(self._min_clearance_m, clearance_m)

    def verdict(self) -> Verdict:
        """The judgement of what was executed until the last sample."""
        times, distances = np.array(self._samples, float).reshape(-1, 2).T
        running = []
        if self._running and times.size:
            began_s, pieces = self._running
            running = self._check_motion(began_s, pieces, self._start_s + times[-1])
        return Verdict(
            success=_held(times, distances),
            start_s=self._start_s,
            times_s=times,
            distances_m=distances,
            checked_commands=self._checked,
            violations=self._violations + running,
            max_measured_acceleration=self._max_acceleration,
            min_clearance_m=self._min_clearance_m,
        )

    def _check_motion(self, began_s: float, pieces: list[tuple[float, Array]], until_s: float) -> list[str]:
        """Sentences for every limit that the part of the pieces executed before until_s breaks."""
        found, left_s = [], until_s - began_s
        for span_s, coefficients in pieces:
            if left_s <= 0:
                break
            for order, quantity in enumerate(QUANTITIES):
                lower, upper = self._limits[quantity]
                slack = COMMAND_TOLERANCE * (upper - lower)
                low, high = _extremes(coefficients, order, min(span_s, left_s))
                excess = np.maximum(lower - slack - low, high - upper - slack)
                if not excess.max() <= 0:
                    joint = int(excess.argmax())
                    found.append(
                        f"{self._clock(began_s)}: joint {joint + 1} was commanded a {quantity} of {low[joint]:.4f} to "
                        f"{high[joint]:.4f}, outside {lower[joint]:.4f} to {upper[joint]:.4f}."
                    )
            left_s -= span_s
        return found

    def _clock(self, t_s: float) -> str:
        return f"{t_s - self._start_s:.3f} s"


def _limits(spec: Spec) -> dict[str, tuple[Array, Array]]:
    """Lower and upper limit (7,) of what may be commanded, by quantity."""
    limits = {"position": (np.asarray(spec.joint_position.lower_rad), np.asarray(spec.joint_position.upper_rad))}
    for quantity, limit in (
        ("velocity", spec.joint_velocity.limit_rad_per_s),
        ("acceleration", spec.joint_acceleration.limit_rad_per_s2),
        ("jerk", spec.joint_jerk.limit_rad_per_s3),
    ):
        limits[quantity] = (-np.asarray(limit), np.asarray(limit))
    return limits


def _pieces(start: JointState, trajectory: JointTrajectory) -> list[tuple[float, Array]]:
    """(duration s, coefficients (6, 7) in rising powers) of the quintic through each pair of neighbouring points."""
    times = np.concatenate([[0.0], trajectory.times_s])
    points = [
        np.vstack([getattr(start, name), getattr(trajectory, name)])
        for name in ("positions", "velocities", "accelerations")
    ]
    pieces = []
    for k, span in enumerate(np.diff(times)):
        rows = []
        for t in (0.0, span):
            powers = np.arange(6)
            rows.append(t**powers)
            rows.append([n * t ** (n - 1) if n else 0.0 for n in powers])
            rows.append([n * (n - 1) * t ** (n - 2) if n > 1 else 0.0 for n in powers])
        values = np.vstack([*(p[k] for p in points), *(p[k + 1] for p in points)])
        pieces.append((float(span), np.linalg.solve(np.array(rows), values)))
    return pieces


def _extremes(coefficients: Array, order: int, until_s: float) -> tuple[Array, Array]:
    """Least and greatest value (7,) of the order-th derivative over 0..until_s."""
    curve = polynomial.polyder(coefficients, order) if order else coefficients
    slope = polynomial.polyder(curve)
    low, high = np.empty(curve.shape[1]), np.empty(curve.shape[1])
    for joint in range(curve.shape[1]):
        roots = polynomial.polyroots(_trimmed(slope[:, joint]))
        # a double root may come back as a close complex pair, so the real parts of all of them are tried
        inside = [t for t in roots.real if 0 < t < until_s]
        values = polynomial.polyval(np.array([0.0, until_s, *inside]), curve[:, joint])
        low[joint], high[joint] = values.min(), values.max()
    return low, high


def _trimmed(coefficients: Array) -> Array:
    """Without leading powers that are nothing but float noise."""
    return polynomial.polytrim(coefficients, tol=1e-12 * max(1.0, float(np.abs(coefficients).max())))


def _state_at(pieces: list[tuple[float, Array]], t_s: float) -> JointState:
    """Where the pieces had got to after t_s; at rest at the end."""
    last_span_s, coefficients = pieces[-1]
    for span_s, piece in pieces:
        if t_s <= span_s:
            coefficients = piece
            break
        t_s -= span_s
    else:
        t_s = last_span_s
    velocity, acceleration = polynomial.polyder(coefficients), polynomial.polyder(coefficients, 2)
    values = [np.asarray(polynomial.polyval(t_s, curve)) for curve in (coefficients, velocity, acceleration)]
    return JointState(*values)


def _check_join(before: JointState, after: JointState, clock: str) -> list[str]:
    """A sentence when the new command does not start where the old one had got to."""
    for name in ("positions", "velocities", "accelerations"):
        gap = np.abs(getattr(before, name) - getattr(after, name)).max()
        if not gap <= JOIN_TOLERANCE * max(1.0, float(np.abs(getattr(before, name)).max())):
            return [f"{clock}: the command's {name} jump by {gap:.2g} from those of the one before."]
    return []


def _held(times: Array, distances: Array) -> bool:
    """Whether every sample of the last HOLD_S is near the goal, and the samples cover it without gaps."""
    inside = (times >= EPISODE_S - HOLD_S - 1e-9) & (times <= EPISODE_S + 1e-9)
    window = times[inside]
    if not window.size or window[0] > EPISODE_S - HOLD_S + SAMPLE_GAP_S or window[-1] < EPISODE_S - SAMPLE_GAP_S:
        return False
    return bool((np.diff(window) <= SAMPLE_GAP_S).all() and (distances[inside] <= SUCCESS_DISTANCE_M).all())
