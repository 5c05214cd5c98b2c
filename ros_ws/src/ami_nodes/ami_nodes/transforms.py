"""Poses as messages."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped

from ami_nodes.convert import to_time, to_vector3
from ami_robot.types import Array


def stamped_transform(parent: str, child: str, position: Array, rotation: Array, stamp_ns: int = 0) -> TransformStamped:
    """Where the frame `child` is in `parent`: (3,), m, and a rotation matrix (3, 3); stamp 0 holds for all time."""
    transform = Transform(translation=to_vector3(position), rotation=quaternion(rotation))
    stamped = TransformStamped(child_frame_id=child, transform=transform)
    stamped.header.frame_id, stamped.header.stamp = parent, to_time(stamp_ns)
    return stamped


def quaternion(rotation: Array) -> Quaternion:
    """The unit quaternion of a rotation matrix (3, 3).

    It is the eigenvector of the largest eigenvalue of a symmetric matrix, which has no special cases (Bar-Itzhack,
    "New method for extracting the quaternion from a rotation matrix", 2000).
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    symmetric = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1]
    sign = 1.0 if w >= 0 else -1.0
    return Quaternion(x=float(sign * x), y=float(sign * y), z=float(sign * z), w=float(sign * w))
