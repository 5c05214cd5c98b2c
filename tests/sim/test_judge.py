from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import JointState, JointTrajectory
from ami_sim.controller import JointTrajectoryController
from ami_sim.judge import Judge
from ami_sim.scene import Scene

SPEC, SCENE = load_spec(), Scene.from_seed(11)
REST = np.zeros(7)
NEAR, FAR = np.array([0.029, 0, 0]), np.array([0.031, 0, 0])


@pytest.fixture
def judge():
    return Judge(SCENE, SPEC)


def at_rest(positions):
    return JointState(np.asarray(positions, float), REST, REST)


def hop(target, duration_s):
    """One quintic to rest."""
    rest = np.zeros((1, 7))
    return JointTrajectory(SPEC.joint_names, np.array([duration_s]), np.asarray(target, float)[None], rest, rest)


def moved(joint, by, start=HOME):
    target = np.array(start)
    target[joint] += by
    return target


def feed(judge, until_s=8.0, hz=240, offset=lambda t_s: NEAR, q=HOME, dq=REST, clearance_m=0.1):
    for step in range(1, round(until_s * hz) + 1):
        judge.on_substep(step / hz, q, dq, SCENE.goal_position + offset(step / hz), clearance_m)


def rows(verdict):
    """Which quantities the violations name."""
    names = ("position", "velocity", "acceleration", "jerk")
    return [name for name in names if any(f"a {name} of" in sentence for sentence in verdict.violations)]


@pytest.mark.parametrize("hz", [240, 100])
def test_a_tool_near_the_goal_throughout_the_last_second_is_a_success(judge, hz):
    feed(judge, hz=hz, offset=lambda t_s: NEAR if t_s > 6.98 else FAR)
    verdict = judge.verdict()
    assert verdict.success
    assert verdict.violations == []
    assert verdict.final_distance_m == pytest.approx(0.029)
    assert len(verdict.times_s) == len(verdict.distances_m) == 8 * hz


@pytest.mark.parametrize("when_s", [7.0, 7.5, 8.0])
def test_one_sample_3_1_cm_away_in_the_last_second_is_a_failure(judge, when_s):
    feed(judge, offset=lambda t_s: FAR if abs(t_s - when_s) < 1e-6 else NEAR)
    assert not judge.verdict().success


def test_the_time_before_the_last_second_and_after_the_end_does_not_count(judge):
    feed(judge, until_s=9.0, offset=lambda t_s: FAR if t_s < 6.995 or t_s > 8.001 else NEAR)
    assert judge.verdict().success


def test_an_episode_that_was_not_watched_to_its_end_or_without_gaps_is_no_success(judge):
    feed(judge, until_s=7.9)
    assert not judge.verdict().success
    gappy = Judge(SCENE, SPEC)
    for t_s in [step / 240 for step in range(1, 1921) if not 1750 < step < 1760]:
        gappy.on_substep(t_s, HOME, REST, SCENE.goal_position, 0.1)
    assert not gappy.verdict().success
    assert not Judge(SCENE, SPEC).verdict().success


def test_a_nan_tool_position_is_no_success(judge):
    feed(judge, offset=lambda t_s: np.full(3, np.nan) if t_s == 7.5 else NEAR)
    assert not judge.verdict().success


def test_motions_made_for_the_limits_pass_even_when_replaced_half_way():
    judge, controller = Judge(SCENE, SPEC), JointTrajectoryController(SPEC.joint_names)
    controller.hold(HOME, 0.0)
    controller.on_accept = judge.on_command
    rng = np.random.default_rng(0)
    for step in range(15):
        trajectory = move_to_rest(controller.sample(step * 0.2), HOME + rng.uniform(-0.15, 0.15, 7), SPEC)
        assert trajectory is not None
        assert controller.accept(trajectory, step * 0.2) is None
    judge.on_substep(8.0, HOME, REST, SCENE.goal_position, 0.1)
    verdict = judge.verdict()
    assert verdict.checked_commands == 15
    assert verdict.violations == []


@pytest.mark.parametrize(
    ("target", "duration_s", "start", "broken"),
    [
        (moved(1, 1e-4), 0.01, HOME, ["jerk"]),  # 60 d / T^3 = 6000 rad/s^3, limit 3750
        (moved(0, 2.6, moved(0, -1.3)), 2.0, moved(0, -1.3), ["velocity"]),  # 15/8 d/T = 2.44 rad/s, limit 2.175
        (moved(1, 0.5), 0.58, HOME, ["acceleration"]),  # 5.77 d / T^2 = 8.6 rad/s^2, limit 7.5
        (moved(0, 2.95), 5.0, HOME, ["position"]),
    ],
)
def test_a_command_beyond_one_limit_is_caught_and_named(judge, target, duration_s, start, broken):
    judge.on_command(hop(target, duration_s), at_rest(start), 0.0)
    judge.on_substep(duration_s, start, REST, SCENE.goal_position, 0.1)
    verdict = judge.verdict()
    assert rows(verdict) == broken
    assert verdict.checked_commands == 1


@pytest.mark.parametrize("quantity", ["velocity", "acceleration", "jerk", "position"])
def test_a_limit_lowered_by_a_thousandth_below_a_motions_own_peak_catches_it(quantity):
    """The extremes are exact: sampled peaks of the motion are the reference."""
    start, target, duration_s = HOME, moved(0, 0.3), 0.5
    s = np.linspace(0, 1, 200_001)
    curve = np.polynomial.Polynomial([0, 0, 0, 10, -15, 6])
    order = {"position": 0, "velocity": 1, "acceleration": 2, "jerk": 3}[quantity]
    peak = 0.3 * np.abs((curve.deriv(order) if order else curve)(s)).max() / duration_s**order
    for factor, caught in ((1.001, []), (0.999, [quantity])):
        limit = peak * factor
        limits = {
            "position": {
                "joint_position": replace(SPEC.joint_position, upper_rad=HOME + 1 + np.eye(7)[0] * (limit - 1))
            },
            "velocity": {"joint_velocity": replace(SPEC.joint_velocity, limit_rad_per_s=np.full(7, limit))},
            "acceleration": {
                "joint_acceleration": replace(SPEC.joint_acceleration, limit_rad_per_s2=np.full(7, limit))
            },
            "jerk": {"joint_jerk": replace(SPEC.joint_jerk, limit_rad_per_s3=np.full(7, limit))},
        }[quantity]
        judge = Judge(SCENE, replace(SPEC, **limits))
        judge.on_command(hop(target, duration_s), at_rest(start), 0.0)
        judge.on_substep(1.0, start, REST, SCENE.goal_position, 0.1)
        assert rows(judge.verdict()) == caught


def test_what_was_replaced_before_it_was_executed_does_not_count():
    """A fast start followed by a second piece beyond the range, of which nothing was executed."""
    points = np.stack([moved(0, 0.05), moved(0, 3.0)])
    velocities = np.zeros((2, 7))
    trajectory = JointTrajectory(SPEC.joint_names, np.array([0.5, 9.0]), points, velocities, velocities)
    for replaced_s, broken in ((0.4, []), (8.4, ["position"])):
        judge, controller = Judge(SCENE, SPEC), JointTrajectoryController(SPEC.joint_names)
        controller.hold(HOME, 0.0)
        controller.on_accept = judge.on_command
        controller.accept(trajectory, 0.0)
        controller.accept(move_to_rest(controller.sample(replaced_s), HOME, SPEC) or hop(HOME, 9.0), replaced_s)
        assert rows(judge.verdict()) == broken


def test_a_command_that_does_not_start_where_the_last_one_had_got_to_is_caught(judge):
    judge.on_command(hop(moved(0, 0.1), 1.0), at_rest(HOME), 0.0)
    judge.on_command(hop(HOME, 1.0), at_rest(HOME), 0.5)
    assert any("positions jump" in sentence for sentence in judge.verdict().violations)


def test_a_command_without_accelerations_is_a_violation(judge):
    bare = replace(hop(moved(0, 0.01), 1.0), accelerations=np.empty((0, 7)))
    judge.on_command(bare, at_rest(HOME), 0.0)
    assert any("jerk" in sentence for sentence in judge.verdict().violations)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"q": moved(0, 2.92)}, "outside its range"),
        ({"dq": np.full(7, 2.3)}, "of its limit"),
        ({"clearance_m": SPEC.table.clearance_m - 0.003}, "from the table"),
        ({"q": np.full(7, np.nan)}, "outside its range"),
        ({"clearance_m": float("nan")}, "from the table"),
    ],
)
def test_measured_states_beyond_a_limit_are_caught(judge, wrong, said):
    feed(judge, until_s=0.05, **wrong)
    assert any(said in sentence for sentence in judge.verdict().violations)


def test_measured_states_within_the_tolerances_pass(judge):
    feed(judge, until_s=0.05, q=moved(0, 2.9), dq=np.full(7, 2.2), clearance_m=SPEC.table.clearance_m - 0.001)
    verdict = judge.verdict()
    assert verdict.violations == []
    assert verdict.min_clearance_m == pytest.approx(SPEC.table.clearance_m - 0.001)


def test_the_measured_acceleration_is_the_change_of_the_measured_velocity(judge):
    judge.on_substep(0.1, HOME, REST, SCENE.goal_position, 0.1)
    judge.on_substep(0.1 + 1 / 240, HOME, np.full(7, 0.01), SCENE.goal_position, 0.1)
    assert judge.verdict().max_measured_acceleration == pytest.approx(2.4)
