"""Motions, people and reports for the parts of the certificate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.certificate_motion import Motion
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import GuardrailReport, JointState, Person

SPEC, KINEMATICS = load_spec(), Kinematics()
WITH_PEOPLE = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))
RADII, REST, NOW_NS, MS = KINEMATICS.sphere_radii, np.zeros(7), 10_000_000_000, 1_000_000
TIP = np.array([0.02, -0.03, 0.1])
PLACE = KINEMATICS.inverse(np.array([0.5, 0.0, 0.2]))[0]


def random_joints(count: int, seed: int) -> np.ndarray:
    row = SPEC.joint_position
    return np.random.default_rng(seed).uniform(row.command_lower_rad, row.command_upper_rad, (count, 7))


def move(start_m, end_m) -> Motion:
    """From rest to rest between two tool positions, in the shortest of the guardrail's durations."""
    start, end = KINEMATICS.inverse(np.array([start_m, end_m]))[0]
    state = JointState(start, REST, REST)
    trajectory = move_to_rest(state, end, SPEC)
    assert trajectory is not None
    return Motion(state, trajectory)


def dense(motion: Motion) -> tuple[np.ndarray, ...]:
    """Times and states every half millisecond."""
    times_s = np.linspace(0.0, motion.duration_s, int(motion.duration_s / 5e-4) + 1)
    return times_s, *motion.sample(times_s)


def with_row(row: str, spec=SPEC, **changes):
    return replace(spec, **{row: replace(getattr(spec, row), **changes)})


def somebody(x_m: float = 2.0, **changes) -> Person:
    usual = {"end_a": np.array([x_m, 0.3, 0.0]), "end_b": np.array([x_m, 0.4, 1.6]), "radius": 0.2,
             "velocity": np.zeros(3), "radius_error": 0.05}  # fmt: skip
    return Person(**(usual | changes))


def report(**changes) -> GuardrailReport:
    usual = {"stamp_ns": NOW_NS, "decision": "accepted", "armed": True, "source": "planner", "proposal_sequence": 1,
             "observation_stamp_ns": NOW_NS, "sequence": 1, "sent": None, "target_joint_positions": HOME,
             "target_tool_position": np.zeros(3), "gripper_width": 0.04, "refusal": None}  # fmt: skip
    return GuardrailReport(**(usual | changes))
