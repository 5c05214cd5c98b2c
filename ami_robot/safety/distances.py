"""How far the arm's spheres stand from the table, the cell's walls, obstacles, each other and people.

Clearances are distances of a sphere's surface less what its row of the guardrail file asks for, m: negative when the
row is broken, NaN for NaN. They take the centres (..., S, 3) that `Kinematics.spheres` gives, with any batch shape
(...), and the radii (S,). The base and link 1 stand where they stand whatever the arm does, through the table top and
next to the walls: the rows of table and arm space leave them out (+inf).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.kinematics import HOME, Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, People, Person

_LINKS_THAT_CAN_MEET = (
    *((base, far) for base in (0, 1, 2) for far in (5, 6, 7, 8)),
    *((5, far) for far in (7, 8)),
)
"""Of links that are not neighbours the others stay 25 mm apart whatever the joints do within their limits."""

_LONGEST_AXIS_M = 1e6
"""Of a capsule; the nearest point of a longer one is lost in rounding, so its distance is NaN."""


def table_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Height (..., S) above the table beyond the row's clearance, m."""
    clearance = centers[..., 2] - radii - (spec.table.height_m + spec.table.clearance_m)
    return _without_base(clearance)


def arm_space_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S) to the nearest wall of the arm's space, m; negative where a sphere reaches through it."""
    inside = np.minimum(centers - spec.arm_space.lower_m, spec.arm_space.upper_m - centers).min(axis=-1)
    return _without_base(inside - radii)


def obstacle_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S, B) to each of B boxes beyond the row's clearance, m; inside a box minus the way out."""
    lower, upper = _boxes(spec)
    beyond = np.maximum(lower - centers[..., None, :], centers[..., None, :] - upper)
    distance = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1) + np.minimum(beyond.max(axis=-1), 0.0)
    return distance - radii[:, None] - spec.obstacles.clearance_m


def self_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., P) between the P pairs of spheres that can meet, beyond the row's clearance, m.

    Component by component, which is five times faster.
    """
    first, second = _sphere_pairs()
    components = (np.ascontiguousarray(centers[..., axis]) for axis in range(3))
    squares = sum((values.take(first, axis=-1) - values.take(second, axis=-1)) ** 2 for values in components)
    return np.sqrt(squares) - (radii[first] + radii[second] + spec.self_collision.clearance_m)


def capsule_distance(centers: Array, people: People) -> Array:
    """Distance (..., S, N) of points (..., S, 3) to each of N persons' capsules, grown by their radius error, m."""
    distances = [_axis_distance(centers, person) - (person.radius + person.radius_error) for person in people.persons]
    return np.moveaxis(np.array(distances).reshape(-1, *centers.shape[:-1]), 0, -1)


def distance_rows(spec: Spec, kinematics: Kinematics, q: Array) -> tuple[Array, Array, list[str]]:
    """All static rows at joint positions (..., 7), linearised: a displacement x, rad, keeps them when G x >= -slack.

    Returns:
        G (..., R, 7), m/rad: how fast each distance grows; slack (..., R), m: the clearance at `q`; the R rows' names.
        Two spheres with one centre have no direction apart: their row of G is zero, so no x mends it.
    """
    radii, (centers, jacobians) = kinematics.sphere_radii, kinematics.spheres_and_jacobians(q)
    moving = kinematics.sphere_links >= 2
    arm, arm_jacobians = centers[..., moving, :], jacobians[..., moving, :, :]
    first, second = _sphere_pairs()
    apart = centers[..., first, :] - centers[..., second, :]
    apart /= np.maximum(np.linalg.norm(apart, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    inside = np.concatenate([arm - spec.arm_space.lower_m, spec.arm_space.upper_m - arm], axis=-1)  # 6 walls
    blocks = {
        "table": (arm_jacobians[..., 2, :], table_clearance(spec, centers, radii)[..., moving]),
        "arm_space": (np.concatenate([arm_jacobians, -arm_jacobians], axis=-2), inside - radii[moving, None]),
        "obstacles": (_box_normals(spec, centers) @ jacobians, obstacle_clearance(spec, centers, radii)),
        "self_collision": (
            apart[..., None, :] @ (jacobians[..., first, :, :] - jacobians[..., second, :, :]),
            self_clearance(spec, centers, radii),
        ),
    }
    batch = np.shape(q)[:-1]
    gradients = np.concatenate([gradient.reshape(*batch, -1, 7) for gradient, _ in blocks.values()], axis=-2)
    slacks = {name: slack.reshape(*batch, -1) for name, (_, slack) in blocks.items()}
    names = [name for name, slack in slacks.items() for _ in range(slack.shape[-1])]
    return gradients, np.concatenate(list(slacks.values()), axis=-1), names


def _axis_distance(centers: Array, person: Person) -> Array:
    """Distance (...) of points (..., 3) to the axis of a capsule; component by component, which is ten times faster."""
    with np.errstate(over="ignore", invalid="ignore"):
        axis = np.subtract(person.end_b, person.end_a)
        square = axis @ axis if axis @ axis <= _LONGEST_AXIS_M**2 else np.nan
        x, y, z = (centers[..., k] - person.end_a[k] for k in range(3))
        along = (x * axis[0] + y * axis[1] + z * axis[2]) / np.maximum(square, np.finfo(np.float64).tiny)
        along = np.clip(along, 0.0, 1.0)
        return np.sqrt((x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2)


def _without_base(clearance: Array) -> Array:
    return np.where(_moving(), clearance, np.inf)


@lru_cache(maxsize=1)
def _moving() -> NDArray[np.bool_]:
    return Kinematics().sphere_links >= 2


@lru_cache(maxsize=1)
def _sphere_pairs() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (P,) of the first and of the second sphere of each pair that is looked at.

    Left out are pairs that overlap in the ready posture. It is one pair, round the wrist: the covers of links 5 and 7
    are fatter there than the 18 mm of air between them, at any angle of the joints. Where the links really meet
    (joint 6 below 0.7 rad) other spheres of theirs meet no later.
    """
    kinematics = Kinematics()
    links, radii = kinematics.sphere_links, kinematics.sphere_radii
    candidates = [np.argwhere((links[:, None] == a) & (links == b)) for a, b in _LINKS_THAT_CAN_MEET]
    first, second = np.concatenate(candidates).T
    home = kinematics.spheres(HOME)
    apart = np.linalg.norm(home[first] - home[second], axis=-1) > radii[first] + radii[second]
    return first[apart], second[apart]


def _boxes(spec: Spec) -> tuple[Array, Array]:
    """Lower and upper corners (B, 3), m; also of no box."""
    lower = np.array([box.lower_m for box in spec.obstacles.boxes]).reshape(-1, 3)
    return lower, np.array([box.upper_m for box in spec.obstacles.boxes]).reshape(-1, 3)


def _box_normals(spec: Spec, centers: Array) -> Array:
    """Unit vectors (..., S, B, 3) along which points (..., S, 3) get away from each box fastest."""
    lower, upper = _boxes(spec)
    points = centers[..., None, :]
    away = points - np.clip(points, lower, upper)
    out = np.maximum(lower - points, points - upper)
    nearest_face = np.where(points - lower < upper - points, -1.0, 1.0) * (out == out.max(axis=-1, keepdims=True))
    outside = np.linalg.norm(away, axis=-1, keepdims=True) > 0.0
    outward = np.where(outside, away, nearest_face)
    return outward / np.linalg.norm(outward, axis=-1, keepdims=True)
