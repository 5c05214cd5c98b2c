"""Kinematics of the Franka Emika Panda and the FR3 with their hand, batched: positions in m, base_link; angles in rad.

Modified Denavit-Hartenberg parameters (Craig's convention): Franka Control Interface documentation, "Denavit-Hartenberg
parameters", the same for both. The tool is the point between the fingertips. All functions take any batch shape (...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.arm_spheres import SPHERES
from ami_robot.types import Array

HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
"""Ready posture, gripper straight down with yaw 0, rad."""

LINK_LENGTHS_M = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)  # a
LINK_TWISTS = (0, -1, 1, 1, -1, 1, 1)  # alpha, quarter turns
LINK_OFFSETS_M = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)  # d
FLANGE_M = 0.107  # along z of link 7
HAND_YAW_RAD = -np.pi / 4  # of the hand on the flange
TOOL_M = 0.1034  # along z of the hand


class Kinematics:
    """Where the parts of the arm are for joint positions (..., 7), and which joint positions put the tool somewhere."""

    sphere_radii: Array
    """Radii (S,), m, of the spheres that cover the arm; see `spheres`."""

    sphere_links: NDArray[np.int_]
    """Which link (S,) each sphere is fixed to: 0 the base, 1 to 7, 8 the hand with its fingers."""

    def __init__(self) -> None:
        table = np.array(SPHERES)
        self.sphere_links = table[:, 0].astype(int)
        self.sphere_radii = table[:, 4]
        self._sphere_offsets = [table[self.sphere_links == link, 1:4] for link in range(9)]

    def tool_position(self, q: Array) -> Array:
        """Tool position (..., 3), m."""
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(q)
        return _batch_first(origins[-1] + TOOL_M * axes[-1][2], q.shape[:-1])

    def tool_pose(self, q: Array) -> Array:
        """Homogeneous transform (..., 4, 4) of the tool in base_link."""
        q = np.asarray(q, dtype=np.float64)
        return _tool_pose(*_frames(q), q.shape[:-1])

    def tool_pose_and_spheres(self, q: Array) -> tuple[Array, Array]:
        """`tool_pose` (..., 4, 4) and `spheres` (..., S, 3), m, from one walk along the arm."""
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(q)
        centers = np.moveaxis(self._sphere_centers(axes, origins), -1, 0)
        return _tool_pose(axes, origins, q.shape[:-1]), centers.reshape(*q.shape[:-1], *centers.shape[1:])

    def jacobian(self, q: Array) -> Array:
        """Geometric Jacobian (..., 6, 7) of the tool in base_link: rows of linear velocity, m, then angular, rad."""
        tool, _, twists = self.points_and_twists(q)
        return tool_jacobian(tool, twists)

    def spheres(self, q: Array) -> Array:
        """Centres (..., S, 3), m, of spheres that cover base, links 1 to 7, hand, and fingers at any width."""
        q = np.asarray(q, dtype=np.float64)
        centers = self._sphere_centers(*_frames(q))
        return np.moveaxis(centers, -1, 0).reshape(*q.shape[:-1], *centers.shape[:2])

    def points_and_twists(self, q: Array) -> tuple[Array, Array, Array]:
        """Tool position (..., 3), m, centres (..., S, 3), m, of `spheres`, and the joints' twists (..., 6, 7).

        A twist is what a joint does to whatever it moves: its axis (3,), and the velocity (3,), m, of the point that is
        at the origin of base_link. So a point p moves by axis x p + velocity, m/rad, and its distance along a direction
        n grows by (p x n, n) times the twist.
        """
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(q)
        centers = np.moveaxis(self._sphere_centers(axes, origins), -1, 0)
        tool = _batch_first(origins[-1] + TOOL_M * axes[-1][2], q.shape[:-1])
        return tool, centers.reshape(*q.shape[:-1], *centers.shape[1:]), _twists(axes, origins, q.shape[:-1])

    def _sphere_centers(self, axes: list[Array], origins: list[Array]) -> Array:
        """(S, 3, B) from the frames of links 1 to 7 and the hand."""
        batch = origins[0].shape[1]
        base, *moving = self._sphere_offsets
        parts = [np.broadcast_to(base[:, :, None], (*base.shape, batch))]
        for offsets, link_axes, origin in zip(moving, axes, origins, strict=True):
            parts.append((offsets @ link_axes.reshape(3, -1)).reshape(-1, 3, batch) + origin)
        return np.concatenate(parts)

    def inverse(self, position: Array) -> tuple[Array, Array]:
        """Joint positions (..., 7) that put the tool at `position` (..., 3), gripper straight down with yaw 0.

        Of the arm's one-parameter family of solutions this takes the one that bends in the vertical plane through the
        base axis, elbow up: joints 3 and 5 stay at zero as in HOME, two-link trigonometry gives the rest. So it is
        exact and a function of the position alone: a walk through many positions cannot drift into another posture.

        Also returns the distance (...,), m, by which the tool misses `position`; above rounding only out of reach, NaN
        for a position with NaN. Joint limits are not looked at.
        """
        position = np.asarray(position, dtype=np.float64)
        x, y, z = np.moveaxis(position, -1, 0)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            wrist = np.hypot(x, y) - LINK_LENGTHS_M[6]  # of joint 5 and 6, from the base axis
            height = z + FLANGE_M + TOOL_M - LINK_OFFSETS_M[0]  # above the shoulder
            upper, fore = (
                np.hypot(LINK_OFFSETS_M[2], LINK_LENGTHS_M[3]),
                np.hypot(LINK_OFFSETS_M[4], LINK_LENGTHS_M[4]),
            )
            upper_angle = np.arctan2(LINK_LENGTHS_M[3], LINK_OFFSETS_M[2])
            fore_angle = np.arctan2(-LINK_LENGTHS_M[4], LINK_OFFSETS_M[4])
            reach = np.hypot(wrist, height)
            elbow = np.arccos(np.clip((upper**2 + fore**2 - reach**2) / (2 * upper * fore), -1.0, 1.0))
            shoulder = np.arccos(np.clip((upper**2 + reach**2 - fore**2) / (2 * upper * reach), -1.0, 1.0))
            q1 = np.arctan2(y, x)
            q2 = np.arctan2(wrist, height) - shoulder - upper_angle
            q4 = elbow - np.pi - upper_angle - fore_angle
            q = np.stack([q1, q2, np.zeros_like(q1), q4, np.zeros_like(q1), q2 - q4, q1 - HAND_YAW_RAD], axis=-1)
            return q, np.linalg.norm(self.tool_position(q) - position, axis=-1)


def _frames(q: Array) -> tuple[list[Array], list[Array]]:
    """Axes (3, 3, B), first index the axis, and origins (3, B) of links 1 to 7 and the hand, batch last.

    Twists of a quarter turn only swap axes, so each link costs one planar rotation.
    """
    angles = q.reshape(-1, 7).T
    cosines, sines = np.cos(angles), np.sin(angles)
    batch = angles.shape[1]
    x, y, z = np.broadcast_to(np.eye(3)[:, :, None], (3, 3, batch))
    origin: Array = np.zeros((3, batch))
    axes, origins = [], []
    for joint in range(7):
        if LINK_LENGTHS_M[joint]:
            origin = origin + LINK_LENGTHS_M[joint] * x
        if LINK_TWISTS[joint] == 1:
            y, z = z, -y
        elif LINK_TWISTS[joint] == -1:
            y, z = -z, y
        if LINK_OFFSETS_M[joint]:
            origin = origin + LINK_OFFSETS_M[joint] * z
        x, y = cosines[joint] * x + sines[joint] * y, cosines[joint] * y - sines[joint] * x
        axes.append(np.array([x, y, z]))
        origins.append(origin)
    cosine, sine = np.cos(HAND_YAW_RAD), np.sin(HAND_YAW_RAD)
    axes.append(np.array([cosine * x + sine * y, cosine * y - sine * x, z]))
    origins.append(origin + FLANGE_M * z)
    return axes, origins


def _tool_pose(axes: list[Array], origins: list[Array], shape: tuple[int, ...]) -> Array:
    pose = np.zeros((*shape, 4, 4))
    for column in range(3):
        pose[..., :3, column] = _batch_first(axes[-1][column], shape)
    pose[..., :3, 3] = _batch_first(origins[-1] + TOOL_M * axes[-1][2], shape)
    pose[..., 3, 3] = 1.0
    return pose


def tool_jacobian(tool: Array, twists: Array) -> Array:
    """`Kinematics.jacobian` (..., 6, 7) from the tool's position (..., 3), m, and the joints' twists (..., 6, 7)."""
    jacobian = np.empty_like(twists)
    jacobian[..., :3, :] = twists[..., 3:, :] + _cross(np.swapaxes(twists[..., :3, :], -1, -2), tool[..., None, :])
    jacobian[..., 3:, :] = twists[..., :3, :]
    return jacobian


def _twists(axes: list[Array], origins: list[Array], shape: tuple[int, ...]) -> Array:
    """(..., 6, 7): axis of each joint, and origin x axis."""
    joint_axes = np.array([frame[2] for frame in axes[:7]]).T  # (B, 3, 7)
    twists = np.empty((len(joint_axes), 6, 7))
    twists[:, :3] = joint_axes
    twists[:, 3:] = _cross(np.array(origins[:7]).transpose(2, 0, 1), np.swapaxes(joint_axes, 1, 2))
    return twists.reshape(*shape, 6, 7)


def _cross(first: Array, second: Array) -> Array:
    """Cross products (..., 3, n) of vectors (..., n, 3): as numpy's, in a fifth of the time, transposed."""
    (a, b, c), (x, y, z) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-2)


def _batch_first(vectors: Array, shape: tuple[int, ...]) -> Array:
    """(3, B) as (..., 3)."""
    return vectors.T.reshape(*shape, 3)
