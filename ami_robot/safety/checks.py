"""What has to be true of an input before anything is computed from it: shape, finite, fresh, in order, in range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ami_robot.safety.motion import ROUNDING
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, Array, JointState, JointTrajectory, Proposal, Refusal

_UNKNOWN = float("nan")  # a refusal that has no measure


def read_joint_state(spec: Spec, names: Any, positions: Any, velocities: Any) -> JointState | Refusal:
    """The arm's joints out of joint states in any order, with other joints among them; accelerations are zero."""
    q, dq = _array(positions), _array(velocities)
    if not _are_names(names) or q is None or dq is None:
        return Refusal("The joint states are not a list of names and two lists of numbers.", "joint_state", _UNKNOWN)
    if q.shape != (len(names),) or dq.shape != (len(names),):
        reason = f"The joint states have {len(names)} names, {q.shape} positions and {dq.shape} velocities."
        return Refusal(reason, "joint_state", _UNKNOWN)
    for name in spec.joint_names:
        if names.count(name) != 1:
            return Refusal(f"The joint states must name {name!r} exactly once.", "joint_state", _UNKNOWN)
    order = [names.index(name) for name in spec.joint_names]
    if not (np.isfinite(q[order]).all() and np.isfinite(dq[order]).all()):
        return Refusal("The joint states have values that are not finite.", "joint_state", _UNKNOWN)
    return JointState(q[order], dq[order], np.zeros(len(order)))


def read_efforts(spec: Spec, names: Any, efforts: Any) -> Array | Refusal:
    """The arm's joint torques (7,), N m, out of joint states whose names are known to be good."""
    torques = _array(efforts)
    if torques is None or torques.shape != (len(names),):
        return Refusal("The joint states' efforts are not one number for each name.", "joint_state", _UNKNOWN)
    torques = torques[[names.index(name) for name in spec.joint_names]]
    if not np.isfinite(torques).all():
        return Refusal("The joint states have efforts that are not finite.", "joint_state", _UNKNOWN)
    return torques


def check_age(stamp_ns: Any, now_ns: Any, max_age_s: float, max_future_s: float, what: str) -> Refusal | None:
    """Neither older than `max_age_s` nor further ahead than `max_future_s`."""
    if not (is_stamp(stamp_ns) and is_stamp(now_ns)):
        return Refusal(f"The stamp of the {what} is not a time in nanoseconds.", "staleness", _UNKNOWN)
    age_s = (int(now_ns) - int(stamp_ns)) / NS_PER_S
    if not age_s <= max_age_s:
        reason = f"The {what} is {age_s:.3f} s old, at most {max_age_s} s are allowed."
        return Refusal(reason, "staleness", max_age_s - age_s)
    if not age_s >= -max_future_s:
        reason = f"The {what} is stamped {-age_s:.3f} s in the future, at most {max_future_s} s are allowed."
        return Refusal(reason, "staleness", max_future_s + age_s)
    return None


def check_measured(spec: Spec, measured: JointState) -> Refusal | None:
    """Measured joints are within their whole limits."""
    q, row = measured.positions, spec.joint_position
    margin = float(np.minimum(q - row.lower_rad, row.upper_rad - q).min())
    if not margin >= 0.0:
        return Refusal("A measured joint position is beyond its limit.", "joint_position", margin)
    margin = float((spec.joint_velocity.limit_rad_per_s - np.abs(measured.velocities)).min())
    if not margin >= 0.0:
        return Refusal("A measured joint velocity is beyond its limit.", "joint_velocity", margin)
    return None


def check_proposal(spec: Spec, proposal: Proposal, now_ns: int) -> Refusal | None:
    """Form and age of a proposal, gripper width, norm of a displacement; all that needs no kinematics."""
    if not is_number(proposal.valid_for_s) or not proposal.valid_for_s > 0.0:
        return Refusal("The proposal's valid_for is not a positive time.", "staleness", _UNKNOWN)
    staleness = spec.staleness
    valid_for_s = min(float(proposal.valid_for_s), staleness.proposal_s)
    stale = check_age(proposal.stamp_ns, now_ns, valid_for_s, staleness.future_s, "proposal") or check_age(
        proposal.observation_stamp_ns, now_ns, staleness.frame_s, staleness.future_s, "frame behind the proposal"
    )
    if stale:
        return stale
    return _check_gripper(spec, proposal.gripper_width) or _check_kind(spec, proposal)


def _check_gripper(spec: Spec, width: Any) -> Refusal | None:
    if not is_number(width):
        return Refusal("The gripper width is not a finite number.", "gripper", _UNKNOWN)
    margin = min(width - spec.gripper.lower_m, spec.gripper.upper_m - width)
    if not margin >= -spec.gripper.tolerance_m:
        reason = f"The gripper width {width} m is outside {spec.gripper.lower_m} to {spec.gripper.upper_m} m."
        return Refusal(reason, "gripper", float(margin))
    return None


def _check_kind(spec: Spec, proposal: Proposal) -> Refusal | None:
    if (proposal.tool_displacement is None) == (proposal.trajectory is None):
        reason = "A proposal must carry either a tool displacement or a trajectory."
        return Refusal(reason, "proposal", _UNKNOWN)
    if proposal.trajectory is not None:
        return check_trajectory(spec, proposal.trajectory)
    displacement = _array(proposal.tool_displacement)
    if displacement is None or displacement.shape != (3,) or not np.isfinite(displacement).all():
        return Refusal("The tool displacement is not three finite numbers.", "tool_displacement", _UNKNOWN)
    row = spec.tool_displacement
    margin = row.max_m_per_step - math.hypot(*displacement)
    if not margin >= -row.tolerance_m:
        reason = f"The tool displacement is longer than {row.max_m_per_step} m, the most for one model step."
        return Refusal(reason, "tool_displacement", margin)
    return None


def check_trajectory(spec: Spec, trajectory: JointTrajectory) -> Refusal | None:
    """Names, shapes, finite numbers, times, and rest at the end."""
    if not isinstance(trajectory, JointTrajectory) or not _are_names(trajectory.joint_names):
        return Refusal("The proposed trajectory is not a JointTrajectory with joint names.", "trajectory", _UNKNOWN)
    if sorted(trajectory.joint_names) != sorted(spec.joint_names):
        reason = f"The trajectory must name these joints once each: {', '.join(spec.joint_names)}."
        return Refusal(reason, "trajectory", _UNKNOWN)
    times, *states = map(
        _array, (trajectory.times_s, trajectory.positions, trajectory.velocities, trajectory.accelerations)
    )
    if times is None or times.ndim != 1 or not 1 <= len(times) <= spec.trajectory.max_points:
        reason = f"The trajectory must have 1 to {spec.trajectory.max_points:.0f} points."
        return Refusal(reason, "trajectory", _UNKNOWN)
    for state in states:
        if state is None or state.shape != (len(times), len(spec.joint_names)) or not np.isfinite(state).all():
            reason = "Positions, velocities and accelerations must be finite, one row per point, one column per joint."
            return Refusal(reason, "trajectory", _UNKNOWN)
    if not (np.diff(times, prepend=0.0) > ROUNDING).all():
        return Refusal("The trajectory's times must be positive and strictly increasing.", "trajectory", _UNKNOWN)
    if not (margin := spec.trajectory.max_duration_s - float(times[-1])) >= 0.0:
        reason = f"The trajectory takes longer than {spec.trajectory.max_duration_s} s."
        return Refusal(reason, "trajectory", margin)
    if states[1][-1].any() or states[2][-1].any():  # type: ignore[index]  # None was refused above
        return Refusal("The trajectory does not end at rest.", "trajectory", _UNKNOWN)
    return None


def in_spec_order(spec: Spec, trajectory: JointTrajectory) -> JointTrajectory:
    """The same trajectory with float64 arrays and joints in the order of the guardrail file."""
    order = [trajectory.joint_names.index(name) for name in spec.joint_names]
    positions, velocities, accelerations = (
        np.array(values, dtype=np.float64)[:, order]
        for values in (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    )
    times_s = np.array(trajectory.times_s, dtype=np.float64)
    return JointTrajectory(spec.joint_names, times_s, positions, velocities, accelerations)


def is_stamp(value: Any) -> bool:
    """A time in ns that fits a ROS message, or a sequence number; True and False are neither."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= int(value) < 2**63


def is_number(value: Any) -> bool:
    """A finite real number; True and False are not."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the range of float
        return False


def _are_names(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _array(values: Any) -> Array | None:
    """Float64 array of what somebody sent; None when it is not numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
