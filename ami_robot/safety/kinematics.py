"""Kinematics of an arm with its gripper, batched: positions in m, base_link; angles in rad.

The tool is the point between the fingertips. J is the number of joints; all functions take any batch shape (...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.arm import Arm
from ami_robot.safety.arms import ARMS
from ami_robot.types import Array


class Kinematics:
    """Where the parts of the arm are for joint positions (..., J), and which joint positions put the tool somewhere."""

    sphere_radii: Array
    """Radii (S,), m, of the spheres that cover the arm; see `spheres`."""

    sphere_links: NDArray[np.int_]
    """Which link (S,) each sphere is fixed to: 0 the base, 1 to J, J + 1 the hand with its fingers."""

    levers_m: Array
    """The farthest (J,), m, that a sphere's centre or the tool can be from each joint's axis."""

    def __init__(self, robot: str = "panda") -> None:
        """Of a robot of `arms`."""
        self._arm = ARMS[robot]
        table = np.array(self._arm.spheres)
        self.sphere_links = table[:, 0].astype(int)
        self.sphere_radii = table[:, 4]
        self._sphere_offsets = [table[self.sphere_links == link, 1:4] for link in range(self._arm.joints + 2)]
        self.levers_m = _levers(self._arm, self._sphere_offsets)

    def tool_position(self, q: Array) -> Array:
        """Tool position (..., 3), m."""
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(self._arm, q)
        return _batch_first(origins[-1] + self._arm.tool_m * axes[-1][2], q.shape[:-1])

    def tool_pose(self, q: Array) -> Array:
        """Homogeneous transform (..., 4, 4) of the tool in base_link."""
        q = np.asarray(q, dtype=np.float64)
        return self._tool_pose(*_frames(self._arm, q), q.shape[:-1])

    def tool_pose_and_spheres(self, q: Array) -> tuple[Array, Array]:
        """`tool_pose` (..., 4, 4) and `spheres` (..., S, 3), m, from one walk along the arm."""
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(self._arm, q)
        centers = np.moveaxis(self._sphere_centers(axes, origins), -1, 0)
        return self._tool_pose(axes, origins, q.shape[:-1]), centers.reshape(*q.shape[:-1], *centers.shape[1:])

    def jacobian(self, q: Array) -> Array:
        """Geometric Jacobian (..., 6, J) of the tool in base_link: rows of linear velocity, m, then angular, rad."""
        tool, _, twists = self.points_and_twists(q)
        return tool_jacobian(tool, twists)

    def spheres(self, q: Array) -> Array:
        """Centres (..., S, 3), m, of spheres that cover base, links 1 to J, hand, and fingers at any width."""
        q = np.asarray(q, dtype=np.float64)
        centers = self._sphere_centers(*_frames(self._arm, q))
        return np.moveaxis(centers, -1, 0).reshape(*q.shape[:-1], *centers.shape[:2])

    def points_and_twists(self, q: Array) -> tuple[Array, Array, Array]:
        """Tool position (..., 3), m, centres (..., S, 3), m, of `spheres`, and the joints' twists (..., 6, J).

        A twist is what a joint does to whatever it moves: its axis (3,), and the velocity (3,), m, of the point that is
        at the origin of base_link. So a point p moves by axis x p + velocity, m/rad, and its distance along a direction
        n grows by (p x n, n) times the twist.
        """
        q = np.asarray(q, dtype=np.float64)
        axes, origins = _frames(self._arm, q)
        centers = np.moveaxis(self._sphere_centers(axes, origins), -1, 0)
        tool = _batch_first(origins[-1] + self._arm.tool_m * axes[-1][2], q.shape[:-1])
        return tool, centers.reshape(*q.shape[:-1], *centers.shape[1:]), _twists(axes, origins, q.shape[:-1])

    def _sphere_centers(self, axes: list[Array], origins: list[Array]) -> Array:
        """(S, 3, B) from the frames of links 1 to J and the hand."""
        batch = origins[0].shape[1]
        base, *moving = self._sphere_offsets
        parts = [np.broadcast_to(base[:, :, None], (*base.shape, batch))]
        for offsets, link_axes, origin in zip(moving, axes, origins, strict=True):
            parts.append((offsets @ link_axes.reshape(3, -1)).reshape(-1, 3, batch) + origin)
        return np.concatenate(parts)

    def inverse(self, position: Array) -> tuple[Array, Array]:
        """Joint positions (..., J) that put the tool at `position` (..., 3), gripper straight down with yaw 0.

        In closed form and a function of the position alone: a walk through many positions cannot drift into another
        posture. Also returns the distance (...,), m, by which the tool misses `position`; above rounding only out of
        reach, NaN for a position with NaN. Joint limits are not looked at.
        """
        position = np.asarray(position, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            q = self._arm.inverse(self._arm, *np.moveaxis(position, -1, 0))
            return q, np.linalg.norm(self.tool_position(q) - position, axis=-1)

    def _tool_pose(self, axes: list[Array], origins: list[Array], shape: tuple[int, ...]) -> Array:
        pose = np.zeros((*shape, 4, 4))
        for column in range(3):
            pose[..., :3, column] = _batch_first(axes[-1][column], shape)
        pose[..., :3, 3] = _batch_first(origins[-1] + self._arm.tool_m * axes[-1][2], shape)
        pose[..., 3, 3] = 1.0
        return pose


def _frames(arm: Arm, q: Array) -> tuple[list[Array], list[Array]]:
    """Axes (3, 3, B), first index the axis, and origins (3, B) of links 1 to J and the hand, batch last.

    Twists of a quarter turn only swap axes, so each link costs one planar rotation.
    """
    angles = q.reshape(-1, arm.joints).T
    cosines, sines = np.cos(angles), np.sin(angles)
    batch = angles.shape[1]
    x, y, z = np.broadcast_to(np.eye(3)[:, :, None], (3, 3, batch))
    if arm.base_yaw_rad:
        x, y = _turned(x, y, np.cos(arm.base_yaw_rad), np.sin(arm.base_yaw_rad))
    origin: Array = np.zeros((3, batch))
    axes, origins = [], []
    for joint in range(arm.joints):
        if arm.lengths_m[joint]:
            origin = origin + arm.lengths_m[joint] * x
        if arm.twists[joint] == 1:
            y, z = z, -y
        elif arm.twists[joint] == -1:
            y, z = -z, y
        if arm.offsets_m[joint]:
            origin = origin + arm.offsets_m[joint] * z
        x, y = _turned(x, y, cosines[joint], sines[joint])
        axes.append(np.array([x, y, z]))
        origins.append(origin)
    x, y = _turned(x, y, np.cos(arm.hand_yaw_rad), np.sin(arm.hand_yaw_rad))
    axes.append(np.array([x, y, z]))
    origins.append(origin + arm.flange_m * z)
    return axes, origins


def _turned(x: Array, y: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
    """Axes x and y (3, B), turned about z."""
    return cosine * x + sine * y, cosine * y - sine * x


def _levers(arm: Arm, sphere_offsets: list[Array]) -> Array:
    last = arm.joints
    farthest = [np.linalg.norm(offsets, axis=1).max(initial=0.0) for offsets in sphere_offsets]
    farthest[last] = max(farthest[last], arm.flange_m + max(arm.tool_m, farthest[last + 1]))
    levers = [farthest[last]]
    for joint in range(last - 1, 0, -1):  # to the next joint, and on from there
        to_next = np.hypot(arm.lengths_m[joint], arm.offsets_m[joint])
        levers.insert(0, max(farthest[joint], to_next + levers[0]))
    return np.array(levers)


def tool_jacobian(tool: Array, twists: Array) -> Array:
    """`Kinematics.jacobian` (..., 6, J) from the tool's position (..., 3), m, and the joints' twists (..., 6, J)."""
    jacobian = np.empty_like(twists)
    jacobian[..., :3, :] = twists[..., 3:, :] + _cross(np.swapaxes(twists[..., :3, :], -1, -2), tool[..., None, :])
    jacobian[..., 3:, :] = twists[..., :3, :]
    return jacobian


def _twists(axes: list[Array], origins: list[Array], shape: tuple[int, ...]) -> Array:
    """(..., 6, J): axis of each joint, and origin x axis."""
    joint_axes = np.array([frame[2] for frame in axes[:-1]]).T  # (B, 3, J)
    twists = np.empty((len(joint_axes), 6, len(axes) - 1))
    twists[:, :3] = joint_axes
    twists[:, 3:] = _cross(np.array(origins[:-1]).transpose(2, 0, 1), np.swapaxes(joint_axes, 1, 2))
    return twists.reshape(*shape, 6, len(axes) - 1)


def _cross(first: Array, second: Array) -> Array:
    """Cross products (..., 3, n) of vectors (..., n, 3): as numpy's, in a fifth of the time, transposed."""
    (a, b, c), (x, y, z) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-2)


def _batch_first(vectors: Array, shape: tuple[int, ...]) -> Array:
    """(3, B) as (..., 3)."""
    return vectors.T.reshape(*shape, 3)
