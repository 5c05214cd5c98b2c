"""Which torques a motion of the arm takes: the recursive Newton-Euler algorithm on a Pinocchio model built here.

    tau = M(q) ddq + C(q, dq) dq + g(q)

The recursion is a compiled loop (Craig, "Introduction to Robotics", ch. 6): called from Python, Pinocchio's own takes
as long for one state as the loop for ten. A test compares them, and the second opinion of `certificate` asks Pinocchio.

Frames are those of `kinematics` (the same Denavit-Hartenberg parameters), bodies those of `arms`. Friction is
not modelled; it stays below 1 N m per joint (Gaz et al., 2019) and belongs to what limits and thresholds leave free.
"""

from __future__ import annotations

import numpy as np
import pinocchio
from numba import types

from ami_robot.safety.arm import Arm, Body
from ami_robot.safety.arms import ARMS
from ami_robot.safety.compiled import FLOAT, array, compiled, made
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array

TOOL_FRAME = "tool"


class Dynamics:
    """Torques of the rigid-body model."""

    def __init__(self, robot: str = "panda") -> None:
        """Of a robot of `arms`."""
        model = arm_model(robot)
        self._tool = model.frames[model.getFrameId(TOOL_FRAME)].placement.translation
        self._gravity = -float(model.gravity.linear[2])
        placements, bodies = list(model.jointPlacements)[1:], list(model.inertias)[1:]
        self._turns = np.array([placement.rotation for placement in placements])
        self._offsets = np.array([placement.translation for placement in placements])
        self._bodies = (
            np.array([body.mass for body in bodies]),
            np.array([body.lever for body in bodies]),
            np.array([body.inertia for body in bodies]),
        )
        self._last_link = bodies[-1].copy()

    def torques(self, q: Array, dq: Array, ddq: Array, mass_kg: float = 0.0) -> Array:
        """Torques (..., J), N m, for q rad, dq rad/s, ddq rad/s^2, each (..., J), and a point mass at the tool, kg.

        What is not finite gives torques that are not finite. Raises ValueError for a negative mass.
        """
        if mass_kg < 0.0:
            raise ValueError(f"a mass is not negative, got {mass_kg} kg.")
        loaded = self._last_link + pinocchio.Inertia(mass_kg, self._tool, np.zeros((3, 3)))
        masses, levers, inertias = (values.copy() for values in self._bodies)
        masses[-1], levers[-1], inertias[-1] = loaded.mass, loaded.lever, loaded.inertia
        states = np.stack(np.broadcast_arrays(q, dq, ddq)).astype(np.float64)  # (3, ..., J)
        q, dq, ddq = states.reshape(3, -1, len(masses))
        torques = _torques(q, dq, ddq, self._turns, self._offsets, masses, levers, inertias, self._gravity)
        return torques.reshape(states.shape[1:])

    def external_torque(self, q: Array, dq: Array, ddq: Array, measured: Array, mass_kg: float = 0.0) -> Array:
        """What the motors' `measured` torques (..., J), N m, hold beyond the model: the push of the world, mirrored."""
        return measured - self.torques(q, dq, ddq, mass_kg)


def arm_model(robot: str) -> pinocchio.Model:
    """The arm with the hand as a Pinocchio model of J revolute joints about z; the frame TOOL_FRAME is the tool."""
    arm, model, parent = ARMS[robot], pinocchio.Model(), 0
    placements = [_placement(arm, joint) for joint in range(arm.joints)]
    placements[0] = pinocchio.SE3(pinocchio.utils.rotate("z", arm.base_yaw_rad), np.zeros(3)) * placements[0]
    for joint, placement in enumerate(placements):
        parent = model.addJoint(parent, pinocchio.JointModelRZ(), placement, f"joint{joint + 1}")
    yaw = pinocchio.utils.rotate("z", arm.hand_yaw_rad)
    hand = pinocchio.SE3(yaw, np.array([0.0, 0.0, arm.flange_m]))
    for body in arm.bodies:
        joint = min(body.link, arm.joints)  # the hand is bolted to the last link
        frame = hand if body.link > arm.joints else pinocchio.SE3.Identity()
        model.appendBodyToJoint(joint, _inertia(body), frame)
    tool = pinocchio.SE3(yaw, np.array([0.0, 0.0, arm.flange_m + arm.tool_m]))
    model.addFrame(pinocchio.Frame(TOOL_FRAME, arm.joints, tool, pinocchio.FrameType.OP_FRAME))
    return model


def min_singular_value(kinematics: Kinematics, q: Array) -> Array:
    """Least singular value (...,) of the tool's Jacobian at q (..., J), rad; NaN where q is not finite.

    Linear rows are in m, angular ones in rad. At 0 there is a direction in which the tool cannot move.
    """
    return least_singular_value(kinematics.jacobian(q))


def least_singular_value(jacobian: Array) -> Array:
    """Of Jacobians (..., 6, J), m/rad and rad/rad; NaN for what is not finite."""
    known = np.asarray(np.isfinite(jacobian).all(axis=(-2, -1)))
    jacobian = np.where(known[..., None, None], jacobian, 0.0)
    squares = np.linalg.eigvalsh(jacobian @ np.swapaxes(jacobian, -1, -2))  # a quarter of the time of an SVD
    return np.where(known, np.sqrt(np.maximum(squares[..., 0], 0.0)), np.nan)


def _placement(arm: Arm, joint: int) -> pinocchio.SE3:
    """Of a joint in the link before it: along x, a quarter turn about x, along the new z (Craig's convention)."""
    turn = pinocchio.utils.rotate("x", arm.twists[joint] * np.pi / 2.0)
    return pinocchio.SE3(turn, np.array([arm.lengths_m[joint], 0.0, 0.0]) + arm.offsets_m[joint] * turn[:, 2])


def _inertia(body: Body) -> pinocchio.Inertia:
    xx, yy, zz, xy, xz, yz = body.inertia_kg_m2
    return pinocchio.Inertia(
        body.mass_kg, np.array(body.center_m), np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    )


_VECTOR = types.UniTuple(FLOAT, 3)
Vector = tuple[float, float, float]


@compiled(_VECTOR, _VECTOR, _VECTOR)
def _plus(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@compiled(_VECTOR, _VECTOR, _VECTOR)
def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled(_VECTOR, array(2), _VECTOR)
def _times(m: Array, v: Vector) -> Vector:
    """A matrix (3, 3) times a vector."""
    return (
        m[0, 0] * v[0] + m[0, 1] * v[1] + m[0, 2] * v[2],
        m[1, 0] * v[0] + m[1, 1] * v[1] + m[1, 2] * v[2],
        m[2, 0] * v[0] + m[2, 1] * v[1] + m[2, 2] * v[2],
    )


@compiled(_VECTOR, _VECTOR, _VECTOR, _VECTOR)
def _swung(spin: Vector, rate: Vector, r: Vector) -> Vector:
    """The acceleration of a point at r by how the body turns: rate of the spin x r + spin x (spin x r)."""
    return _plus(_cross(rate, r), _cross(spin, _cross(spin, r)))


@compiled(made(2), *[array(2)] * 3, array(3), array(2), array(1), array(2), array(3), FLOAT)
def _torques(
    q: Array,
    dq: Array,
    ddq: Array,
    turns: Array,
    offsets: Array,
    masses: Array,
    levers: Array,
    inertias: Array,
    gravity: float,
) -> Array:  # (n, J)
    n, joints = q.shape
    torques = np.empty((n, joints))
    turned, back = np.empty((joints, 3, 3)), np.empty((joints, 3, 3))  # from a link to the one before, and back
    forces, moments = np.empty((joints, 3)), np.empty((joints, 3))
    for i in range(n):
        spin, rate, acceleration = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, gravity)
        for k in range(joints):  # how each link moves, in its own frame, and what that takes
            c, s = np.cos(q[i, k]), np.sin(q[i, k])
            for axis in range(3):
                x, y, z = turns[k, axis, 0], turns[k, axis, 1], turns[k, axis, 2]
                turned[k, axis, 0], turned[k, axis, 1], turned[k, axis, 2] = c * x + s * y, c * y - s * x, z
                back[k, 0, axis], back[k, 1, axis], back[k, 2, axis] = c * x + s * y, c * y - s * x, z
            offset = (offsets[k, 0], offsets[k, 1], offsets[k, 2])
            acceleration = _times(back[k], _plus(acceleration, _swung(spin, rate, offset)))
            spin, rate = _times(back[k], spin), _times(back[k], rate)
            rate = _plus(rate, (spin[1] * dq[i, k], -spin[0] * dq[i, k], ddq[i, k]))
            spin = _plus(spin, (0.0, 0.0, dq[i, k]))
            lever = (levers[k, 0], levers[k, 1], levers[k, 2])
            ax, ay, az = _plus(acceleration, _swung(spin, rate, lever))
            force = (masses[k] * ax, masses[k] * ay, masses[k] * az)
            momentum_rate = _plus(_times(inertias[k], rate), _cross(spin, _times(inertias[k], spin)))
            moment = _plus(momentum_rate, _cross(lever, force))
            for axis in range(3):
                forces[k, axis], moments[k, axis] = force[axis], moment[axis]
        force, moment = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        for k in range(joints - 1, -1, -1):  # what each link passes on to the one before
            force = _plus(force, (forces[k, 0], forces[k, 1], forces[k, 2]))
            moment = _plus(moment, (moments[k, 0], moments[k, 1], moments[k, 2]))
            torques[i, k] = moment[2]
            force = _times(turned[k], force)
            offset = (offsets[k, 0], offsets[k, 1], offsets[k, 2])
            moment = _plus(_times(turned[k], moment), _cross(offset, force))
    return torques
