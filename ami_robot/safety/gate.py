"""Does this motion keep every static guardrail from its first to its last instant, rest included?

Joint limits are bounded everywhere. All else is looked at in samples 20 ms apart, and its margin is inflated by what
can happen in between, with h the step:

    line   a centre strays from its chord by at most h^2/8 |c''|, and |c''| <= sum_j |ddq_j| r_j + (sum_j |dq_j|)^2 r_1,
           r_j the farthest that a part of the arm can be from joint j; the sums from the bounds of the whole motion
    dip    a sphere of radius r that passes a corner on a chord of length L is up to L^2 / (4 r) nearer than at its ends
    half   what follows a curve of its own (torque, singular value, speed) may differ from the nearer sample by half of
           the greatest change between neighbours
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.arm_spheres import SPHERES
from ami_robot.safety.distances import arm_space_clearance, obstacle_clearance, self_clearance, table_clearance
from ami_robot.safety.dynamics import Dynamics, min_singular_value
from ami_robot.safety.kinematics import FLANGE_M, LINK_LENGTHS_M, LINK_OFFSETS_M, TOOL_M, Kinematics
from ami_robot.safety.motion import ROUNDING, Spline, limit_margins
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, JointTrajectory, Refusal

SAMPLE_S = 0.02

_SENTENCES = {
    "workspace": "On its way the tool would leave the workspace by {:.4f} m more than the path tolerance.",
    "table": "On its way the arm would come {:.4f} m too close to the table.",
    "arm_space": "On its way the arm would come {:.4f} m too close to the end of its space.",
    "obstacles": "On its way the arm would come {:.4f} m too close to an obstacle.",
    "self_collision": "On its way the arm would come {:.4f} m too close to itself.",
    "singularity": "On its way the least singular value of the arm would fall {:.4f} short.",
    "torque": "On its way a joint would need {:.2f} N m too much.",
    "contact": "Close to the table the arm would come down by {:.4f} m/s too fast.",
}


@dataclass(frozen=True)
class Verdict:
    """Least margin of a motion for each row, in the row's unit, and the row it breaks."""

    margins: dict[str, float]
    refusal: Refusal | None


def check_motion(
    spec: Spec,
    kinematics: Kinematics,
    dynamics: Dynamics,
    start: JointState,
    trajectory: JointTrajectory,
    also_from: Sequence[JointState] = (),
    load_kg: float = 0.0,
) -> Verdict:
    """Check `trajectory` as the controller will execute it from `start`, and from states a little earlier or later.

    `load_kg` is held by the gripper. A motion that begins outside the workspace may lead back into it, never further
    out. Margins of joint limits are those from `start`, the others the least of all that may be executed.
    """
    whole, others = Spline(start, trajectory), [Spline(state, trajectory) for state in also_from]
    least = {row: float(margin.min()) for row, margin in limit_margins(whole.extremes(), spec).items()}
    for row, margin in least.items():
        if not margin >= -ROUNDING:
            return Verdict(least, Refusal(f"The motion would exceed the limits of the row {row}.", row, margin))
    for other in others:
        for row, margins in limit_margins(other.extremes(), spec, whole_limits=True).items():
            if not (margin := float(margins.min())) >= -ROUNDING:
                reason = f"Arriving {spec.transport.jitter_s} s early or late the motion would exceed the row {row}."
                return Verdict(least, Refusal(reason, row, margin))
    join_s = float(trajectory.times_s[0])  # from here on all of them are the same motion
    paths = _sampled(kinematics, [(whole, whole.duration_s), *((other, join_s) for other in others)])
    found = [_margins(spec, kinematics, dynamics, path, load_kg) for path in paths]
    least |= {row: float(np.min([margins[row] for margins in found])) for row in _SENTENCES}  # np.min keeps NaN
    for row, sentence in _SENTENCES.items():
        excused = row == "workspace" and all(_leads_back(spec, path) for path in paths)
        if not (excused or least[row] >= -ROUNDING):
            return Verdict(least, Refusal(sentence.format(-least[row]), row, least[row]))
    return Verdict(least, None)


def workspace_margin(spec: Spec, position: Array) -> Array:
    """Distance (...,) of positions (..., 3) to the nearest face of the workspace, m; negative outside."""
    return np.minimum(position - spec.workspace.lower_m, spec.workspace.upper_m - position).min(axis=-1)


@dataclass(frozen=True)
class _Path:
    """A motion in n samples, from its start to its rest or to where another one joins it."""

    step_s: float
    line_m: float  # see above
    states: JointState  # (n, 7) each
    centers: Array  # (n, S, 3), m
    tool: Array  # (n, 3), m
    singular_values: Array  # (n,), the least of the tool's Jacobian


def _sampled(kinematics: Kinematics, motions: Sequence[tuple[Spline, float]]) -> list[_Path]:
    """Each motion up to its time, s. The kinematics of all of them are computed at once."""
    counts = [int(np.ceil(end_s / SAMPLE_S)) + 1 for _, end_s in motions]
    sampled = [
        motion.states(np.linspace(0.0, end_s, count)) for (motion, end_s), count in zip(motions, counts, strict=True)
    ]
    q = np.concatenate([states.positions for states in sampled])
    cuts = np.cumsum(counts)[:-1]
    centers, tool, singular_values = (
        np.split(values, cuts)
        for values in (kinematics.spheres(q), kinematics.tool_position(q), min_singular_value(kinematics, q))
    )
    paths = []
    for index, (motion, end_s) in enumerate(motions):
        step_s = end_s / (counts[index] - 1)
        line_m = step_s**2 / 8.0 * _curvature(motion)
        paths.append(_Path(step_s, line_m, sampled[index], centers[index], tool[index], singular_values[index]))
    return paths


def _margins(spec: Spec, kinematics: Kinematics, dynamics: Dynamics, path: _Path, load_kg: float) -> dict[str, float]:
    """Least margin of each row along the samples, less what can happen between them."""
    centers, radii, line_m = path.centers, kinematics.sphere_radii, path.line_m
    chord_m = float(np.linalg.norm(np.diff(centers, axis=0), axis=-1).max())
    thinnest_m = float(radii.min())
    of_one_m, of_two_m = chord_m**2 / (4.0 * thinnest_m), chord_m**2 / (2.0 * thinnest_m)  # dips; 2 L at 2 r
    q, dq, ddq = path.states.positions, path.states.velocities, path.states.accelerations
    spare = spec.torque.command_limit_n_m - np.abs(dynamics.torques(q, dq, ddq, load_kg))
    return {
        "workspace": float(_inside(spec, path).min()),
        "table": float(table_clearance(spec, centers, radii).min()) - line_m,
        "arm_space": float(arm_space_clearance(spec, centers, radii).min()) - line_m,
        "obstacles": float(obstacle_clearance(spec, centers, radii).min(initial=np.inf)) - line_m - of_one_m,
        "self_collision": float(self_clearance(spec, centers, radii).min()) - 2.0 * line_m - of_two_m,
        "singularity": _least_of_curve(path.singular_values) - spec.singularity.min_singular_value,
        "torque": _least_of_curve(spare),
        "contact": _contact_margin(spec, kinematics, path),
    }


def _least_of_curve(values: Array) -> float:
    """Of samples (n, ...) of a smooth curve, less the half step that may lie between them."""
    return float((values.min(axis=0) - np.abs(np.diff(values, axis=0)).max(axis=0) / 2.0).min())


def _inside(spec: Spec, path: _Path) -> Array:
    """Distance (n,) of the tool to the nearest face of the workspace, m, beyond the path's tolerance."""
    return workspace_margin(spec, path.tool) + spec.workspace.path_tolerance_m - path.line_m


def _leads_back(spec: Spec, path: _Path) -> bool:
    """Never further out of the workspace than where it begins."""
    inside = _inside(spec, path)
    return bool(inside.min() >= min(0.0, float(inside[0])) - ROUNDING)


def _contact_margin(spec: Spec, kinematics: Kinematics, path: _Path) -> float:
    """By how much every sphere within the approach height of the table comes down slower than it may, m/s."""
    row, moving = spec.contact, kinematics.sphere_links >= 2
    lowest = path.centers[:, moving, 2] - kinematics.sphere_radii[moving] - spec.table.height_m  # (n, S)
    down = -np.diff(lowest, axis=0) / path.step_s  # mean over each step
    change = np.abs(np.diff(down, axis=0)).max(initial=0.0) / 2.0
    near = np.minimum(lowest[1:], lowest[:-1]) - path.line_m < row.approach_height_m
    return row.approach_speed_m_per_s - float(np.where(near, down + change, 0.0).max())


def _curvature(motion: Spline) -> float:
    """Bound of |c''|, m/s^2, of every centre, and of the tool."""
    extremes, levers_m = motion.extremes(), _LEVERS_M
    return float(extremes.acceleration_rad_per_s2 @ levers_m + extremes.speed_rad_per_s.sum() ** 2 * levers_m[0])


def _levers() -> Array:
    """The farthest (7,), m, that a sphere's centre or the tool can be from each joint's axis."""
    table = np.array(SPHERES)
    farthest = [np.linalg.norm(table[table[:, 0] == link, 1:4], axis=1).max() for link in range(9)]
    farthest[7] = max(farthest[7], FLANGE_M + max(TOOL_M, farthest[8]))
    levers = [farthest[7]]
    for joint in range(5, -1, -1):  # to the next joint, and on from there
        to_next = np.hypot(LINK_LENGTHS_M[joint + 1], LINK_OFFSETS_M[joint + 1])
        levers.insert(0, max(farthest[joint + 1], to_next + levers[0]))
    return np.array(levers)


_LEVERS_M = _levers()
