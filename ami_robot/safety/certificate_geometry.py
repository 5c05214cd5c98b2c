"""The arm a second time, for `certificate`: Pinocchio moves it, Coal measures it, nothing here is shared with the gate.

Joint frames are those of the makers' own descriptions (franka_description, panda_arm.urdf.xacro and hand.urdf.xacro;
Universal_Robots_ROS2_Description, config/ur5e/default_kinematics.yaml), not the Denavit-Hartenberg tables of `arms`: a
slip of the pen in one of them shows. Only data are common: the spheres that stand for the arm and the inertias of its
links.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import coal
import numpy as np
import pinocchio

from ami_robot.safety.arms import ARMS
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, Person

_RIGHT_ANGLE = np.pi / 2.0
_FIRST_MOVING_LINK = 2


@dataclass(frozen=True)
class _Description:
    """Of an arm, as its maker describes it, and what the row self_collision speaks of."""

    joint_origins: tuple[tuple[float, float, float, float, float], ...]
    """In the link before: x, y, z, m, the roll about x and then the yaw about z, rad."""

    hand: tuple[float, float]
    """On the last link: along and about z, m, rad."""

    tool_on_hand_m: float
    """Along z."""

    ready: tuple[float, ...]
    links_that_can_meet: frozenset[tuple[int, int]]

    @property
    def joints(self) -> int:
        """How many."""
        return len(self.joint_origins)

    def hand_frame(self) -> pinocchio.SE3:
        """On the last link."""
        height_m, yaw = self.hand
        return pinocchio.SE3(pinocchio.rpy.rpyToMatrix(0.0, 0.0, yaw), np.array([0.0, 0.0, height_m]))

    def mount(self, link: int) -> tuple[int, pinocchio.SE3]:
        """The joint that carries a link, and the link's frame on it: the hand is bolted to the last link."""
        return (self.joints, self.hand_frame()) if link > self.joints else (link, pinocchio.SE3.Identity())


_FRANKA = _Description(
    joint_origins=(
        (0.0, 0.0, 0.333, 0.0, 0.0),
        (0.0, 0.0, 0.0, -_RIGHT_ANGLE, 0.0),
        (0.0, -0.316, 0.0, _RIGHT_ANGLE, 0.0),
        (0.0825, 0.0, 0.0, _RIGHT_ANGLE, 0.0),
        (-0.0825, 0.384, 0.0, -_RIGHT_ANGLE, 0.0),
        (0.0, 0.0, 0.0, _RIGHT_ANGLE, 0.0),
        (0.088, 0.0, 0.0, _RIGHT_ANGLE, 0.0),
    ),
    hand=(0.107, -np.pi / 4.0),
    tool_on_hand_m=0.1034,
    ready=(0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4),
    links_that_can_meet=frozenset({(base, far) for base in (0, 1, 2) for far in (5, 6, 7, 8)} | {(5, 7), (5, 8)}),
)

_UR5E = _Description(
    joint_origins=(
        (0.0, 0.0, 0.1625, 0.0, np.pi),
        (0.0, 0.0, 0.0, _RIGHT_ANGLE, 0.0),
        (-0.425, 0.0, 0.0, 0.0, 0.0),
        (-0.3922, 0.0, 0.1333, 0.0, 0.0),
        (0.0, -0.0997, 0.0, _RIGHT_ANGLE, 0.0),
        (0.0, 0.0996, 0.0, -_RIGHT_ANGLE, 0.0),
    ),
    hand=(0.011, -_RIGHT_ANGLE),
    tool_on_hand_m=0.15,
    ready=(0.0, -_RIGHT_ANGLE, _RIGHT_ANGLE, -_RIGHT_ANGLE, -_RIGHT_ANGLE, 0.0),
    links_that_can_meet=frozenset(
        {(base, far) for base in (0, 1, 2) for far in (4, 5, 6, 7)} | {(0, 3), (1, 3), (3, 6), (3, 7)}
    ),
)

_DESCRIPTIONS = {"panda": _FRANKA, "fr3": _FRANKA, "ur5e": _UR5E}


@dataclass(frozen=True)
class Samples:
    """The arm at n instants of a motion."""

    tool_m: Array  # (n, 3), base_link
    least_singular_value: Array  # (n,)
    torques_n_m: Array  # (n, J)
    tool_axes: Array  # (n, 3, 3): the tool's axes as columns
    centers_m: Array  # (n, S, 3): of all spheres
    heights_m: Array  # (n, M): of the M spheres of the moving arm above the table
    clearances_m: dict[str, Array]  # row -> (n,): least distance, beyond the row's clearance


class Arm:
    """The arm and what stands around it. Not thread-safe: Pinocchio and Coal write into one workspace."""

    def __init__(self, spec: Spec) -> None:
        self._described, self._spheres = _DESCRIPTIONS[spec.robot], ARMS[spec.robot].spheres
        self._last = self._described.joints
        self._model = _model(spec.robot)
        self._data = self._model.createData()
        self._tool = self._model.getFrameId("tool")
        self._last_link = self._model.inertias[self._last].copy()
        self._tool_on_link = self._model.frames[self._tool].placement.translation
        mounts = [self._described.mount(sphere[0]) for sphere in self._spheres]
        self._joints = np.array([joint for joint, _ in mounts])
        self._on_joints = np.array(
            [frame.act(np.array(sphere[1:4])) for (_, frame), sphere in zip(mounts, self._spheres, strict=True)]
        )
        self._radii, self._table_m = np.array([sphere[4] for sphere in self._spheres]), spec.table.height_m
        self._moving = [number for number, sphere in enumerate(self._spheres) if sphere[0] >= _FIRST_MOVING_LINK]
        self._rows = {row: _Row(self._model, *built) for row, built in _surroundings(spec, self._model).items()}

    def tool_position(self, q: Array) -> Array:
        """Tool (3,), m, base_link, at joint positions (J,), rad."""
        pinocchio.forwardKinematics(self._model, self._data, q)
        return np.array(pinocchio.updateFramePlacement(self._model, self._data, self._tool).translation)

    def sample(self, q: Array, dq: Array, ddq: Array, load_kg: float) -> Samples:
        """Measure at joint positions, velocities and accelerations (n, J) with a point mass in the gripper, kg."""
        point = pinocchio.Inertia(load_kg, self._tool_on_link, np.zeros((3, 3)))
        self._model.inertias[self._last] = self._last_link + point
        count, joints = len(q), len(self._data.oMi)  # with the one that stands still
        tool, torques, jacobians = np.empty((count, 3)), np.empty((count, self._last)), np.empty((count, 6, self._last))
        axes, origins = np.empty((count, joints, 3, 3)), np.empty((count, joints, 3))
        clearances: dict[str, Array] = {row: np.empty(count) for row in self._rows}
        for k in range(count):
            torques[k] = pinocchio.rnea(self._model, self._data, q[k], dq[k], ddq[k])
            jacobians[k] = pinocchio.computeFrameJacobian(
                self._model, self._data, q[k], self._tool, pinocchio.LOCAL_WORLD_ALIGNED
            )
            tool[k] = pinocchio.updateFramePlacement(self._model, self._data, self._tool).translation
            for row, measure in self._rows.items():
                clearances[row][k] = measure.least(self._data)
            for joint, placed in enumerate(self._data.oMi):
                axes[k, joint], origins[k, joint] = placed.rotation, placed.translation
        least = np.linalg.svd(jacobians, compute_uv=False)[:, -1]
        centers = origins[:, self._joints] + np.einsum("nsij,sj->nsi", axes[:, self._joints], self._on_joints)
        heights = (centers[..., 2] - self._radii - self._table_m)[:, self._moving]
        tool_axes = axes[:, self._last] @ self._described.hand_frame().rotation
        return Samples(tool, least, torques, tool_axes, centers, heights, clearances)

    def place(self, q: Array) -> pinocchio.Data:
        """Where the joints are at joint positions (J,), rad, until the next call."""
        pinocchio.forwardKinematics(self._model, self._data, q)
        return self._data

    @property
    def model(self) -> pinocchio.Model:
        """Pinocchio's model of the arm."""
        return self._model


class _Row:
    """Pairs of shapes and the distance that they have to keep."""

    def __init__(self, model: pinocchio.Model, geometry: pinocchio.GeometryModel, clearance_m: float) -> None:
        self._model, self._geometry, self._clearance_m = model, geometry, clearance_m
        self._data = geometry.createData()

    def least(self, moved: pinocchio.Data) -> float:
        """Least distance, beyond the clearance, m; +inf without pairs. `moved` holds the joints' placements."""
        if not len(self._geometry.collisionPairs):
            return float("inf")
        pinocchio.updateGeometryPlacements(self._model, moved, self._geometry, self._data)
        nearest = pinocchio.computeDistances(self._geometry, self._data)
        return float(self._data.distanceResults[nearest].min_distance) - self._clearance_m


class Neighbours:
    """People near the arm as capsules, grown by how wrong they may be; `tip` (3,), m, of the tool is a point."""

    def __init__(self, robot: str, persons: Sequence[Person], tip: Array) -> None:
        described = _DESCRIPTIONS[robot]
        turning = [number for number, sphere in enumerate(ARMS[robot].spheres) if sphere[0] >= 1]  # all but the base
        geometry = _against(robot, turning, [_capsule(person) for person in persons])
        point = described.hand_frame() * pinocchio.SE3(np.eye(3), np.array([0.0, 0.0, described.tool_on_hand_m]) + tip)
        end = geometry.addGeometryObject(pinocchio.GeometryObject("tip", described.joints, point, coal.Sphere(0.0)))
        for number in range(len(persons)):
            geometry.addCollisionPair(pinocchio.CollisionPair(end, geometry.getGeometryId(f"shape{number}")))
        self._geometry = geometry

    def distances(self, arm: Arm, q: Array) -> Array:
        """Least distance (n,), m, of all but the base to anybody, at joint positions (n, J), rad."""
        row = _Row(arm.model, self._geometry, 0.0)
        return np.array([row.least(arm.place(each)) for each in q])


def _capsule(person: Person) -> tuple[Any, pinocchio.SE3]:
    """Coal's capsule lies along z, its middle at the origin."""
    axis = person.end_b - person.end_a
    length_m, radius_m = float(np.linalg.norm(axis)), person.radius + person.radius_error
    turn = np.eye(3)
    if length_m > 0.0:
        turn = pinocchio.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), axis / length_m).matrix()
    return coal.Capsule(radius_m, length_m), pinocchio.SE3(turn, (person.end_a + person.end_b) / 2.0)


def _model(robot: str) -> pinocchio.Model:
    described, model, parent = _DESCRIPTIONS[robot], pinocchio.Model(), 0
    for joint, (x, y, z, roll, yaw) in enumerate(described.joint_origins):
        turn = pinocchio.rpy.rpyToMatrix(roll, 0.0, 0.0) @ pinocchio.rpy.rpyToMatrix(0.0, 0.0, yaw)
        origin = pinocchio.SE3(turn, np.array([x, y, z]))
        parent = model.addJoint(parent, pinocchio.JointModelRZ(), origin, f"joint{joint + 1}")
    for body in ARMS[robot].bodies:
        xx, yy, zz, xy, xz, yz = body.inertia_kg_m2
        about_center = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        inertia = pinocchio.Inertia(body.mass_kg, np.array(body.center_m), about_center)
        joint, frame = described.mount(body.link)
        model.appendBodyToJoint(joint, inertia, frame)
    tool = described.hand_frame() * pinocchio.SE3(np.eye(3), np.array([0.0, 0.0, described.tool_on_hand_m]))
    model.addFrame(pinocchio.Frame("tool", described.joints, tool, pinocchio.FrameType.OP_FRAME))
    return model


def _surroundings(spec: Spec, model: pinocchio.Model) -> dict[str, tuple[pinocchio.GeometryModel, float]]:
    """For each row the spheres with what they must not touch, and the row's clearance, m."""
    robot, spheres = spec.robot, ARMS[spec.robot].spheres
    moving = [number for number, sphere in enumerate(spheres) if sphere[0] >= _FIRST_MOVING_LINK]
    everything = list(range(len(spheres)))
    up = np.array([0.0, 0.0, 1.0])
    top = [(coal.Halfspace(up, spec.table.height_m), pinocchio.SE3.Identity())]
    boxes = [
        (coal.Box(*(box.upper_m - box.lower_m)), pinocchio.SE3(np.eye(3), (box.lower_m + box.upper_m) / 2.0))
        for box in spec.obstacles.boxes
    ]
    return {
        "table": (_against(robot, moving, top), spec.table.clearance_m),
        "arm_space": (_against(robot, moving, _walls(spec)), 0.0),
        "obstacles": (_against(robot, everything, boxes), spec.obstacles.clearance_m),
        "self_collision": (_against_itself(robot, model), spec.self_collision.clearance_m),
    }


def _walls(spec: Spec) -> list[tuple[coal.Halfspace, pinocchio.SE3]]:
    """The six half spaces outside of the arm's space."""
    walls = []
    for axis in np.eye(3):
        walls.append((coal.Halfspace(axis, float(axis @ spec.arm_space.lower_m)), pinocchio.SE3.Identity()))
        walls.append((coal.Halfspace(-axis, -float(axis @ spec.arm_space.upper_m)), pinocchio.SE3.Identity()))
    return walls


def _spheres(robot: str) -> pinocchio.GeometryModel:
    """The arm's spheres, numbered as in its table, without pairs."""
    geometry = pinocchio.GeometryModel()
    for number, (link, x, y, z, radius) in enumerate(ARMS[robot].spheres):
        joint, frame = _DESCRIPTIONS[robot].mount(link)
        placement = frame * pinocchio.SE3(np.eye(3), np.array([x, y, z]))
        geometry.addGeometryObject(pinocchio.GeometryObject(f"sphere{number}", joint, placement, coal.Sphere(radius)))
    return geometry


def _against(
    robot: str, spheres: Sequence[int], shapes: Sequence[tuple[Any, pinocchio.SE3]]
) -> pinocchio.GeometryModel:
    """Pairs of each of these spheres with each of these shapes, which stand in base_link."""
    geometry = _spheres(robot)
    for number, (shape, placement) in enumerate(shapes):
        other = geometry.addGeometryObject(pinocchio.GeometryObject(f"shape{number}", 0, placement, shape))
        for sphere in spheres:
            geometry.addCollisionPair(pinocchio.CollisionPair(sphere, other))
    return geometry


def _against_itself(robot: str, model: pinocchio.Model) -> pinocchio.GeometryModel:
    """Pairs of spheres of links that can meet, without those whose covers overlap in the ready posture already."""
    geometry, spheres, described = _spheres(robot), ARMS[robot].spheres, _DESCRIPTIONS[robot]
    for a, b in itertools.combinations(range(len(spheres)), 2):
        if (spheres[a][0], spheres[b][0]) in described.links_that_can_meet:
            geometry.addCollisionPair(pinocchio.CollisionPair(a, b))
    data, placed = model.createData(), geometry.createData()
    pinocchio.computeDistances(model, data, geometry, placed, np.array(described.ready))
    pairs = list(geometry.collisionPairs)
    for pair, result in zip(pairs, placed.distanceResults, strict=True):
        if not result.min_distance > 0.0:
            geometry.removeCollisionPair(pair)
    return geometry
