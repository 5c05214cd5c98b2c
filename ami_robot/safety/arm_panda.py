"""The Franka Emika Panda and the Franka Research 3, both with the Franka Hand: one shape, two weights.

Frames: Franka Control Interface documentation, "Denavit-Hartenberg parameters", the same for both.

Spheres: fitted to the vertices and faces of the Panda's collision meshes in PyBullet's data package (Franka's own,
franka_ros), with fingers at any width; a test holds them against those. In franka_description the FR3 has the same
collision meshes. The base stands on the table, so its spheres reach below the table top.

Bodies of the Panda: identified by C. Gaz, M. Cognetti, A. Oliva, P. Robuffo Giordano and A. De Luca, "Dynamic
Identification of the Franka Emika Panda Robot With Retrieval of Feasible Parameters Using Penalty-Based Optimization",
IEEE RA-L 4(4), 2019. Of the FR3: franka_description, robots/fr3/inertials.yaml. Of the hand: there,
end_effectors/franka_hand/inertials.yaml. Link 0 does not move. The fingers stand here on the hand's axis: at every
width the middle of the two lies there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ami_robot.safety.arm import Arm, Body
from ami_robot.safety.compiled import FLOAT, array, compiled, made
from ami_robot.types import Array

HAND = 8
"""Number of the hand in the tables; links 1 to 7 carry their own."""

HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
"""Ready posture, gripper straight down with yaw 0, rad."""

_SPHERES = (
    (0, -0.034, -0.072, 0.022, 0.071),
    (0, 0.030, -0.002, 0.034, 0.073),
    (0, -0.083, -0.012, 0.077, 0.072),
    (0, -0.030, 0.062, 0.042, 0.076),
    (0, -0.106, 0.001, 0.004, 0.076),
    (0, -0.004, -0.007, 0.102, 0.075),
    (1, 0.002, -0.002, -0.149, 0.074),
    (1, -0.002, -0.027, -0.088, 0.075),
    (1, 0.003, -0.013, -0.007, 0.074),
    (1, 0.001, -0.074, -0.015, 0.075),
    (2, -0.002, -0.079, 0.024, 0.076),
    (2, -0.001, -0.159, 0.006, 0.072),
    (2, 0.000, -0.014, 0.079, 0.069),
    (2, 0.003, 0.006, 0.023, 0.070),
    (3, 0.010, 0.008, -0.089, 0.076),
    (3, 0.013, -0.000, -0.040, 0.064),
    (3, 0.074, 0.060, -0.016, 0.074),
    (3, 0.087, 0.017, -0.015, 0.074),
    (4, -0.082, 0.095, -0.001, 0.066),
    (4, -0.077, 0.026, 0.011, 0.067),
    (4, -0.028, 0.068, 0.029, 0.070),
    (4, -0.004, 0.003, 0.043, 0.075),
    (5, -0.001, 0.071, -0.095, 0.072),
    (5, 0.000, 0.000, -0.225, 0.069),
    (5, -0.000, 0.026, -0.010, 0.065),
    (5, 0.000, 0.042, -0.191, 0.066),
    (5, 0.000, 0.085, -0.003, 0.063),
    (5, 0.003, -0.007, -0.130, 0.073),
    (6, 0.005, -0.000, 0.015, 0.063),
    (6, 0.061, 0.047, 0.005, 0.056),
    (6, 0.085, -0.022, 0.005, 0.060),
    (6, 0.092, 0.036, -0.003, 0.051),
    (7, -0.020, 0.015, 0.076, 0.048),
    (7, 0.004, -0.021, 0.073, 0.050),
    (7, 0.042, 0.037, 0.078, 0.047),
    (8, -0.001, 0.061, 0.006, 0.045),
    (8, -0.001, 0.067, 0.044, 0.042),
    (8, 0.000, -0.068, 0.044, 0.042),
    (8, -0.000, -0.001, 0.023, 0.051),
    (8, 0.001, -0.065, -0.001, 0.044),
    *((8, 0.0, y, 0.070, 0.025) for y in (-0.050, -0.025, 0.0, 0.025, 0.050)),  # fingers
    *((8, 0.0, y, 0.0965, 0.020) for y in (-0.053, -0.0355, -0.018, 0.0, 0.018, 0.0355, 0.053)),  # fingertips
)

_FINGERS = (2 * 2.375e-06, 2 * 2.375e-06, 2 * 7.5e-07, 0.0, 0.0, 0.0)

_FRANKA_HAND = (
    Body(HAND, 0.73, (-0.01, 0.0, 0.03), (0.001, 0.0025, 0.0017, 0.0, 0.0, 0.0)),
    Body(HAND, 2 * 0.015, (0.0, 0.0, 0.0584), _FINGERS),
)

_PANDA_LINKS = (
    Body(1, 4.970684, (0.003875, 0.002081, -0.04762), (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169)),
    Body(2, 0.646926, (-0.003141, -0.02872, 0.003495), (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704)),
    Body(3, 3.228604, (0.027518, 0.039252, -0.066502), (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805)),
    Body(4, 3.587895, (-0.05317, 0.104419, 0.027454), (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641)),
    Body(5, 1.225946, (-0.011953, 0.041065, -0.038437), (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229)),
    Body(6, 1.666555, (0.060149, -0.014117, -0.010517), (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341)),
    Body(7, 0.735522, (0.010517, -0.004252, 0.061597), (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741)),
)

_FR3_LINKS = (
    Body(
        1,
        2.92746535,
        (0.00000041, -0.01812513, -0.0386036),
        (0.023927316, 0.022482161, 0.006350098, 0.000013318, -0.000114048, -0.001995032),
    ),
    Body(
        2,
        2.93553703,
        (0.00318289, -0.07432216, 0.00881461),
        (0.041938946, 0.025145149, 0.061702145, 0.000202573, 0.004077784, -0.004225216),
    ),
    Body(
        3,
        2.24490137,
        (0.04070157, -0.00482006, -0.02897308),
        (0.024101425, 0.019740533, 0.019044494, 0.002404695, -0.002856269, -0.002104213),
    ),
    Body(
        4,
        2.61559558,
        (-0.0459101, 0.0630493, -0.00851879),
        (0.034529983, 0.028881622, 0.041254712, 0.013225523, 0.01015143, -0.000976283),
    ),
    Body(
        5,
        2.32712076,
        (-0.00160396, 0.02925363, -0.0972966),
        (0.051610278, 0.047877297, 0.016423626, -0.005715173, -0.003567317, 0.010673985),
    ),
    Body(
        6,
        1.81703765,
        (0.05971312, -0.04102947, -0.01016927),
        (0.005412334, 0.01405833, 0.016080818, 0.006193456, 0.001421929, -0.001314075),
    ),
    Body(
        7,
        0.62714329,
        (0.00452258, 0.00862619, -0.01616333),
        (0.000210924, 0.000177186, 0.000059932, -0.000024333, 0.000045645, 0.000087441),
    ),
)


def inverse_in_the_plane(arm: Arm, x: Array, y: Array, z: Array) -> Array:
    """Joint positions (..., 7) that put the tool at x, y, z (...), gripper straight down with yaw 0.

    Of the arm's one-parameter family of solutions this takes the one that bends in the vertical plane through the
    base axis, elbow up: joints 3 and 5 stay at zero as in the ready posture, two-link trigonometry gives the rest.
    """
    points = np.array([x, y, z], dtype=np.float64)
    a, d = np.array(arm.lengths_m), np.array(arm.offsets_m)
    q = _in_the_plane(points.reshape(3, -1), a, d, arm.flange_m + arm.tool_m, arm.hand_yaw_rad)
    return q.reshape(*points.shape[1:], 7)


@compiled(made(2), array(2), array(1), array(1), FLOAT, FLOAT)
def _in_the_plane(points: Array, a: Array, d: Array, hand_m: float, hand_yaw_rad: float) -> Array:
    """(B, 7) for x, y, z (3, B)."""
    q = np.zeros((points.shape[1], 7))
    upper, fore = np.hypot(d[2], a[3]), np.hypot(d[4], a[4])
    upper_angle, fore_angle = np.arctan2(a[3], d[2]), np.arctan2(-a[4], d[4])
    for point in range(len(q)):
        x, y, z = points[0, point], points[1, point], points[2, point]
        wrist = np.hypot(x, y) - a[6]  # of joint 5 and 6, from the base axis
        height = z + hand_m - d[0]  # above the shoulder
        reach = np.hypot(wrist, height)
        elbow = (upper**2 + fore**2 - reach**2) / (2.0 * upper * fore)
        shoulder = (upper**2 + reach**2 - fore**2) / (2.0 * upper * reach)
        elbow = np.arccos(np.minimum(np.maximum(elbow, -1.0), 1.0))
        shoulder = np.arccos(np.minimum(np.maximum(shoulder, -1.0), 1.0))
        q1, q2 = np.arctan2(y, x), np.arctan2(wrist, height) - shoulder - upper_angle
        q4 = elbow - np.pi - upper_angle - fore_angle
        q[point, 0], q[point, 1], q[point, 3] = q1, q2, q4
        q[point, 5], q[point, 6] = q2 - q4, q1 - hand_yaw_rad
    return q


PANDA = Arm(
    base_yaw_rad=0.0,
    lengths_m=(0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088),
    twists=(0, -1, 1, 1, -1, 1, 1),
    offsets_m=(0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0),
    flange_m=0.107,
    hand_yaw_rad=-np.pi / 4,
    tool_m=0.1034,
    ready=tuple(HOME),
    spheres=_SPHERES,
    bodies=_PANDA_LINKS + _FRANKA_HAND,
    can_meet=(*((base, far) for base in (0, 1, 2) for far in (5, 6, 7, 8)), (5, 7), (5, 8)),  # others: 25 mm at least
    inverse=inverse_in_the_plane,
)

FR3 = replace(PANDA, bodies=_FR3_LINKS + _FRANKA_HAND)
