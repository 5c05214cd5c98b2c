"""How far the arm's spheres stand from the table, the cell's walls, obstacles, each other and people.

Clearances are distances of a sphere's surface less what its row of the guardrail file asks for, m: negative when the
row is broken, NaN for NaN. They take the centres (..., S, 3) that `Kinematics.spheres` gives, with any batch shape
(...), and the radii (S,). The base and link 1 stand where they stand whatever the arm does, through the table top and
next to the walls: the rows of table and arm space leave them out (+inf).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.arms import ARMS
from ami_robot.safety.capsules import distances
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, People


def table_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Height (..., S) above the table beyond the row's clearance, m."""
    clearance = centers[..., 2] - radii - (spec.table.height_m + spec.table.clearance_m)
    return _without_base(spec, clearance)


def arm_space_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S) to the nearest wall of the arm's space, m; negative where a sphere reaches through it."""
    inside = np.minimum(centers - spec.arm_space.lower_m, spec.arm_space.upper_m - centers).min(axis=-1)
    return _without_base(spec, inside - radii)


def obstacle_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S, B) to each of B boxes beyond the row's clearance, m; inside a box minus the way out."""
    lower, upper = _boxes(spec)
    beyond = np.maximum(lower - centers[..., None, :], centers[..., None, :] - upper)
    distance = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1) + np.minimum(beyond.max(axis=-1), 0.0)
    return distance - radii[:, None] - spec.obstacles.clearance_m


def self_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., P) between the P pairs of spheres that can meet, beyond the row's clearance, m."""
    return _apart(spec, centers)[1] - _asked_apart(spec, radii)


def capsule_distance(centers: Array, people: People) -> Array:
    """Distance (..., S, N) of points (..., S, 3) to each of N persons' capsules, grown by their radius error, m."""
    return distances(centers, people)


def distance_rows(spec: Spec, centers: Array, radii: Array, twists: Array) -> tuple[Array, Array, tuple[str, ...]]:
    """All static rows, linearised where the joints have these twists (..., 6, 7) (`Kinematics.points_and_twists`).

    Returns:
        G (..., R, 7), m/rad: how fast each distance grows; slack (..., R), m: the clearance here; the R rows' names.
        A displacement x of the joints, rad, keeps the rows when G x >= -slack.
        Two spheres with one centre have no direction apart: their row of G is zero, so no x mends it.
    """
    layout, batch = _row_layout(spec.robot, len(spec.obstacles.boxes)), centers.shape[:-2]
    arm = centers.take(layout.arm, axis=-2)  # `take` costs a third of what an index does
    inside = np.concatenate([arm - spec.arm_space.lower_m, spec.arm_space.upper_m - arm], axis=-1)  # 6 walls
    apart, distance = _apart(spec, centers)
    slacks = (
        table_clearance(spec, centers, radii).take(layout.arm, axis=-1),
        inside - radii[layout.arm, None],
        obstacle_clearance(spec, centers, radii),
        distance - _asked_apart(spec, radii),
    )
    distance = np.maximum(distance, np.finfo(np.float64).tiny)
    planes, pairs = len(layout.from_planes), len(layout.sphere) - distance.shape[-1]
    directions = np.empty((*batch, len(layout.sphere), 3))
    directions[..., :planes, :] = layout.from_planes
    directions[..., planes:pairs, :] = _box_normals(spec, centers).reshape(*batch, -1, 3)
    for axis in range(3):
        directions[..., pairs:, axis] = apart[axis] / distance
    points = centers.take(layout.sphere, axis=-2)
    gradients = (_wrenches(points, directions) @ twists) * layout.moved_by
    return gradients, np.concatenate([slack.reshape(*batch, -1) for slack in slacks], axis=-1), layout.names


@dataclass(frozen=True, eq=False)
class _RowLayout:
    """What rows there are, whatever the pose: table, walls, boxes, pairs."""

    arm: NDArray[np.intp]  # indices of the spheres that table and walls are asked for
    from_planes: Array  # (.., 3): unit vectors off the table and the walls
    sphere: NDArray[np.intp]  # (R,): the sphere of each row; of a pair the first
    moved_by: Array  # (R, J): 1 for joints that move it; for a pair less those that move the second, which cancel
    names: tuple[str, ...]


@lru_cache(maxsize=8)
def _row_layout(robot: str, boxes: int) -> _RowLayout:
    links = Kinematics(robot).sphere_links
    spheres, arm, (first, second) = np.arange(len(links)), np.flatnonzero(_moving(robot)), sphere_pairs(robot)
    walls = np.concatenate([np.eye(3), -np.eye(3)])
    moved = (np.arange(1, ARMS[robot].joints + 1) <= links[:, None]).astype(np.float64)
    blocks = {
        "table": arm,
        "arm_space": np.repeat(arm, len(walls)),
        "obstacles": np.repeat(spheres, boxes),
        "self_collision": first,
    }
    sphere = np.concatenate(list(blocks.values()))
    moved_by = moved[sphere]
    moved_by[len(sphere) - len(second) :] -= moved[second]
    names = tuple(name for name, block in blocks.items() for _ in block)
    from_planes = np.concatenate([np.tile(walls[2], (len(arm), 1)), np.tile(walls, (len(arm), 1))])
    return _RowLayout(arm, from_planes, sphere, moved_by, names)


def _apart(spec: Spec, centers: Array) -> tuple[list[Array], Array]:
    """From the second to the first sphere of each pair: 3 components (..., P) and distance (..., P), m.

    Component by component, which is five times faster.
    """
    first, second = sphere_pairs(spec.robot)
    components = (np.ascontiguousarray(centers[..., axis]) for axis in range(3))
    apart: list[Array] = [values.take(first, axis=-1) - values.take(second, axis=-1) for values in components]
    distance: Array = np.sqrt(sum(component * component for component in apart))
    return apart, distance


def _asked_apart(spec: Spec, radii: Array) -> Array:
    first, second = sphere_pairs(spec.robot)
    return radii[first] + radii[second] + spec.self_collision.clearance_m


def _wrenches(points: Array, directions: Array) -> Array:
    """(p x n, n), (..., R, 6): the same for every point p on one line along n, so for both spheres of a pair."""
    px, py, pz = (points[..., axis] for axis in range(3))
    nx, ny, nz = (directions[..., axis] for axis in range(3))
    wrenches = np.empty((*points.shape[:-1], 6))
    wrenches[..., 0], wrenches[..., 1] = py * nz - pz * ny, pz * nx - px * nz
    wrenches[..., 2], wrenches[..., 3:] = px * ny - py * nx, directions
    return wrenches


def _without_base(spec: Spec, clearance: Array) -> Array:
    return np.where(_moving(spec.robot), clearance, np.inf)


@lru_cache(maxsize=8)
def _moving(robot: str) -> NDArray[np.bool_]:
    return Kinematics(robot).sphere_links >= 2


@lru_cache(maxsize=8)
def sphere_pairs(robot: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (P,) of the first and of the second sphere of each pair that `self_clearance` looks at.

    Left out are pairs that overlap in the ready posture. Of a Panda it is one pair, round the wrist: the covers of
    links 5 and 7 are fatter there than the 18 mm of air between them, at any angle of the joints. Where the links
    really meet (joint 6 below 0.7 rad) other spheres of theirs meet no later.
    """
    kinematics, arm = Kinematics(robot), ARMS[robot]
    links, radii = kinematics.sphere_links, kinematics.sphere_radii
    candidates = [np.argwhere((links[:, None] == a) & (links == b)) for a, b in arm.can_meet]
    first, second = np.concatenate(candidates).T
    ready = kinematics.spheres(np.array(arm.ready))
    apart = np.linalg.norm(ready[first] - ready[second], axis=-1) > radii[first] + radii[second]
    return first[apart], second[apart]


def _boxes(spec: Spec) -> tuple[Array, Array]:
    """Lower and upper corners (B, 3), m; also of no box."""
    lower = np.array([box.lower_m for box in spec.obstacles.boxes]).reshape(-1, 3)
    return lower, np.array([box.upper_m for box in spec.obstacles.boxes]).reshape(-1, 3)


def _box_normals(spec: Spec, centers: Array) -> Array:
    """Unit vectors (..., S, B, 3) along which points (..., S, 3) get away from each box fastest."""
    lower, upper = _boxes(spec)
    points = centers[..., None, :]
    outward = points - np.minimum(np.maximum(points, lower), upper)
    length = np.sqrt((outward**2).sum(axis=-1, keepdims=True))
    if length.size and not length.min() > 0.0:  # inside: through the nearest face
        below, above = lower - points, points - upper
        out = np.maximum(below, above)
        nearest_face = np.where(below > above, -1.0, 1.0) * (out == out.max(axis=-1, keepdims=True))
        outward = np.where(length > 0.0, outward, nearest_face)
        length = np.sqrt((outward**2).sum(axis=-1, keepdims=True))
    return outward / length
