"""Which torques a motion of the arm takes: Pinocchio's recursive Newton-Euler algorithm on a model built here.

    tau = M(q) ddq + C(q, dq) dq + g(q)

Frames are those of `kinematics` (the same Denavit-Hartenberg parameters), bodies those of `arms`. Friction is
not modelled; it stays below 1 N m per joint (Gaz et al., 2019) and belongs to what limits and thresholds leave free.
"""

from __future__ import annotations

import numpy as np
import pinocchio

from ami_robot.safety.arm import Arm, Body
from ami_robot.safety.arms import ARMS
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array

TOOL_FRAME = "tool"


class Dynamics:
    """Torques of the rigid-body model. Not thread-safe: Pinocchio writes its results into one workspace."""

    def __init__(self, robot: str = "panda") -> None:
        """Of a robot of `arms`."""
        self._model, self._joints = arm_model(robot), ARMS[robot].joints
        self._workspace = self._model.createData()
        self._last_link = self._model.inertias[self._joints].copy()
        self._tool = self._model.frames[self._model.getFrameId(TOOL_FRAME)].placement.translation

    def torques(self, q: Array, dq: Array, ddq: Array, mass_kg: float = 0.0) -> Array:
        """Torques (..., J), N m, for q rad, dq rad/s, ddq rad/s^2, each (..., J), and a point mass at the tool, kg.

        What is not finite gives torques that are not finite. Raises ValueError for a negative mass.
        """
        if mass_kg < 0.0:
            raise ValueError(f"a mass is not negative, got {mass_kg} kg.")
        self._model.inertias[self._joints] = self._last_link + pinocchio.Inertia(mass_kg, self._tool, np.zeros((3, 3)))
        states = np.stack(np.broadcast_arrays(q, dq, ddq), axis=-2).astype(np.float64)  # (..., 3, J)
        model, workspace = self._model, self._workspace
        rows = [pinocchio.rnea(model, workspace, *state) for state in states.reshape(-1, 3, self._joints)]
        return np.reshape(rows, (*states.shape[:-2], self._joints))

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
