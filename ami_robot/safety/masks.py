"""Which of many candidate paths a planner may imagine at all: the guardrails on N paths at once, before any rollout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ami_robot.safety.distances import (
    arm_space_clearance,
    capsule_distance,
    obstacle_clearance,
    table_clearance,
)
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import MOVE_DURATIONS_S, ROUNDING
from ami_robot.safety.quintic import quintic, sample
from ami_robot.safety.spec import Spec
from ami_robot.types import MODEL_STEP_S, Array, JointState, People

_SAMPLES_PER_STEP = 8

_STOP_S = 0.3
"""For how long a person comes nearer while the arm brakes, s. Of 45,000 brakes out of chains of longest steps 99.9 %
took at most 0.22 s and the longest 0.28 s."""


@dataclass(frozen=True, eq=False)
class PathCheck:
    """Verdict on each of N paths."""

    feasible: Array  # (N,), bool
    margin: Array  # (N,), least margin over rows, steps and joints; 0 at the limit, 1 far from it; NaN for NaN
    row: Array  # (N,), str: the row of the guardrail file that has this least margin


def path_margins(
    spec: Spec,
    kinematics: Kinematics,
    joint_path: Array,
    start: Array,
    people: People | None = None,
    widen_m: float = 0.0,
) -> PathCheck:
    """Check paths of joint targets (N, H, 7), rad, one per model step, that leave from rest at `start` (7,).

    Looks at joint positions, at joint velocities and accelerations of the very motion that the filter makes of such a
    path (a chain of moves to rest, each replaced half way), at the tool's displacement per step, and at the tool and
    every sphere of the arm where each step comes to rest. What is not finite is not feasible.

    The row of self-collision is not among them: with the gripper straight down the arm comes nowhere in the workspace
    near itself (a test looks at a grid), and the gate checks the row in every motion.

    Args:
        people: who was seen last, asked for where the guardrail file says so; then nothing is feasible without.
        widen_m: by how much the arm may be elsewhere than planned. Distances to borders, table, obstacles and people
            have to be so much greater; where they are not at the start, a path must only not lessen them.
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
            "workspace": _workspace_margin(spec, tool, widen_m),
            **_distance_margins(spec, kinematics, joint_path, start, people, widen_m),
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


def _workspace_margin(spec: Spec, tool: Array, widen_m: float) -> Array:
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    inside = np.minimum(tool - lower, upper - tool) + spec.tool_displacement.tolerance_m
    needed_m = _needed(widen_m, inside[0, 0].min())
    return ((inside[:, 1:] - needed_m) / ((upper - lower) / 2.0)).min(axis=(1, 2))


def _distance_margins(
    spec: Spec, kinematics: Kinematics, joint_path: Array, start: Array, people: People | None, widen_m: float
) -> dict[str, Array]:
    """Clearance (N,) beyond what each row asks for, as a share of the workspace's height."""
    centers = kinematics.spheres(
        np.concatenate([joint_path.reshape(-1, start.size), np.reshape(start, (1, start.size))])
    )
    radii = kinematics.sphere_radii
    clearances = {
        "table": table_clearance(spec, centers, radii).min(axis=-1),
        "arm_space": arm_space_clearance(spec, centers, radii).min(axis=-1),
        "obstacles": obstacle_clearance(spec, centers, radii).min(axis=(-2, -1), initial=np.inf),
    }
    if spec.people.source_of_people == "topic":
        clearances["people"] = _people_clearance(spec, centers, radii, people)
    height_m = spec.workspace.upper_m[2] - spec.workspace.lower_m[2]
    margins = {}
    for row, clearance in clearances.items():
        least = clearance[:-1].reshape(joint_path.shape[:2]).min(axis=1)
        margins[row] = (least - _needed(widen_m, clearance[-1])) / height_m
    return margins


def _people_clearance(spec: Spec, centers: Array, radii: Array, people: People | None) -> Array:
    """Distance (B,) of arms (B, S, 3) to the nearest person, less how far that one comes while the arm stops, m."""
    if people is None:
        return np.full(len(centers), np.nan)
    row = spec.people
    separation_m = row.measurement_error_m + row.intrusion_m + row.max_speed_m_per_s * (row.reaction_s + _STOP_S)
    nearest = (capsule_distance(centers, people) - radii[:, None]).min(axis=(-2, -1), initial=np.inf)
    return nearest - separation_m


def _needed(widen_m: float, at_start_m: float) -> float:
    """The wider margin, or what of it there is at the start: an arm that stands near a border may stay and leave."""
    return float(np.clip(widen_m, 0.0, np.maximum(at_start_m, 0.0)))


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
