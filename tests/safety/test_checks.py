"""What is checked of an input holds up to the limit and including it, and not a hair beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.checks import (
    check_age,
    check_measured,
    check_proposal,
    check_trajectory,
    is_number,
    is_stamp,
    read_efforts,
    read_joint_state,
)  # fmt: skip
from ami_robot.safety.motion import ROUNDING
from ami_robot.types import NS_PER_S, JointState, JointTrajectory, Proposal, Refusal

REST = np.zeros(7)
MIDDLE = np.array([0.0, 0.0, 0.0, -1.5, 0.0, 1.5, 0.0])


def trajectory(spec, times_s, **changes) -> JointTrajectory:
    states = {name: np.zeros((len(times_s), 7)) for name in ("positions", "velocities", "accelerations")}
    return JointTrajectory(spec.joint_names, np.array(times_s), **{**states, **changes})


def test_an_age_is_allowed_up_to_its_limit_and_as_far_into_the_future_as_clocks_differ():
    now = 10 * NS_PER_S
    for age_s, allowed in ((0.5, True), (0.5 + 1e-9, False), (-0.25, True), (-0.25 - 1e-9, False), (0.0, True)):
        refusal = check_age(now - round(age_s * NS_PER_S), now, 0.5, 0.25, "frame")
        assert (refusal is None) == allowed
        if refusal is not None:
            assert refusal.guardrail == "staleness"
            assert refusal.margin == pytest.approx(-1e-9, abs=1e-12)


@pytest.mark.parametrize("side", ["lower_rad", "upper_rad"])
def test_a_measured_joint_may_stand_on_its_limit(spec, side):
    on = np.array(MIDDLE)
    on[3] = getattr(spec.joint_position, side)[3]
    assert check_measured(spec, JointState(on, REST, REST)) is None
    on[3] += {"lower_rad": -1e-9, "upper_rad": 1e-9}[side]
    assert check_measured(spec, JointState(on, REST, REST)).guardrail == "joint_position"


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_measured_joint_may_move_at_its_limit(spec, sign):
    fast = sign * spec.joint_velocity.limit_rad_per_s
    assert check_measured(spec, JointState(MIDDLE, fast, REST)) is None
    assert check_measured(spec, JointState(MIDDLE, fast * (1 + 1e-9), REST)).guardrail == "joint_velocity"


def test_efforts_are_matched_by_name_and_all_of_them_are_needed(spec):
    names = ("panda_finger_joint1", *reversed(spec.joint_names))
    np.testing.assert_array_equal(read_efforts(spec, names, [9.0, *range(7)]), [6, 5, 4, 3, 2, 1, 0])
    for wrong in (list(range(7)), list(range(9)), None, [[1.0] * 8], ["x"] * 8, [np.nan] * 8, [0.0] * 7 + [np.nan]):
        assert read_efforts(spec, names, wrong).guardrail == "joint_state"
    np.testing.assert_array_equal(
        read_efforts(spec, names, [np.nan, *range(7)]), [6, 5, 4, 3, 2, 1, 0]
    )  # not our joint


def test_a_joint_state_needs_as_many_numbers_as_names(spec):
    for q, dq in ((REST, np.zeros(6)), (np.zeros(6), REST), (np.zeros((7, 1)), REST), (REST, None)):
        assert read_joint_state(spec, spec.joint_names, q, dq).guardrail == "joint_state"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["position", "velocity"])
def test_one_joint_that_is_not_finite_makes_a_joint_state_unknown(spec, which, bad):
    names = ("panda_finger_joint1", *reversed(spec.joint_names))
    q, dq = np.arange(8.0), -np.arange(8.0)
    state = read_joint_state(spec, names, q, dq)
    np.testing.assert_array_equal(state.positions, [7, 6, 5, 4, 3, 2, 1])
    np.testing.assert_array_equal(state.velocities, [-7, -6, -5, -4, -3, -2, -1])
    np.testing.assert_array_equal(state.accelerations, REST)
    (q if which == "position" else dq)[0] = bad
    assert isinstance(read_joint_state(spec, names, q, dq), JointState), "not our joint"
    (q if which == "position" else dq)[5] = bad
    assert read_joint_state(spec, names, q, dq).guardrail == "joint_state"


@pytest.mark.parametrize("names", ["panda_joint1", None, 7, [1] * 7, {"a": 1}])
def test_what_are_no_names_is_no_joint_state(spec, names):
    assert read_joint_state(spec, names, REST, REST).guardrail == "joint_state"


def test_each_joint_is_named_exactly_once(spec):
    for names in (spec.joint_names[1:], (*spec.joint_names, spec.joint_names[3])):
        refusal = read_joint_state(spec, names, np.zeros(len(names)), np.zeros(len(names)))
        assert "exactly once" in refusal.reason


def test_a_trajectory_may_last_as_long_and_have_as_many_points_as_its_row_says(spec):
    row = spec.trajectory
    assert check_trajectory(spec, trajectory(spec, [row.max_duration_s])) is None
    late = check_trajectory(spec, trajectory(spec, [row.max_duration_s + 1e-6]))
    assert late.margin == pytest.approx(-1e-6)
    most = int(row.max_points)
    assert check_trajectory(spec, trajectory(spec, np.arange(1, most + 1) / 100.0)) is None
    assert check_trajectory(spec, trajectory(spec, np.arange(1, most + 2) / 100.0)).guardrail == "trajectory"
    assert check_trajectory(spec, trajectory(spec, [])).guardrail == "trajectory"


@pytest.mark.parametrize("times_s", [[0.0], [-0.1], [ROUNDING], [0.2, 0.2], [0.2, 0.1], [np.nan], [0.1, np.inf]])
def test_a_trajectory_goes_forward_in_time(spec, times_s):
    assert check_trajectory(spec, trajectory(spec, times_s)).guardrail == "trajectory"


@pytest.mark.parametrize("quantity", ["velocities", "accelerations"])
def test_a_trajectory_ends_at_rest_exactly(spec, quantity):
    moving = np.zeros((2, 7))
    moving[0] = 0.1
    assert check_trajectory(spec, trajectory(spec, [0.2, 0.4], **{quantity: moving})) is None
    moving[1, 6] = 1e-12
    refusal = check_trajectory(spec, trajectory(spec, [0.2, 0.4], **{quantity: moving}))
    assert isinstance(refusal, Refusal)
    assert "rest" in refusal.reason


def test_a_displacement_and_a_gripper_may_go_to_their_limits(spec):
    row, grip = spec.tool_displacement, spec.gripper
    usual = Proposal("planner", 1, 0, 0, 0.3, 0.04, tool_displacement=np.zeros(3))
    longest = np.array([row.max_m_per_step, 0.0, 0.0])
    assert check_proposal(spec, replace(usual, tool_displacement=longest), 0) is None
    for width, allowed in ((grip.lower_m, True), (grip.upper_m, True), (grip.lower_m - 2 * grip.tolerance_m, False),
                           (grip.upper_m + 2 * grip.tolerance_m, False)):  # fmt: skip
        assert (check_proposal(spec, replace(usual, gripper_width=width), 0) is None) == allowed
    for valid_for_s in (0.0, -1.0, np.nan, np.inf, True, None):
        assert check_proposal(spec, replace(usual, valid_for_s=valid_for_s), 0).guardrail == "staleness"


def test_what_counts_as_a_stamp_and_as_a_number():
    assert all(map(is_stamp, (0, 1, 2**63 - 1, np.int64(5), np.uint8(0))))
    assert not any(map(is_stamp, (-1, 2**63, True, np.bool_(True), 1.0, None, "1", np.array([1]))))
    assert all(map(is_number, (0, -1, 0.5, np.float32(1), np.int8(3), 1e308, 5e-324)))
    assert not any(map(is_number, (True, np.nan, np.inf, 10**400, None, "1", 1j, np.array([1.0]))))
