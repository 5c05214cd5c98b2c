"""Which of many candidate paths a planner may imagine at all: the guardrails on N paths at once, before any rollout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ami_robot.safety.distances import table_clearance
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import MOVE_DURATIONS_S, ROUNDING, quintic, sample
from ami_robot.safety.spec import Spec
from ami_robot.types import MODEL_STEP_S, Array, JointState

_SAMPLES_PER_STEP = 8


@dataclass(frozen=True, eq=False)
class PathCheck:
    """Verdict on each of N paths."""

    feasible: Array  # (N,), bool
    margin: Array  # (N,), least margin over rows, steps and joints; 0 at the limit, 1 far from it; NaN for NaN
    row: Array  # (N,), str: the row of the guardrail file that has this least margin


def path_margins(spec: Spec, kinematics: Kinematics, joint_path: Array, start: Array) -> PathCheck:
    """Check paths of joint targets (N, H, 7), rad, one per model step, that leave from rest at `start` (7,).

    Looks at joint positions, at joint velocities and accelerations of the very motion that the filter makes of such a
    path (a chain of moves to rest, each replaced half way), at the tool's displacement per step, and at the tool and
    every sphere of the arm where each step comes to rest. What is not finite is not feasible.
    """
    joint_path = np.asarray(joint_path, dtype=np.float64)
    candidates, horizon, joints = joint_path.shape
    targets = np.concatenate([np.broadcast_to(start, (candidates, 1, joints)), joint_path], axis=1)
    velocity_response, acceleration_response = _responses(horizon)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(targets, axis=1)
        tool = kinematics.tool_position(targets)
        rows = {
            "joint_position": _joint_position_margin(spec, joint_path),
            "joint_velocity": 1.0
            - _peak(velocity_response @ steps, spec.joint_velocity.command_limit_rad_per_s).max(axis=-1),
            "joint_acceleration": 1.0
            - _peak(acceleration_response @ steps, spec.joint_acceleration.command_limit_rad_per_s2).max(axis=-1),
            "tool_displacement": _displacement_margin(spec, tool),
            "workspace": _workspace_margin(spec, tool[:, 1:]),
            "table": _table_margin(spec, kinematics, joint_path),
        }
    margins = np.stack(list(rows.values()))
    least = margins.min(axis=0)
    return PathCheck(least >= -ROUNDING, least, np.array(list(rows))[margins.argmin(axis=0)])


def _joint_position_margin(spec: Spec, joint_path: Array) -> Array:
    lower, upper = spec.joint_position.command_lower_rad, spec.joint_position.command_upper_rad
    return (np.minimum(joint_path - lower, upper - joint_path) / ((upper - lower) / 2.0)).min(axis=(1, 2))


def _peak(values: Array, limit: Array) -> Array:
    """Greatest share of the limit (N, 7) over time of values (N, T, 7)."""
    return np.abs(values).max(axis=1) / limit


def _displacement_margin(spec: Spec, tool: Array) -> Array:
    """1 within the limit: a step of full length is as safe as a short one, and the margin should tell of the others."""
    row = spec.tool_displacement
    greatest = np.linalg.norm(np.diff(tool, axis=1), axis=-1).max(axis=1)
    slack = (row.max_m_per_step + row.tolerance_m - greatest) / row.max_m_per_step
    return np.where(slack >= 0.0, 1.0, slack)


def _workspace_margin(spec: Spec, tool: Array) -> Array:
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    inside = np.minimum(tool - lower, upper - tool) + spec.tool_displacement.tolerance_m
    return (inside / ((upper - lower) / 2.0)).min(axis=(1, 2))


def _table_margin(spec: Spec, kinematics: Kinematics, joint_path: Array) -> Array:
    """Clearance beyond the least one, as a share of the workspace's height; at most 1."""
    clearance = table_clearance(spec, kinematics.spheres(joint_path), kinematics.sphere_radii).min(axis=(1, 2))
    height = spec.workspace.upper_m[2] - spec.workspace.lower_m[2]
    return np.minimum(clearance / height, 1.0)


@lru_cache(maxsize=8)
def _responses(horizon: int) -> tuple[Array, Array]:
    """Velocity and acceleration (T, H) at T times for a unit step of the target in each model step.

    The motion is linear in the targets: from where the last move is after one model step, a quintic to rest at the next
    target. The last move runs to its end.
    """
    duration_s = np.asarray(MOVE_DURATIONS_S[0])
    rest = np.zeros(horizon)
    state, target = JointState(rest, rest, rest), np.zeros(horizon)
    velocities, accelerations = [], []
    for step in range(horizon):
        target = target + np.eye(horizon)[step]
        control = quintic(state, JointState(target, rest, rest), duration_s)
        watched_s = MODEL_STEP_S if step < horizon - 1 else float(duration_s)
        for t_s in np.linspace(0.0, watched_s, round(_SAMPLES_PER_STEP * watched_s / MODEL_STEP_S) + 1):
            state = sample(control, duration_s, t_s)
            velocities.append(state.velocities)
            accelerations.append(state.accelerations)
    return np.array(velocities), np.array(accelerations)
