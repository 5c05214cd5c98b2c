"""Postures of the whole arm for one place of the tool: starts and goals that inverse kinematics would never choose."""

from __future__ import annotations

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array

_STEPS = 6
_DAMPING = 1e-4


def brought(kinematics: Kinematics, q: Array, place: Array) -> Array:
    """Joint positions (7,) near q that put the tool at a place (3,), m, by damped least squares; any direction."""
    for _ in range(_STEPS):
        linear = kinematics.jacobian(q)[:3]
        missing = place - kinematics.tool_position(q)
        q = q + linear.T @ np.linalg.solve(linear @ linear.T + _DAMPING * np.eye(3), missing)
    return q
