"""Arms and boxes that distances are tried on."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ami_robot.safety.distances import arm_space_clearance, obstacle_clearance, self_clearance, table_clearance
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import load_spec

SPEC, KINEMATICS = load_spec(), Kinematics()
RADII = KINEMATICS.sphere_radii
CLEARANCES = {
    "table": table_clearance,
    "arm_space": arm_space_clearance,
    "obstacles": obstacle_clearance,
    "self_collision": self_clearance,
}

JOINTS = st.tuples(
    *(
        st.floats(lower, upper)
        for lower, upper in zip(SPEC.joint_position.lower_rad, SPEC.joint_position.upper_rad, strict=True)
    )
).map(np.array)
POINTS = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.5, 1.5)).map(np.array)
SIZES = st.tuples(st.floats(0.02, 0.5), st.floats(0.02, 0.5), st.floats(0.02, 0.5)).map(np.array)
BOXES = st.lists(st.builds(lambda lower, size: Box("box", lower, lower + size), POINTS, SIZES), min_size=1, max_size=4)


def with_boxes(boxes, clearance_m: float = 0.0):
    return replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=tuple(boxes), clearance_m=clearance_m))
