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
from itertools import pairwise

import numpy as np

from ami_robot.safety.arm_spheres import SPHERES
from ami_robot.safety.distances import arm_space_clearance, obstacle_clearance, self_clearance, table_clearance
from ami_robot.safety.dynamics import Dynamics, min_singular_value
from ami_robot.safety.kinematics import FLANGE_M, LINK_LENGTHS_M, LINK_OFFSETS_M, TOOL_M, Kinematics
from ami_robot.safety.motion import ROUNDING, Extremes, Spline, limit_margins
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
    motions = [Spline(state, trajectory) for state in (start, *also_from)]
    extremes = [motion.extremes() for motion in motions]
    least = {row: float(margin.min()) for row, margin in limit_margins(extremes[0], spec).items()}
    for row, margin in least.items():
        if not margin >= -ROUNDING:
            return Verdict(least, Refusal(f"The motion would exceed the limits of the row {row}.", row, margin))
    for other in extremes[1:]:
        for row, margins in limit_margins(other, spec, whole_limits=True).items():
            if not (margin := float(margins.min())) >= -ROUNDING:
                reason = f"Arriving {spec.transport.jitter_s} s early or late the motion would exceed the row {row}."
                return Verdict(least, Refusal(reason, row, margin))
    join_s = float(trajectory.times_s[0])  # from here on all of them are the same motion
    samples = _sampled(kinematics, motions, [motions[0].duration_s, *([join_s] * len(also_from))])
    line_m = samples.step_s**2 / 8.0 * max(map(_curvature, extremes))
    least |= _margins(spec, kinematics, dynamics, samples, line_m, load_kg)
    for row, sentence in _SENTENCES.items():
        if not least[row] >= -ROUNDING and not (row == "workspace" and _leads_back(spec, samples, line_m)):
            return Verdict(least, Refusal(sentence.format(-least[row]), row, least[row]))
    return Verdict(least, None)


def workspace_margin(spec: Spec, position: Array) -> Array:
    """Distance (...,) of positions (..., 3) to the nearest face of the workspace, m; negative outside."""
    return np.minimum(position - spec.workspace.lower_m, spec.workspace.upper_m - position).min(axis=-1)


@dataclass(frozen=True)
class _Samples:
    """All motions in N samples, each from its start to its rest or to where it joins the first one."""

    step_s: float  # the greatest
    steps_s: list[float]  # of each motion
    cuts: list[int]  # where the next motion begins
    states: JointState  # (N, 7) each
    centers: Array  # (N, S, 3), m
    tool: Array  # (N, 3), m
    singular_values: Array  # (N,), the least of the tool's Jacobian

    def of_each(self, values: Array) -> list[Array]:
        """Values (N, ...) of each motion by itself."""
        return [values[begin:end] for begin, end in pairwise([0, *self.cuts, len(values)])]

    def least_of_curve(self, values: Array) -> float:
        """The least of values (N, ...) of smooth curves, less the half step that may lie between samples."""
        return min(
            float((curve.min(axis=0) - np.abs(np.diff(curve, axis=0)).max(axis=0) / 2.0).min())
            for curve in self.of_each(values)
        )


def _sampled(kinematics: Kinematics, motions: Sequence[Spline], ends_s: Sequence[float]) -> _Samples:
    """Each motion up to its time, s. The kinematics of all of them are computed at once."""
    counts = [int(np.ceil(end_s / SAMPLE_S)) + 1 for end_s in ends_s]
    sampled = [
        motion.states(np.linspace(0.0, end_s, count))
        for motion, end_s, count in zip(motions, ends_s, counts, strict=True)
    ]
    states = JointState(
        np.concatenate([each.positions for each in sampled]),
        np.concatenate([each.velocities for each in sampled]),
        np.concatenate([each.accelerations for each in sampled]),
    )
    q = states.positions
    steps_s = [end_s / (count - 1) for end_s, count in zip(ends_s, counts, strict=True)]
    return _Samples(
        max(steps_s),
        steps_s,
        np.cumsum(counts)[:-1].tolist(),
        states,
        kinematics.spheres(q),
        kinematics.tool_position(q),
        min_singular_value(kinematics, q),
    )


def _margins(
    spec: Spec, kinematics: Kinematics, dynamics: Dynamics, samples: _Samples, line_m: float, load_kg: float
) -> dict[str, float]:
    """Least margin of each row over all samples, less what can happen between them."""
    centers, radii, states = samples.centers, kinematics.sphere_radii, samples.states
    steps = (np.diff(each, axis=0) for each in samples.of_each(centers))
    chord_m = max(float(np.sqrt(np.einsum("nsk,nsk->ns", step, step).max())) for step in steps)
    thinnest_m = float(radii.min())
    of_one_m, of_two_m = chord_m**2 / (4.0 * thinnest_m), chord_m**2 / (2.0 * thinnest_m)  # dips; 2 L at 2 r
    torques = dynamics.torques(states.positions, states.velocities, states.accelerations, load_kg)
    return {
        "workspace": float(_inside(spec, samples, line_m).min()),
        "table": float(table_clearance(spec, centers, radii).min()) - line_m,
        "arm_space": float(arm_space_clearance(spec, centers, radii).min()) - line_m,
        "obstacles": float(obstacle_clearance(spec, centers, radii).min(initial=np.inf)) - line_m - of_one_m,
        "self_collision": float(self_clearance(spec, centers, radii).min()) - 2.0 * line_m - of_two_m,
        "singularity": samples.least_of_curve(samples.singular_values) - spec.singularity.min_singular_value,
        "torque": samples.least_of_curve(spec.torque.command_limit_n_m - np.abs(torques)),
        "contact": _contact_margin(spec, kinematics, samples, line_m),
    }


def _inside(spec: Spec, samples: _Samples, line_m: float) -> Array:
    """Distance (N,) of the tool to the nearest face of the workspace, m, beyond the path's tolerance."""
    return workspace_margin(spec, samples.tool) + spec.workspace.path_tolerance_m - line_m


def _leads_back(spec: Spec, samples: _Samples, line_m: float) -> bool:
    """No motion is ever further out of the workspace than where it begins."""
    inside = samples.of_each(_inside(spec, samples, line_m))
    return all(bool(each.min() >= min(0.0, float(each[0])) - ROUNDING) for each in inside)


def _contact_margin(spec: Spec, kinematics: Kinematics, samples: _Samples, line_m: float) -> float:
    """By how much every sphere within the approach height of the table comes down slower than it may, m/s."""
    row, moving = spec.contact, kinematics.sphere_links >= 2
    heights = samples.centers[:, moving, 2] - kinematics.sphere_radii[moving] - spec.table.height_m  # (N, S)
    fastest = 0.0
    for lowest, step_s in zip(samples.of_each(heights), samples.steps_s, strict=True):
        down = -np.diff(lowest, axis=0) / step_s  # mean over each step
        change = np.abs(np.diff(down, axis=0)).max(initial=0.0) / 2.0
        near = np.minimum(lowest[1:], lowest[:-1]) - line_m < row.approach_height_m
        fastest = np.maximum(fastest, np.where(near, down + change, 0.0).max())  # keeps NaN
    return row.approach_speed_m_per_s - float(fastest)


def _curvature(extremes: Extremes) -> float:
    """Bound of |c''|, m/s^2, of every centre, and of the tool."""
    speeds, accelerations = extremes.speed_rad_per_s, extremes.acceleration_rad_per_s2
    return float(accelerations @ _LEVERS_M + speeds.sum() ** 2 * _LEVERS_M[0])


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
