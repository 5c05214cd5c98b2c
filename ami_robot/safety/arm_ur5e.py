"""The Universal Robots UR5e with a Robotiq 2F-85 on its adapter plate.

Frames: Universal Robots, "DH Parameters for calculations of kinematics and dynamics"; base_link is half a turn from
them, as in Universal_Robots_ROS2_Description. The hand's y axis is the one along which the fingers open.

Spheres: fitted to the surfaces of the arm's visual meshes there, which are leaner than its collision meshes, and to the
gripper's collision meshes (ros2_robotiq_gripper, robotiq_description) at widths from open to closed.

Bodies: Universal_Robots_ROS2_Description, config/ur5e/physical_parameters.yaml (masses and centres by Universal Robots,
inertias of cylinders), and robotiq_2f_85_macro.urdf.xacro, the fingers as one body, half open.
"""

from __future__ import annotations

import numpy as np

from ami_robot.safety.arm import Arm, Body
from ami_robot.safety.compiled import FLOAT, array, compiled, made
from ami_robot.types import Array

_SPHERES = (
    (0, 0.0, -0.03, 0.025, 0.072),
    (0, 0.03, 0.02, 0.025, 0.071),
    (0, -0.03, 0.02, 0.025, 0.071),
    (0, 0.0, 0.0, 0.07, 0.066),
    (1, 0.0, 0.0, -0.035, 0.066),
    (1, 0.0, -0.035, 0.0, 0.072),
    (1, 0.0, 0.005, 0.005, 0.071),
    (1, 0.0, -0.02, 0.042, 0.071),
    (2, 0.0, 0.0, 0.108, 0.071),
    (2, 0.0, 0.0, 0.176, 0.071),
    (2, -0.055, 0.0, 0.118, 0.07),
    (2, -0.055, 0.0, 0.165, 0.07),
    (2, -0.115, 0.0, 0.1375, 0.054),
    (2, -0.175, 0.0, 0.1375, 0.054),
    (2, -0.235, 0.0, 0.1375, 0.054),
    (2, -0.295, 0.0, 0.1375, 0.054),
    (2, -0.355, 0.0, 0.1375, 0.06),
    (2, -0.425, 0.0, 0.098, 0.071),
    (2, -0.425, 0.0, 0.17, 0.07),
    (2, -0.385, 0.0, 0.135, 0.066),
    (3, 0.005, 0.0, 0.022, 0.073),
    (3, -0.05, 0.0, 0.006, 0.072),
    (3, -0.1, 0.0, 0.0065, 0.048),
    (3, -0.155, 0.0, 0.0065, 0.048),
    (3, -0.21, 0.0, 0.0065, 0.048),
    (3, -0.265, 0.0, 0.0065, 0.048),
    (3, -0.32, 0.0, 0.0065, 0.05),
    (3, -0.375, 0.0, -0.017, 0.05),
    (3, -0.375, 0.0, 0.03, 0.051),
    (3, -0.4, 0.0, -0.017, 0.045),
    (3, -0.4, 0.0, 0.03, 0.051),
    (4, 0.0, 0.0, -0.046, 0.048),
    (4, 0.0, -0.023, -0.002, 0.05),
    (4, 0.0, 0.025, -0.002, 0.046),
    (5, 0.0, -0.001, -0.035, 0.042),
    (5, 0.0, -0.025, 0.0, 0.047),
    (5, 0.0, 0.023, 0.0, 0.049),
    (6, 0.0, -0.0025, -0.023, 0.048),
    (7, 0.0, 0.0, 0.003, 0.042),
    (7, 0.0, 0.0, 0.03, 0.042),
    (7, 0.0, -0.032, 0.06, 0.043),
    (7, 0.0, 0.032, 0.06, 0.043),
    (7, 0.0, -0.06, 0.09, 0.037),
    (7, 0.0, -0.036, 0.09, 0.024),
    (7, 0.0, -0.012, 0.09, 0.025),
    (7, 0.0, 0.012, 0.09, 0.026),
    (7, 0.0, 0.06, 0.09, 0.038),
    (7, 0.0, -0.055, 0.115, 0.022),
    (7, 0.0, -0.03, 0.115, 0.022),
    (7, 0.0, -0.005, 0.115, 0.022),
    (7, 0.0, 0.005, 0.115, 0.022),
    (7, 0.0, 0.03, 0.115, 0.023),
    (7, 0.0, 0.055, 0.115, 0.022),
    (7, 0.0, -0.045, 0.14, 0.02),
    (7, 0.0, -0.027, 0.14, 0.025),
    (7, 0.0, -0.009, 0.14, 0.027),
    (7, 0.0, 0.009, 0.14, 0.027),
    (7, 0.0, 0.027, 0.14, 0.026),
    (7, 0.0, 0.045, 0.14, 0.02),
)

_BODIES = (
    Body(1, 3.761, (0.0, -0.00193, -0.02561), (0.0102675, 0.0102675, 0.00666, 0.0, 0.0, 0.0)),
    Body(2, 8.058, (-0.2125, 0.0, 0.11336), (0.0151074, 0.1338858, 0.1338858, 0.0, 0.0, 0.0)),
    Body(3, 2.846, (-0.2422, 0.0, 0.0265), (0.004095, 0.0312094, 0.0312094, 0.0, 0.0, 0.0)),
    Body(4, 1.37, (0.0, -0.01634, -0.0018), (0.0025599, 0.0025599, 0.0021942, 0.0, 0.0, 0.0)),
    Body(5, 1.3, (0.0, 0.01634, -0.0018), (0.0025599, 0.0025599, 0.0021942, 0.0, 0.0, 0.0)),
    Body(6, 0.365, (0.0, 0.0, -0.001159), (9.89e-05, 9.89e-05, 0.0001321, 0.0, 0.0, 0.0)),
    Body(7, 0.663, (0.0, 0.0, 0.0323), (0.000588, 0.000516, 0.000395, 0.0, 0.0, 0.0)),
    Body(7, 0.2577, (0.0, 0.0, 0.0959), (0.000579, 0.000132, 0.000448, 0.0, 0.0, 0.0)),
)


def inverse_elbow_up(arm: Arm, x: Array, y: Array, z: Array) -> Array:
    """Joint positions (..., 6) that put the tool at x, y, z (...), gripper straight down with yaw 0.

    Of the eight solutions the one with the shoulder on the left, elbow up and wrist_2 at -90 degrees. The wrist moves
    in a vertical plane that passes the base axis at the distance of joint 4; two-link trigonometry gives the rest.
    """
    points = np.array([x, y, z], dtype=np.float64)
    a, d = np.array(arm.lengths_m), np.array(arm.offsets_m)
    q = _elbow_up(points.reshape(3, -1), a, d, arm.flange_m + arm.tool_m, arm.hand_yaw_rad)
    return q.reshape(*points.shape[1:], 6)


@compiled(made(2), array(2), array(1), array(1), FLOAT, FLOAT)
def _elbow_up(points: Array, a: Array, d: Array, hand_m: float, hand_yaw_rad: float) -> Array:
    """(B, 6) for x, y, z (3, B)."""
    q = np.empty((points.shape[1], 6))
    upper, fore, aside, to_wrist_2, q5 = -a[2], -a[3], d[3], d[4], -np.pi / 2.0
    for point in range(len(q)):
        x, y, z = points[0, point], points[1, point], points[2, point]
        out = np.sqrt(np.maximum(x**2 + y**2 - aside**2, 0.0))  # of joints 5 and 6, from the base axis, in that plane
        height = z + hand_m + d[5] - d[0]  # above the shoulder
        wrist = out - to_wrist_2
        reach = np.hypot(wrist, height)
        shoulder = (upper**2 + reach**2 - fore**2) / (2.0 * upper * reach)
        rise = np.arctan2(height, wrist) + np.arccos(np.minimum(np.maximum(shoulder, -1.0), 1.0))  # of the upper arm
        slope = np.arctan2(height - upper * np.sin(rise), wrist - upper * np.cos(rise))  # of the forearm
        q1 = np.arctan2(y, x) - np.arctan2(aside, out)
        q[point, 0], q[point, 1], q[point, 2] = q1, -rise, rise - slope
        q[point, 3], q[point, 4], q[point, 5] = slope + q5, q5, q1 + q5 - hand_yaw_rad
    return q


UR5E = Arm(
    base_yaw_rad=np.pi,
    lengths_m=(0.0, 0.0, -0.425, -0.3922, 0.0, 0.0),
    twists=(0, 1, 0, 0, 1, -1),
    offsets_m=(0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996),
    flange_m=0.011,
    hand_yaw_rad=-np.pi / 2,
    tool_m=0.15,
    ready=(0.0, -np.pi / 2, np.pi / 2, -np.pi / 2, -np.pi / 2, 0.0),
    spheres=_SPHERES,
    bodies=_BODIES,
    can_meet=(  # others: 7 mm at least
        *((base, far) for base in (0, 1, 2) for far in (4, 5, 6, 7)),
        *((0, 3), (1, 3), (3, 6), (3, 7)),
    ),
    inverse=inverse_elbow_up,
)
