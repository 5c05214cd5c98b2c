"""Kinematics of an arm with its gripper, batched: positions in m, base_link; angles in rad.

The tool is the point between the fingertips. J is the number of joints; all functions take any batch shape (...).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.arm import Arm
from ami_robot.safety.arms import ARMS
from ami_robot.safety.compiled import INTEGER, array, compiled, made
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
        self.sphere_radii = table[:, 4].copy()
        self._sphere_offsets = table[:, 1:4].copy()
        self._sphere_frames = np.where(self.sphere_links == 0, 0, self.sphere_links + 1)
        self._chain = _chain(self._arm)
        self.levers_m = _levers(self._arm, self.sphere_links, self._sphere_offsets)

    def tool_position(self, q: Array) -> Array:
        """Tool position (..., 3), m."""
        frames, shape = self._frames(q)
        return frames[:, -1, _ORIGIN].reshape(*shape, 3)

    def tool_pose(self, q: Array) -> Array:
        """Homogeneous transform (..., 4, 4) of the tool in base_link."""
        frames, shape = self._frames(q)
        return _poses(frames[:, -1]).reshape(*shape, 4, 4)

    def tool_pose_and_spheres(self, q: Array) -> tuple[Array, Array]:
        """`tool_pose` (..., 4, 4) and `spheres` (..., S, 3), m, from one walk along the arm."""
        frames, shape = self._frames(q)
        return _poses(frames[:, -1]).reshape(*shape, 4, 4), self._centers(frames, shape)

    def jacobian(self, q: Array) -> Array:
        """Geometric Jacobian (..., 6, J) of the tool in base_link: rows of linear velocity, m, then angular, rad."""
        frames, shape = self._frames(q)
        twists = _twists(frames)
        return tool_jacobian(frames[:, -1, _ORIGIN], twists).reshape(*shape, *twists.shape[1:])

    def spheres(self, q: Array) -> Array:
        """Centres (..., S, 3), m, of spheres that cover base, links 1 to J, hand, and fingers at any width."""
        frames, shape = self._frames(q)
        return self._centers(frames, shape)

    def points_and_twists(self, q: Array) -> tuple[Array, Array, Array]:
        """Tool position (..., 3), m, centres (..., S, 3), m, of `spheres`, and the joints' twists (..., 6, J).

        A twist is what a joint does to whatever it moves: its axis (3,), and the velocity (3,), m, of the point that is
        at the origin of base_link. So a point p moves by axis x p + velocity, m/rad, and its distance along a direction
        n grows by (p x n, n) times the twist.
        """
        frames, shape = self._frames(q)
        tool, twists = frames[:, -1, _ORIGIN], _twists(frames)
        return tool.reshape(*shape, 3), self._centers(frames, shape), twists.reshape(*shape, *twists.shape[1:])

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

    def _frames(self, q: Array) -> tuple[Array, tuple[int, ...]]:
        """Frames (B, J + 4, 4, 3) as `_walked` has them, and the batch shape."""
        q = np.ascontiguousarray(q, dtype=np.float64)
        return _walked(self._chain, q.reshape(-1, self._arm.joints)), q.shape[:-1]

    def _centers(self, frames: Array, shape: tuple[int, ...]) -> Array:
        """Of the spheres, (..., S, 3), m."""
        return _placed(frames, self._sphere_frames, self._sphere_offsets).reshape(*shape, *self._sphere_offsets.shape)


_X, _Y, _Z, _ORIGIN = range(4)
"""What a frame consists of, (4, 3): its axes and its origin, m, in base_link."""


def _chain(arm: Arm) -> Array:
    """How each frame follows from the one before, (J + 3, 5): first the base's yaw, then links 1 to J, hand, tool.

    Length along x, m; quarter turns about x; offset along the new z, m; then the cosine and sine of a turn about that.
    The turn of a joint is not known yet.
    """
    base = (0.0, 0, 0.0, np.cos(arm.base_yaw_rad), np.sin(arm.base_yaw_rad))
    hand = (0.0, 0, arm.flange_m, np.cos(arm.hand_yaw_rad), np.sin(arm.hand_yaw_rad))
    links = [(*link, np.nan, np.nan) for link in zip(arm.lengths_m, arm.twists, arm.offsets_m, strict=True)]
    return np.array([base, *links, hand, (0.0, 0, arm.tool_m, 1.0, 0.0)])


@compiled(made(4), array(2), array(2))
def _walked(chain: Array, q: Array) -> Array:
    """Frames (B, J + 4, 4, 3) of base_link, turned base, links 1 to J, hand and tool for joint positions (B, J).

    Twists of a quarter turn only swap axes, so each link costs one planar rotation.
    """
    batch, joints = q.shape
    frames = np.zeros((batch, len(chain) + 1, 4, 3))
    for sample in range(batch):
        for axis in range(3):
            frames[sample, 0, axis, axis] = 1.0
        for step in range(len(chain)):
            before, after = frames[sample, step], frames[sample, step + 1]
            length_m, quarter_turns, offset_m = chain[step, 0], chain[step, 1], chain[step, 2]
            cosine, sine = chain[step, 3], chain[step, 4]
            if 1 <= step <= joints:
                cosine, sine = np.cos(q[sample, step - 1]), np.sin(q[sample, step - 1])
            for k in range(3):
                x, y, z, origin = before[_X, k], before[_Y, k], before[_Z, k], before[_ORIGIN, k]
                if length_m != 0.0:  # nothing times NaN would be NaN
                    origin += length_m * x
                if quarter_turns > 0.0:
                    y, z = z, -y
                elif quarter_turns < 0.0:
                    y, z = -z, y
                if offset_m != 0.0:
                    origin += offset_m * z
                after[_X, k], after[_Y, k] = cosine * x + sine * y, cosine * y - sine * x
                after[_Z, k], after[_ORIGIN, k] = z, origin
    return frames


@compiled(made(3), array(4), array(1, INTEGER), array(2))
def _placed(frames: Array, of_point: NDArray[np.int_], offsets: Array) -> Array:
    """Where (B, S, 3), m, points are whose offsets (S, 3), m, are fixed in these frames (S,)."""
    points = np.empty((len(frames), len(offsets), 3))
    for sample in range(len(frames)):
        for point in range(len(offsets)):
            frame, offset = frames[sample, of_point[point]], offsets[point]
            for k in range(3):
                turned = offset[0] * frame[_X, k] + offset[1] * frame[_Y, k] + offset[2] * frame[_Z, k]
                points[sample, point, k] = frame[_ORIGIN, k] + turned
    return points


@compiled(made(3), array(4))
def _twists(frames: Array) -> Array:
    """(B, 6, J): axis of each joint, and origin x axis."""
    joints = frames.shape[1] - 4
    twists = np.empty((len(frames), 6, joints))
    for sample in range(len(frames)):
        for joint in range(joints):
            frame = frames[sample, joint + 2]
            axis, origin, twist = frame[_Z], frame[_ORIGIN], twists[sample, :, joint]
            twist[0], twist[1], twist[2] = axis[0], axis[1], axis[2]
            twist[3] = origin[1] * axis[2] - origin[2] * axis[1]
            twist[4] = origin[2] * axis[0] - origin[0] * axis[2]
            twist[5] = origin[0] * axis[1] - origin[1] * axis[0]
    return twists


def _poses(frames: Array) -> Array:
    """Homogeneous transforms (B, 4, 4) of frames (B, 4, 3)."""
    poses = np.zeros((len(frames), 4, 4))
    poses[:, :3] = np.swapaxes(frames, 1, 2)
    poses[:, 3, 3] = 1.0
    return poses


def _levers(arm: Arm, sphere_links: NDArray[np.int_], sphere_offsets: Array) -> Array:
    last, distances = arm.joints, np.linalg.norm(sphere_offsets, axis=1)
    farthest = [distances[sphere_links == link].max(initial=0.0) for link in range(arm.joints + 2)]
    farthest[last] = max(farthest[last], arm.flange_m + max(arm.tool_m, farthest[last + 1]))
    levers = [farthest[last]]
    for joint in range(last - 1, 0, -1):  # to the next joint, and on from there
        to_next = np.hypot(arm.lengths_m[joint], arm.offsets_m[joint])
        levers.insert(0, max(farthest[joint], to_next + levers[0]))
    return np.array(levers)


def tool_jacobian(tool: Array, twists: Array) -> Array:
    """`Kinematics.jacobian` (..., 6, J) from the tool's position (..., 3), m, and the joints' twists (..., 6, J)."""
    every = np.ascontiguousarray(twists, dtype=np.float64).reshape(-1, *twists.shape[-2:])
    tools = np.ascontiguousarray(tool, dtype=np.float64).reshape(len(every), 3)
    return _jacobians(tools, every).reshape(twists.shape)


@compiled(made(3), array(2), array(3))
def _jacobians(tools: Array, twists: Array) -> Array:
    jacobians = np.empty(twists.shape)
    for sample in range(len(twists)):
        x, y, z = tools[sample, 0], tools[sample, 1], tools[sample, 2]
        for joint in range(twists.shape[2]):
            twist, column = twists[sample, :, joint], jacobians[sample, :, joint]
            column[0] = twist[3] + twist[1] * z - twist[2] * y
            column[1] = twist[4] + twist[2] * x - twist[0] * z
            column[2] = twist[5] + twist[0] * y - twist[1] * x
            column[3], column[4], column[5] = twist[0], twist[1], twist[2]
    return jacobians
