"""Rotation matrices as quaternion messages."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion

from ami_robot.types import Array


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
