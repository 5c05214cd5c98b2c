"""The last gate: nothing is sent that does not pass here, brakes included, and it believes nobody.

It keeps its own account of what it let through, and computes in its own way (power-basis polynomials, sampled) what
`motion` bounds by Bernstein coefficients: a mistake there is not repeated here. It checks what makes a trajectory a
legal one: in time, finite, the next in sequence, out of the very state the arm is told to be in, in the whole joint
limits, at rest at the end. Geometry and people were looked at before.
"""

from __future__ import annotations

import numpy as np

from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, JointTrajectory, Refusal

_UNKNOWN = float("nan")
_SAMPLES = np.linspace(0.0, 1.0, 17)
_POWERS = _SAMPLES[:, None] ** np.arange(6)
_START_TOLERANCE = 1e-6  # rad, rad/s, rad/s^2 in units of 1, 1e2, 1e4: rounding of two ways to compute one motion
_LIMIT_TOLERANCE = 1e-6  # share of a limit

_DERIVATIVE = np.diag(np.arange(1.0, 6.0), 1)  # of coefficients (6,), lowest power first
_ENDS = np.array([[0.0**k, 1.0] for k in range(6)]).T  # a polynomial's values at 0 and at 1
_TO_COEFFICIENTS = np.linalg.inv(np.vstack([_ENDS, _ENDS @ _DERIVATIVE, _ENDS @ _DERIVATIVE @ _DERIVATIVE]))
"""From values, slopes and curvatures at 0 and 1, in that order, to coefficients."""


class LastGate:
    """Lets trajectories through one after the other. There is one writer: another one would break the sequence."""

    def __init__(self, spec: Spec):
        self._spec = spec
        self._sequence = 0
        self._lengths_s: Array = np.zeros(0)  # (K,) of the pieces of what was let through last
        self._pieces: Array = np.zeros((0, 6, len(spec.joint_names)))  # their coefficients over normalised time
        self._begin_ns = 0
        self._rest: Array = np.full(len(spec.joint_names), np.nan)

    def hold(self, q: Array, now_ns: int) -> None:
        """The arm is at rest at q (7,), rad: the next trajectory begins there."""
        self._lengths_s, self._pieces = np.zeros(0), np.zeros((0, 6, len(q)))
        self._begin_ns, self._rest = now_ns, np.array(q, dtype=np.float64)

    def release(
        self, trajectory: JointTrajectory, sequence: int, start: JointState, at_ns: int, late_s: float = 0.0
    ) -> Refusal | None:
        """Let it through and remember it, or say why not and remember nothing. It was at_ns late_s ago."""
        row = self._spec.transport
        if not 0.0 <= late_s <= row.decision_s:
            reason = f"Deciding took {late_s:.3f} s, at most {row.decision_s} s are allowed."
            return Refusal(reason, "transport", row.decision_s - late_s)
        if sequence != self._sequence + 1:
            reason = f"Trajectory {sequence} does not follow {self._sequence}: there is one writer and one order."
            return Refusal(reason, "sequence", _UNKNOWN)
        if not _is_well_formed(trajectory, self._spec):
            return Refusal("The trajectory to be sent is not one that ends at rest.", "trajectory", _UNKNOWN)
        commanded = self._state(at_ns)
        stray = float((np.abs(np.stack([start.positions, start.velocities, start.accelerations]) - commanded)
                       / np.array([[1.0], [1e2], [1e4]])).max())  # fmt: skip
        if not stray <= _START_TOLERANCE:
            return Refusal("The trajectory does not begin where the arm is told to be.", "trajectory", -stray)
        lengths_s, pieces = _pieces(commanded, trajectory)
        broken = self._broken_limit(lengths_s, pieces)
        if broken is not None:
            return broken
        self._sequence, self._lengths_s, self._pieces = sequence, lengths_s, pieces
        self._begin_ns, self._rest = at_ns, np.array(trajectory.positions[-1])
        return None

    def _state(self, at_ns: int) -> Array:
        """Position, velocity, acceleration (3, 7) of what was let through last, at this time."""
        elapsed_s = max(0.0, (at_ns - self._begin_ns) / 1e9)
        ends_s = np.cumsum(self._lengths_s)
        piece = int(np.searchsorted(ends_s, elapsed_s, side="right"))
        if piece == len(ends_s):
            return np.stack([self._rest, np.zeros_like(self._rest), np.zeros_like(self._rest)])
        length_s = self._lengths_s[piece]
        s = (elapsed_s - ends_s[piece] + length_s) / length_s
        values = _derivatives(
            self._pieces[piece : piece + 1], self._lengths_s[piece : piece + 1], s ** np.arange(6)[None]
        )
        return np.stack([value[0, 0] for value in values])

    def _broken_limit(self, lengths_s: Array, pieces: Array) -> Refusal | None:
        spec = self._spec
        q, dq, ddq = _derivatives(pieces, lengths_s, _POWERS)
        jerk = np.diff(ddq, axis=1) / (np.diff(_SAMPLES)[0] * lengths_s[:, None, None])  # mean over a sixteenth
        shares = {  # how much of each limit is used
            "joint_position": _share_of_range(q, spec.joint_position.lower_rad, spec.joint_position.upper_rad),
            "joint_velocity": np.abs(dq) / spec.joint_velocity.limit_rad_per_s,
            "joint_acceleration": np.abs(ddq) / spec.joint_acceleration.limit_rad_per_s2,
            "joint_jerk": np.abs(jerk) / spec.joint_jerk.limit_rad_per_s3,
        }
        for row, share in shares.items():
            if not (margin := 1.0 - float(share.max())) >= -_LIMIT_TOLERANCE:
                return Refusal(f"The trajectory to be sent exceeds the limits of the row {row}.", row, margin)
        return None


def _is_well_formed(trajectory: JointTrajectory, spec: Spec) -> bool:
    times_s = trajectory.times_s
    states = (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    if trajectory.joint_names != spec.joint_names or times_s.ndim != 1 or len(times_s) == 0:
        return False
    if any(values.shape != (len(times_s), len(spec.joint_names)) or not np.isfinite(values).all() for values in states):
        return False
    at_rest = not (trajectory.velocities[-1].any() or trajectory.accelerations[-1].any())
    return at_rest and bool((np.diff(times_s, prepend=0.0) > 0.0).all()) and bool(np.isfinite(times_s[-1]))


def _pieces(start: Array, trajectory: JointTrajectory) -> tuple[Array, Array]:
    """Lengths (K,), s, and coefficients (K, 6, 7) of the quintics from `start` (3, 7) through every control point."""
    lengths_s = np.diff(trajectory.times_s, prepend=0.0)
    states = np.stack([trajectory.positions, trajectory.velocities, trajectory.accelerations], axis=1)  # (K, 3, 7)
    begins = np.concatenate([start[None], states[:-1]])
    ends = np.stack([begins, states], axis=2).reshape(len(lengths_s), 6, -1)  # value, slope, curvature; each 0 then 1
    h = lengths_s[:, None]
    scales = np.concatenate([np.ones_like(h)] * 2 + [h] * 2 + [h**2] * 2, axis=1)
    return lengths_s, _TO_COEFFICIENTS @ (ends * scales[..., None])


def _derivatives(pieces: Array, lengths_s: Array, powers: Array) -> tuple[Array, Array, Array]:
    """Positions, velocities, accelerations, each (K, n, 7), at powers (n, 6) of normalised time."""
    h = lengths_s[:, None, None]
    return (
        powers @ pieces,
        powers @ _DERIVATIVE @ pieces / h,
        powers @ _DERIVATIVE @ _DERIVATIVE @ pieces / h**2,
    )


def _share_of_range(values: Array, lower: Array, upper: Array) -> Array:
    """0 in the middle of the range, 1 at its ends."""
    return np.abs(values - (lower + upper) / 2.0) * 2.0 / (upper - lower)
