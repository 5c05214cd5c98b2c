"""Does this motion keep every static guardrail from its first to its last instant, rest included?

Joint limits are bounded everywhere. All else is looked at in samples 20 ms apart, and its margin is reduced by what
may be hidden in between, with h the step:

    line   a centre strays from its chord by at most h^2/8 |c''|, and |c''| <= sum_j |ddq_j| r_j + (sum_j |dq_j|)^2 r_1,
           r_j the farthest that a part of the arm can be from joint j; the sums from the bounds of each quintic piece
    dip    what passes a corner on a chord of length L, R away at both ends, is up to L^2 / (4 R) nearer in between;
           R is the radius and the clearance asked for, of two spheres the sum of both and L the sum of their chords
    half   what follows a curve of its own (torque, singular value, speed) may differ from the nearer sample by half of
           the greatest change between neighbours; mean speeds see `between_means`

A motion that only this hidden part would break is looked at once more, four times as finely.

The tip of a held tool is a sphere of radius 0 for table, arm space and obstacles, the rest of the tool is not looked
at: nothing is known of its shape. A tool whose tip is not known is not covered at all, and one that nobody weighed
weighs nothing in the row of torque.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.compiled import FLOAT, INTEGER, array, compiled, made, several
from ami_robot.safety.distances import (
    arm_space_clearance,
    least_obstacle_clearance,
    least_self_clearance,
    sphere_pairs,
    table_clearance,
)
from ami_robot.safety.dynamics import Dynamics, least_singular_value
from ami_robot.safety.kinematics import Kinematics, tool_jacobian
from ami_robot.safety.motion import ROUNDING, Spline, limit_margins
from ami_robot.safety.quintic import Extremes, bounds, bounds_of_joining, sample
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, Refusal

SAMPLE_S = 0.02
FINE_SAMPLE_S = SAMPLE_S / 4.0
"""Between the samples of a second look, s, at motions that only what the first one cannot see would break."""

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
    motion: Spline,
    load_kg: float = 0.0,
    tip: Array | None = None,
) -> Verdict:
    """Check a motion as the controller will execute it from its start, and from wherever else it may begin.

    `load_kg` is held by the gripper, its `tip` (3,), m, is in the frame of the tool. A motion that begins outside the
    workspace may lead back into it, never further out. Margins of joint limits are those from `start`, the others the
    least of all that may be executed.
    """
    pieces, also_from = bounds(motion.control, motion.lengths_s), motion.also_from
    least = {row: float(margin.min()) for row, margin in limit_margins(pieces, spec).items()}
    for row, margin in least.items():
        if not margin >= -ROUNDING:
            return Verdict(least, Refusal(f"The motion would exceed the limits of the row {row}.", row, margin))
    tip_m = 0.0 if tip is None else float(np.linalg.norm(tip))
    curvature = _curvature(kinematics, pieces, tip_m)
    if len(also_from.states.positions):
        pieces = bounds_of_joining(also_from, motion.sample(motion.join_s), motion.lengths_s[:1])
        curvature = np.maximum(curvature, _curvature(kinematics, pieces, tip_m))  # keeps NaN
        for row, margins in limit_margins(pieces, spec, whole_limits=True).items():
            if not (margin := float(margins.min())) >= -ROUNDING:
                reason = f"Arriving {spec.transport.jitter_s} s early or late the motion would exceed the row {row}."
                return Verdict(least, Refusal(reason, row, margin))
    joining, rows = motion.joining(also_from.corners), tuple(_SENTENCES)
    for step_s in (SAMPLE_S, FINE_SAMPLE_S):
        samples = _sampled(kinematics, motion, joining, step_s, curvature, tip)
        seen = _margins(spec, kinematics, dynamics, samples, load_kg, rows)
        least |= {row: margin - hidden for row, (margin, hidden) in seen.items()}
        verdict = _judged(spec, samples, least)
        if verdict.refusal is None or not seen[verdict.refusal.guardrail][0] > 0.0:
            break  # it holds, or more samples would not help
        rows = tuple(row for row in rows if not least[row] >= -ROUNDING)
    return verdict


def workspace_margin(spec: Spec, position: Array) -> Array:
    """Distance (...,) of positions (..., 3) to the nearest face of the workspace, m; negative outside."""
    return np.minimum(position - spec.workspace.lower_m, spec.workspace.upper_m - position).min(axis=-1)


@dataclass(frozen=True)
class _Samples:
    """All that may be executed in N samples: the motion to its rest, then every other start up to where it joins."""

    steps_s: Array  # (C,), of each
    edges: NDArray[np.intp]  # (C + 1,): where each begins and the last one ends
    line_m: float  # how far a centre may stray from its chord
    states: JointState  # (N, J) each
    centers: Array  # (N, S, 3), m
    tool: Array  # (N, 3), m
    twists: Array  # (N, 6, J), of the joints
    tip: Array | None  # (N, 3), m, of what the gripper holds

    def of_each(self, values: Array) -> list[Array]:
        """Values (N, ...) of each by itself."""
        return np.split(values, self.edges[1:-1])

    def chords_m(self, points: Array) -> Array:
        """The longest (S,) that points (N, S, 3) move from sample to sample."""
        return _chords(np.ascontiguousarray(points, dtype=np.float64), self.edges)

    def least_of_curve(self, values: Array) -> tuple[float, float]:
        """The least of values (N, ...) of smooth curves, and by how much it may be less between samples."""
        curves = np.ascontiguousarray(values, dtype=np.float64).reshape(len(values), -1)
        least, between = _least_of_curves(curves, self.edges)
        return least, least - between


def _sampled(
    kinematics: Kinematics, motion: Spline, joining: Array, step_s: float, curvature: float, tip: Array | None
) -> _Samples:
    """At most `step_s` apart. The kinematics of all of them are computed at once."""
    times_s, join_times_s = times_until(motion.duration_s, step_s), times_until(motion.join_s, step_s)
    own, others = motion.states(times_s), sample(joining[:, None], motion.join_s, join_times_s)
    states = JointState(
        *(
            np.concatenate([here, there.reshape(-1, here.shape[-1])])
            for here, there in zip(_values(own), _values(others), strict=True)
        )
    )
    tool, centers, twists = kinematics.points_and_twists(states.positions)
    steps_s = np.array([times_s[1], *[join_times_s[1]] * len(joining)])
    return _Samples(
        steps_s,
        np.array([0, *(len(times_s) + index * len(join_times_s) for index in range(len(joining) + 1))]),
        float(steps_s.max()) ** 2 / 8.0 * curvature,
        states,
        centers,
        tool,
        twists,
        None if tip is None else _at_tip(kinematics, states.positions, tip),
    )


def _values(states: JointState) -> tuple[Array, Array, Array]:
    return states.positions, states.velocities, states.accelerations


def times_until(until_s: float, step_s: float = SAMPLE_S) -> Array:
    """Times (n,), s, from 0 to this one, at most `step_s` apart."""
    steps = math.ceil(until_s / step_s)
    times_s = np.arange(steps + 1) * (until_s / max(steps, 1))
    times_s[-1] = until_s  # exactly, not rounded
    return times_s


def _at_tip(kinematics: Kinematics, q: Array, tip: Array) -> Array:
    """Where (N, 3), m, what is at `tip` (3,) in the frame of the tool is in base_link."""
    poses = kinematics.tool_pose(q)
    return poses[:, :3, 3] + poses[:, :3, :3] @ tip


def _margins(
    spec: Spec,
    kinematics: Kinematics,
    dynamics: Dynamics,
    samples: _Samples,
    load_kg: float,
    rows: tuple[str, ...],
) -> dict[str, tuple[float, float]]:
    """Least margin of each of these rows over all samples, and what it may lose between them."""
    centers, radii, line_m = samples.centers, kinematics.sphere_radii, samples.line_m
    chords_m = samples.chords_m(centers)
    looks: dict[str, Callable[[], tuple[float, float]]] = {
        "workspace": lambda: (float(_inside(spec, samples).min()), line_m),
        "table": lambda: (float(table_clearance(spec, centers, radii).min()), line_m),
        "arm_space": lambda: (float(arm_space_clearance(spec, centers, radii).min()), line_m),
        "obstacles": lambda: _obstacles(spec, centers, radii, chords_m, line_m),
        "self_collision": lambda: _self_collision(spec, centers, radii, chords_m, line_m),
        "singularity": lambda: _singularity(spec, samples),
        "torque": lambda: _torque(spec, dynamics, samples, load_kg),
        "contact": lambda: _contact(spec, kinematics, samples),
    }
    margins = {row: looks[row]() for row in rows}
    if samples.tip is not None:
        of_tip = _of_tip(spec, samples, samples.tip)
        margins |= {row: _nearest(*np.array([margins[row], of_tip[row]]).T) for row in of_tip if row in margins}
    return margins


def _singularity(spec: Spec, samples: _Samples) -> tuple[float, float]:
    values = least_singular_value(tool_jacobian(samples.tool, samples.twists))
    least, hidden = samples.least_of_curve(values)
    return least - spec.singularity.min_singular_value, hidden


def _torque(spec: Spec, dynamics: Dynamics, samples: _Samples, load_kg: float) -> tuple[float, float]:
    states = samples.states
    torques = dynamics.torques(states.positions, states.velocities, states.accelerations, load_kg)
    return samples.least_of_curve(spec.torque.command_limit_n_m - np.abs(torques))


def _of_tip(spec: Spec, samples: _Samples, tip: Array) -> dict[str, tuple[float, float]]:
    points, line_m = tip[:, None], samples.line_m
    space = np.minimum(tip - spec.arm_space.lower_m, spec.arm_space.upper_m - tip)
    return {
        "table": (float(tip[:, 2].min()) - spec.table.height_m - spec.table.clearance_m, line_m),
        "arm_space": (float(space.min()), line_m),
        "obstacles": _obstacles(spec, points, np.zeros(1), samples.chords_m(points), line_m),
    }


def _obstacles(spec: Spec, centers: Array, radii: Array, chords_m: Array, line_m: float) -> tuple[float, float]:
    clearance = least_obstacle_clearance(spec, centers, radii)  # (S,)
    return _nearest(clearance, line_m + chords_m**2 / (4.0 * (radii + spec.obstacles.clearance_m)))


def _self_collision(spec: Spec, centers: Array, radii: Array, chords_m: Array, line_m: float) -> tuple[float, float]:
    clearance = least_self_clearance(spec, centers, radii)  # (P,)
    first, second = sphere_pairs(spec.robot)
    apart_m = radii[first] + radii[second] + spec.self_collision.clearance_m
    return _nearest(clearance, 2.0 * line_m + (chords_m[first] + chords_m[second]) ** 2 / (4.0 * apart_m))


def _nearest(margins: Array, hidden: Array) -> tuple[float, float]:
    """The margin that is least with what is hidden, and that."""
    worst = int((margins - hidden).argmin())
    return float(margins[worst]), float(hidden[worst])


def _judged(spec: Spec, samples: _Samples, least: dict[str, float]) -> Verdict:
    for row, sentence in _SENTENCES.items():
        if not least[row] >= -ROUNDING and not (row == "workspace" and _leads_back(spec, samples)):
            return Verdict(least, Refusal(sentence.format(-least[row]), row, least[row]))
    return Verdict(least, None)


def _inside(spec: Spec, samples: _Samples) -> Array:
    """Distance (N,) of the tool to the nearest face of the workspace, m, beyond the path's tolerance."""
    return workspace_margin(spec, samples.tool) + spec.workspace.path_tolerance_m


def _leads_back(spec: Spec, samples: _Samples) -> bool:
    """No motion is ever further out of the workspace than where it begins."""
    inside = samples.of_each(_inside(spec, samples) - samples.line_m)
    return all(bool(each.min() >= min(0.0, float(each[0])) - ROUNDING) for each in inside)


def _contact(spec: Spec, kinematics: Kinematics, samples: _Samples) -> tuple[float, float]:
    """By how much every sphere within the approach height of the table comes down slower than it may, m/s.

    Means over each step, and what they hide.
    """
    row, moving = spec.contact, np.flatnonzero(kinematics.sphere_links >= 2)
    bottoms_m = kinematics.sphere_radii[moving] + spec.table.height_m
    near_m = row.approach_height_m + samples.line_m
    mean, between = _fastest_down(
        np.ascontiguousarray(samples.centers), moving, bottoms_m, samples.edges, samples.steps_s, near_m
    )
    return row.approach_speed_m_per_s - mean, between - mean


def between_means(velocities: Array) -> Array:
    """How much faster (..., S), m/s, points may be than their mean velocities (n, ..., S, 3) over steps of one length.

    Half of the greatest change from step to step; and half of how much that changes, which at the ends nothing shows.
    """
    flat = np.ascontiguousarray(velocities, dtype=np.float64).reshape(len(velocities), -1, velocities.shape[-1])
    return _between_means(flat).reshape(velocities.shape[1:-1])


def _curvature(kinematics: Kinematics, pieces: Extremes, tip_m: float) -> float:
    """Bound of |c''|, m/s^2, of every centre, of the tool, and of a tip this far from it."""
    speeds, accelerations = pieces.speed_rad_per_s, pieces.acceleration_rad_per_s2
    levers_m = kinematics.levers_m + tip_m
    return float((accelerations @ levers_m + speeds.sum(axis=-1) ** 2 * levers_m[0]).max())


@compiled(made(1), array(3))
def _between_means(velocities: Array) -> Array:
    steps, points, axes = velocities.shape
    changes, bends = np.zeros(points), np.zeros(points)  # squared, the greatest
    for n in range(1, steps):
        for point in range(points):
            change = bend = 0.0
            for axis in range(axes):
                by = velocities[n, point, axis] - velocities[n - 1, point, axis]
                change += by * by
                if n > 1:
                    by -= velocities[n - 1, point, axis] - velocities[n - 2, point, axis]
                    bend += by * by
            changes[point] = np.maximum(changes[point], change)  # keeps NaN
            bends[point] = np.maximum(bends[point], bend)
    return (np.sqrt(changes) + np.sqrt(bends)) / 2.0


@compiled(several(FLOAT, FLOAT), array(3), array(1, INTEGER), array(1), array(1, INTEGER), array(1), FLOAT)
def _fastest_down(
    centers: Array, moving: NDArray[np.intp], bottoms_m: Array, edges: NDArray[np.intp], steps_s: Array, near_m: float
) -> tuple[float, float]:
    """Mean speed and speed between samples, m/s, at which any of the spheres comes down below this height at a step.

    Not below 0. Bottoms of the moving spheres, m, are where they touch the table; curves of samples are between edges.
    """
    fastest = between = 0.0
    for curve in range(len(steps_s)):
        begin, steps = edges[curve], edges[curve + 1] - edges[curve] - 1
        down, lowest = np.empty((steps, len(moving), 1)), np.empty((steps, len(moving)))
        for n in range(steps):
            for s in range(len(moving)):
                here, then = centers[begin + n, moving[s], 2], centers[begin + n + 1, moving[s], 2]
                down[n, s, 0], lowest[n, s] = (here - then) / steps_s[curve], np.minimum(here, then) - bottoms_m[s]
        hidden = _between_means(down)
        for n in range(steps):
            for s in range(len(moving)):
                if not lowest[n, s] >= near_m:  # or NaN
                    fastest = np.maximum(fastest, down[n, s, 0])
                    between = np.maximum(between, down[n, s, 0] + hidden[s])
    return fastest, between


@compiled(made(1), array(3), array(1, INTEGER))
def _chords(points: Array, edges: NDArray[np.intp]) -> Array:
    squares = np.zeros(points.shape[1])
    for curve in range(len(edges) - 1):
        for n in range(edges[curve] + 1, edges[curve + 1]):
            for s in range(points.shape[1]):
                square = 0.0
                for axis in range(3):
                    step = points[n, s, axis] - points[n - 1, s, axis]
                    square += step * step
                squares[s] = np.maximum(squares[s], square)  # keeps NaN
    return np.sqrt(squares)


@compiled(several(FLOAT, FLOAT), array(2), array(1, INTEGER))
def _least_of_curves(values: Array, edges: NDArray[np.intp]) -> tuple[float, float]:
    """The least, and the least less half of the greatest change between neighbours, of each column of each curve."""
    least = between = np.inf
    for curve in range(len(edges) - 1):
        for column in range(values.shape[1]):
            lowest, change = values[edges[curve], column], 0.0
            for n in range(edges[curve] + 1, edges[curve + 1]):
                lowest = np.minimum(lowest, values[n, column])  # keeps NaN
                change = np.maximum(change, abs(values[n, column] - values[n - 1, column]))
            least, between = np.minimum(least, lowest), np.minimum(between, lowest - change / 2.0)
    return least, between
