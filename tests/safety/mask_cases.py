"""Paths of the tool as the planner's mask sees them."""

from dataclasses import replace

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.masks import path_margins
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import load_spec

SPEC, KINEMATICS = load_spec(), Kinematics()
CENTRE = np.array([0.5, 0.0, 0.2])
LONGEST_STOP_S = 0.3  # that the mask reckons with


def path_of(tool_positions) -> np.ndarray:
    """(1, H, 7) from tool positions (H, 3)."""
    return KINEMATICS.inverse(np.array(tool_positions, dtype=float))[0][None]


def check(tool_positions, start=CENTRE, spec=SPEC, people=None, widen_m=0.0):
    start_q = KINEMATICS.inverse(np.array(start))[0]
    return path_margins(spec, KINEMATICS, path_of(tool_positions), start_q, people, widen_m)


def with_box(lower, upper):
    box = Box("box", np.array(lower, dtype=float), np.array(upper, dtype=float))
    return replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(*SPEC.obstacles.boxes, box)))
