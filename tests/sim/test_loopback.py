"""The arm without physics keeps the controller's rules, and follows as a first-order lag does."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_robot.types import JointTrajectory
from ami_sim.loopback import LoopbackArm

NAMES, REST = ("one", "two"), np.zeros((1, 2))
LAG_S = 0.02


def arm(now_s: float = 5.0) -> LoopbackArm:
    return LoopbackArm(NAMES, np.array([0.1, -0.2]), 0.08, LAG_S, now_s)


def to(positions, seconds: float = 1.0, velocities=REST) -> JointTrajectory:
    return JointTrajectory(NAMES, np.array([seconds]), np.array([positions]), velocities, REST)


def test_it_rests_until_it_is_told_to_move_and_then_arrives():
    one = arm()
    one.advance(6.0)
    np.testing.assert_array_equal(one.positions, [0.1, -0.2])
    assert one.controller.accept(to([0.5, 0.3]), 6.0) is None
    for tick in range(150):
        one.advance(6.0 + 0.01 * tick)
    np.testing.assert_allclose(one.positions, [0.5, 0.3], atol=1e-6)
    np.testing.assert_allclose(one.velocities, 0.0, atol=1e-6)


def test_at_a_constant_velocity_it_is_the_velocity_times_the_lag_behind():
    one, no_points = arm(0.0), np.empty((0, 2))
    far = JointTrajectory(NAMES, np.array([10.0]), np.array([[5.1, -0.2]]), no_points, no_points)  # a straight line
    assert one.controller.accept(far, 0.0) is None
    for tick in range(1, 5001):
        one.advance(tick * 1e-3)
    behind_rad = one.controller.sample(5.0).positions[0] - one.positions[0]
    assert behind_rad == pytest.approx(0.5 * LAG_S, rel=0.03)
    assert one.velocities[0] == pytest.approx(0.5, rel=1e-6)


@given(steps_s=st.lists(st.floats(0.0, 0.1), max_size=20))
def test_after_the_motion_how_often_it_was_looked_at_makes_no_difference(steps_s):
    often, once = arm(0.0), arm(0.0)
    for one in (often, once):
        one.controller.hold(np.array([1.0, 1.0]), 0.0)
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        often.advance(now_s)
    once.advance(now_s)
    np.testing.assert_allclose(often.positions, once.positions, atol=1e-9)


def test_what_the_stock_controller_rejects_is_rejected():
    one = arm()
    assert "at rest" in one.controller.accept(to([0.5, 0.3], velocities=np.array([[0.1, 0.0]])), 5.0)
    assert not one.controller.busy(5.0)


def test_a_clock_that_goes_back_lets_no_time_pass():
    one = arm()
    one.controller.hold(np.array([1.0, 1.0]), 5.0)
    one.advance(5.01)
    before = one.positions.copy()
    one.advance(4.0)
    np.testing.assert_array_equal(one.positions, before)


def test_the_gripper_opens_by_a_tenth_of_a_metre_in_a_second_within_its_travel():
    one = arm(0.0)
    one.gripper.go_to(0.08)
    one.advance(0.4)
    assert one.gripper.width_m == pytest.approx(0.04)
    one.advance(2.0)
    assert one.gripper.width_m == pytest.approx(0.08)
    for wrong in (-0.01, 0.09, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"0\.\.0\.08 m"):
            one.gripper.go_to(wrong)


@pytest.mark.parametrize("lag_s", [0.0, -0.1, np.nan])
def test_a_lag_that_is_no_lag_is_refused(lag_s):
    with pytest.raises(ValueError, match="lag"):
        LoopbackArm(NAMES, np.zeros(2), 0.08, lag_s, 0.0)


def test_it_runs_where_there_is_no_pybullet():
    program = (
        "import sys; sys.modules['pybullet'] = None\n"
        "from ami_embedded import finder; finder.install()\n"
        "import ami_nodes.loopback_arm, ami_nodes.guardrail"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
