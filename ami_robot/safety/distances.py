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
from ami_robot.safety.compiled import BOOLEAN, FLOAT, INTEGER, NOTHING, array, compiled, made
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, People

_AT_ONCE = 16  # samples; a compiled loop over fewer would not be taken to the vector unit

_TINY = np.finfo(np.float64).tiny


def table_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Height (..., S) above the table beyond the row's clearance, m."""
    above = _above_table(
        *_of_arm(spec, centers, radii), spec.table.height_m + spec.table.clearance_m, _moving(spec.robot)
    )
    return above.reshape(centers.shape[:-1])


def arm_space_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S) to the nearest wall of the arm's space, m; negative where a sphere reaches through it."""
    inside = _within_walls(*_of_arm(spec, centers, radii), _walls(spec), _moving(spec.robot))
    return inside.reshape(centers.shape[:-1])


def obstacle_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., S, B) to each of B boxes beyond the row's clearance, m; inside a box minus the way out."""
    boxes = _boxes(spec)
    clearance = _from_boxes(*_spheres(centers, radii), boxes, spec.obstacles.clearance_m)
    return clearance.reshape(*centers.shape[:-1], len(boxes))


def least_obstacle_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """The least (S,) of `obstacle_clearance` over N samples (N, S, 3), m, and all boxes; +inf for none of either."""
    return _least_from_boxes(*_spheres(centers, radii), _boxes(spec), spec.obstacles.clearance_m)


def self_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """Distance (..., P) between the P pairs of spheres that can meet, beyond the row's clearance, m."""
    first, second = sphere_pairs(spec.robot)
    clearance = _apart(*_of_arm(spec, centers, radii), first, second, spec.self_collision.clearance_m)
    return clearance.reshape(*centers.shape[:-2], len(first))


def least_self_clearance(spec: Spec, centers: Array, radii: Array) -> Array:
    """The least (P,) of `self_clearance` over N samples (N, S, 3), m; +inf for none."""
    every, radii = _of_arm(spec, centers, radii)
    return _least_apart(every, radii, *sphere_pairs(spec.robot), spec.self_collision.clearance_m, _AT_ONCE)


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
    boxes, batch = _boxes(spec), centers.shape[:-2]
    layout, (every, radii) = _row_layout(spec.robot, len(boxes)), _of_arm(spec, centers, radii)
    rows, joints = layout.moved_by.shape
    slack, wrenches = np.empty((len(every), rows)), np.empty((len(every), rows, 6))
    planes, pairs = len(layout.from_planes), rows - len(layout.second)
    table_m, asked_m = spec.table.height_m + spec.table.clearance_m, spec.self_collision.clearance_m
    _plane_rows(every, radii, layout.arm, table_m, _walls(spec), slack)
    wrenches[:, :planes, 3:] = layout.from_planes
    _box_rows(every, radii, boxes, spec.obstacles.clearance_m, planes, slack, wrenches)
    _pair_rows(every, radii, layout.sphere, layout.second, asked_m, pairs, slack, wrenches)
    _turning(every, layout.sphere, wrenches)
    gradients = wrenches @ np.asarray(twists, dtype=np.float64).reshape(len(every), 6, joints)
    gradients *= layout.moved_by
    return gradients.reshape(*batch, rows, joints), slack.reshape(*batch, rows), layout.names


@dataclass(frozen=True, eq=False)
class _RowLayout:
    """What rows there are, whatever the pose: table, walls, boxes, pairs."""

    arm: NDArray[np.intp]  # indices of the spheres that table and walls are asked for
    from_planes: Array  # (.., 3): unit vectors off the table and the walls
    sphere: NDArray[np.intp]  # (R,): the sphere of each row; of a pair the first
    second: NDArray[np.intp]  # (P,): the other sphere of each pair; they are the last rows
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
    return _RowLayout(arm, from_planes, sphere, second, moved_by, names)


def _of_arm(spec: Spec, centers: Array, radii: Array) -> tuple[Array, Array]:
    """`_spheres` that are all of the arm's: compiled loops do not look whether an index is within an array."""
    every, radii = _spheres(centers, radii)
    return every, radii.reshape(len(_moving(spec.robot)))


def _spheres(centers: Array, radii: Array) -> tuple[Array, Array]:
    """Centres (B, S, 3) and radii (S,) as compiled functions take them."""
    spheres = centers.shape[-2]
    every = np.ascontiguousarray(centers, dtype=np.float64).reshape(-1, spheres, 3)
    return every, np.ascontiguousarray(radii, dtype=np.float64).reshape(spheres)


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


@lru_cache(maxsize=8)
def _boxes(spec: Spec) -> Array:
    """Lower and upper corners (B, 2, 3), m; also of no box."""
    return np.array([(box.lower_m, box.upper_m) for box in spec.obstacles.boxes], dtype=np.float64).reshape(-1, 2, 3)


@lru_cache(maxsize=8)
def _walls(spec: Spec) -> Array:
    """Lower and upper corner (2, 3), m, of the arm's space."""
    return np.array([spec.arm_space.lower_m, spec.arm_space.upper_m], dtype=np.float64)


@compiled(made(2), array(3), array(1), FLOAT, array(1, BOOLEAN))
def _above_table(centers: Array, radii: Array, table_m: float, moving: NDArray[np.bool_]) -> Array:
    above = np.empty(centers.shape[:2])
    for sample in range(centers.shape[0]):
        for sphere in range(centers.shape[1]):
            height_m = centers[sample, sphere, 2] - radii[sphere] - table_m
            above[sample, sphere] = height_m if moving[sphere] else np.inf
    return above


@compiled(made(2), array(3), array(1), array(2), array(1, BOOLEAN))
def _within_walls(centers: Array, radii: Array, walls: Array, moving: NDArray[np.bool_]) -> Array:
    within = np.full(centers.shape[:2], np.inf)
    for sample in range(centers.shape[0]):
        for sphere in range(centers.shape[1]):
            if moving[sphere]:
                for k in range(3):
                    at = centers[sample, sphere, k]
                    nearest = np.minimum(at - walls[0, k], walls[1, k] - at)
                    within[sample, sphere] = np.minimum(within[sample, sphere], nearest)
                within[sample, sphere] -= radii[sphere]
    return within


@compiled(FLOAT, array(1), array(2))
def _from_box(point: Array, box: Array) -> float:
    """Distance of a point (3,) to a box (2, 3), m; inside minus the way out."""
    square, farthest = 0.0, -np.inf
    for k in range(3):
        beyond = np.maximum(box[0, k] - point[k], point[k] - box[1, k])
        square += np.maximum(beyond, 0.0) ** 2
        farthest = np.maximum(farthest, beyond)
    return np.sqrt(square) + np.minimum(farthest, 0.0)


@compiled(made(3), array(3), array(1), array(3), FLOAT)
def _from_boxes(centers: Array, radii: Array, boxes: Array, clearance_m: float) -> Array:
    clearance = np.empty((*centers.shape[:2], len(boxes)))
    for sample in range(centers.shape[0]):
        for sphere in range(centers.shape[1]):
            for box in range(len(boxes)):
                distance = _from_box(centers[sample, sphere], boxes[box])
                clearance[sample, sphere, box] = distance - radii[sphere] - clearance_m
    return clearance


@compiled(made(1), array(3), array(1), array(3), FLOAT)
def _least_from_boxes(centers: Array, radii: Array, boxes: Array, clearance_m: float) -> Array:
    least = np.full(centers.shape[1], np.inf)
    for sample in range(centers.shape[0]):
        for sphere in range(centers.shape[1]):
            for box in range(len(boxes)):
                least[sphere] = np.minimum(least[sphere], _from_box(centers[sample, sphere], boxes[box]))
    for sphere in range(len(least)):
        least[sphere] = least[sphere] - radii[sphere] - clearance_m
    return least


@compiled(FLOAT, array(1), array(1))
def _square(one: Array, other: Array) -> float:
    """Of the distance of two points (3,)."""
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


@compiled(made(2), array(3), array(1), array(1, INTEGER), array(1, INTEGER), FLOAT)
def _apart(
    centers: Array, radii: Array, first: NDArray[np.intp], second: NDArray[np.intp], clearance_m: float
) -> Array:
    clearance = np.empty((len(centers), len(first)))
    for sample in range(len(centers)):
        for pair in range(len(first)):
            one, other = first[pair], second[pair]
            distance = np.sqrt(_square(centers[sample, one], centers[sample, other]))
            clearance[sample, pair] = distance - (radii[one] + radii[other] + clearance_m)
    return clearance


@compiled(made(1), array(3), array(1), array(1, INTEGER), array(1, INTEGER), FLOAT, INTEGER)
def _least_apart(
    centers: Array, radii: Array, first: NDArray[np.intp], second: NDArray[np.intp], clearance_m: float, at_once: int
) -> Array:
    """Some samples side by side at a time, which the processor's vector unit takes at once: half the time."""
    samples, spheres, _ = centers.shape
    points, nearest = np.empty((spheres, 3, at_once)), np.full((len(first), at_once), np.inf)
    for begin in range(0, samples, at_once):
        for k in range(at_once):
            sample = min(begin + k, samples - 1)
            for sphere in range(spheres):
                for axis in range(3):
                    points[sphere, axis, k] = centers[sample, sphere, axis]
        for pair in range(len(first)):
            one, other, so_far = points[first[pair]], points[second[pair]], nearest[pair]
            for k in range(at_once):
                x, y, z = one[0, k] - other[0, k], one[1, k] - other[1, k], one[2, k] - other[2, k]
                so_far[k] = np.minimum(so_far[k], x * x + y * y + z * z)
    least = np.full(len(first), np.inf)
    for pair in range(len(first)):
        for square in nearest[pair]:
            least[pair] = np.minimum(least[pair], square)
        least[pair] = np.sqrt(least[pair]) - (radii[first[pair]] + radii[second[pair]] + clearance_m)
    return least


@compiled(NOTHING, array(3), array(1), array(1, INTEGER), FLOAT, array(2), made(2))
def _plane_rows(
    centers: Array, radii: Array, arm: NDArray[np.intp], table_m: float, walls: Array, slack: Array
) -> None:
    """Slacks of table and walls, from the first row on."""
    for sample in range(len(centers)):
        row = len(arm)
        for place, sphere in enumerate(arm):
            center, radius = centers[sample, sphere], radii[sphere]
            slack[sample, place] = center[2] - radius - table_m
            for k in range(3):
                slack[sample, row + k] = center[k] - walls[0, k] - radius
                slack[sample, row + 3 + k] = walls[1, k] - center[k] - radius
            row += 6


@compiled(NOTHING, array(1), array(2), made(1))
def _away(point: Array, box: Array, direction: Array) -> None:
    """Write the unit vector (3,) along which a point gets away from a box (2, 3) fastest."""
    square, farthest = 0.0, -np.inf
    for k in range(3):
        direction[k] = point[k] - np.minimum(np.maximum(point[k], box[0, k]), box[1, k])
        square += direction[k] ** 2
        farthest = np.maximum(farthest, np.maximum(box[0, k] - point[k], point[k] - box[1, k]))
    if not square > 0.0:  # inside: through the nearest face
        square = 0.0
        for k in range(3):
            below, above = box[0, k] - point[k], point[k] - box[1, k]
            nearest = np.maximum(below, above) == farthest
            direction[k] = (-1.0 if below > above else 1.0) if nearest else 0.0
            square += direction[k] ** 2
    length = np.sqrt(square)
    for k in range(3):
        direction[k] /= length


@compiled(NOTHING, array(3), array(1), array(3), FLOAT, INTEGER, made(2), made(3))
def _box_rows(
    centers: Array, radii: Array, boxes: Array, clearance_m: float, begin: int, slack: Array, wrenches: Array
) -> None:
    """Slacks and directions of the boxes, from row `begin` on."""
    for sample in range(centers.shape[0]):
        row = begin
        for sphere in range(centers.shape[1]):
            for box in range(len(boxes)):
                center = centers[sample, sphere]
                slack[sample, row] = _from_box(center, boxes[box]) - radii[sphere] - clearance_m
                _away(center, boxes[box], wrenches[sample, row, 3:])
                row += 1


@compiled(NOTHING, array(3), array(1), array(1, INTEGER), array(1, INTEGER), FLOAT, INTEGER, made(2), made(3))
def _pair_rows(
    centers: Array,
    radii: Array,
    sphere: NDArray[np.intp],
    second: NDArray[np.intp],
    clearance_m: float,
    begin: int,
    slack: Array,
    wrenches: Array,
) -> None:
    """Slacks and directions of the pairs, from row `begin` on."""
    for sample in range(len(centers)):
        for pair in range(len(second)):
            row = begin + pair
            first, other = sphere[row], second[pair]
            one, two, direction = centers[sample, first], centers[sample, other], wrenches[sample, row, 3:]
            distance = np.sqrt(_square(one, two))
            slack[sample, row] = distance - (radii[first] + radii[other] + clearance_m)
            per_m = 1.0 / np.maximum(distance, _TINY)
            for k in range(3):
                direction[k] = (one[k] - two[k]) * per_m


@compiled(NOTHING, array(3), array(1, INTEGER), made(3))
def _turning(centers: Array, sphere: NDArray[np.intp], wrenches: Array) -> None:
    """Complete wrenches (p x n, n), (B, R, 6): the same for every point p on a line along n, so for both of a pair."""
    for sample in range(len(centers)):
        for row in range(len(sphere)):
            wrench, point = wrenches[sample, row], centers[sample, sphere[row]]
            wrench[0] = point[1] * wrench[5] - point[2] * wrench[4]
            wrench[1] = point[2] * wrench[3] - point[0] * wrench[5]
            wrench[2] = point[0] * wrench[4] - point[1] * wrench[3]
