"""The filter's target: the nearest one, its motion within every limit and clear of everything, or a refusal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety import filter as filter_module
from ami_robot.safety.distances import distance_rows, obstacle_clearance
from ami_robot.safety.filter import FilteredTarget, nearest_target
from ami_robot.safety.gate import workspace_margin
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import ROUNDING, limit_margins
from ami_robot.safety.quintic import bounds, quintic, sample
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import Array, JointState, Refusal

SPEC, KINEMATICS, REST = load_spec(), Kinematics(), np.zeros(7)
DURATION_S = 0.4
TOOL = np.array([0.5, 0.0, 0.2])
START = KINEMATICS.inverse(TOOL)[0]
AT_REST = JointState(START, REST, REST)


def with_box(lower_m: Array, upper_m: Array) -> Spec:
    box = Box("crate", np.asarray(lower_m), np.asarray(upper_m))
    return replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(*SPEC.obstacles.boxes, box)))


def without_workspace(spec: Spec) -> Spec:
    """With a workspace as large as the arm's space, so that other rows come to bear."""
    return replace(spec, workspace=replace(spec.workspace, lower_m=np.full(3, -2.0), upper_m=np.full(3, 2.0)))


def static_slack(q: Array) -> float:
    _, centers, twists = KINEMATICS.points_and_twists(q)
    return float(distance_rows(SPEC, centers, KINEMATICS.sphere_radii, twists)[1].min())


def margins(start: JointState, target: Array, spec: Spec = SPEC) -> dict[str, float]:
    length_s = np.asarray(DURATION_S)
    control = quintic(start, JointState(target, REST, REST), length_s)
    return {row: float(margin.min()) for row, margin in limit_margins(bounds(control, length_s), spec).items()}


def moving_start(seed: int) -> JointState:
    """Half way through a step of 4 cm to anywhere."""
    generator = np.random.default_rng(seed)
    begin = KINEMATICS.inverse(generator.uniform(SPEC.workspace.lower_m, SPEC.workspace.upper_m))[0]
    step = generator.normal(size=3)
    end = KINEMATICS.tool_position(begin) + 0.04 * step / np.linalg.norm(step)
    end = KINEMATICS.inverse(np.clip(end, SPEC.workspace.lower_m, SPEC.workspace.upper_m))[0]
    control = quintic(JointState(begin, REST, REST), JointState(end, REST, REST), np.asarray(DURATION_S))
    return sample(control, DURATION_S, DURATION_S / 2)


def test_a_target_that_keeps_every_row_is_left_alone():
    nominal = KINEMATICS.inverse(TOOL + np.array([0.0, 0.02, 0.02]))[0]
    filtered = nearest_target(SPEC, KINEMATICS, AT_REST, nominal, DURATION_S)
    assert isinstance(filtered, FilteredTarget)
    np.testing.assert_allclose(filtered.joint_positions, nominal, atol=1e-9)
    assert filtered.active_row == ""
    assert filtered.rows >= 400


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), push=st.floats(0.0, 0.5))
def test_whatever_is_asked_the_motion_to_the_answer_keeps_the_limits_and_the_distances(seed, push):
    start = moving_start(seed)
    nominal = start.positions + np.random.default_rng(seed).normal(0.0, push, 7)
    filtered = nearest_target(SPEC, KINEMATICS, start, nominal, DURATION_S)
    if isinstance(filtered, Refusal):
        assert filtered.guardrail
        return
    target = filtered.joint_positions
    assert min(margins(start, target).values()) >= -ROUNDING
    assert workspace_margin(SPEC, KINEMATICS.tool_position(target)) >= -2e-4
    assert static_slack(target) >= 0.0


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_joint_goes_as_far_as_its_tightest_limit_allows_and_no_further(joint, sign):
    """Against a search along the joint with the enclosing values of the motion; no other row is near."""
    spec = without_workspace(SPEC)
    shape = filter_module._motion_map(DURATION_S)
    interval = filter_module._interval(spec, shape, np.array([START, REST, REST]))
    edge = (interval.upper if sign > 0 else interval.lower)[joint]
    inside, outside = (
        START + np.eye(7)[joint] * (edge + nudge - START[joint]) for nudge in (-sign * 1e-3, sign * 2e-2)
    )
    assert min(margins(AT_REST, inside, spec).values()) >= -ROUNDING
    assert min(margins(AT_REST, outside, spec).values()) < 0.0
    assert (interval.upper_row if sign > 0 else interval.lower_row)[joint] in filter_module._LIMITS


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"joint_position": {"margin_rad": 0.0, "upper_rad": START + 0.05}}, "joint_position"),
        ({"joint_velocity": {"limit_rad_per_s": np.full(7, 0.2)}}, "joint_velocity"),
        ({"joint_acceleration": {"limit_rad_per_s2": np.full(7, 1.0)}}, "joint_acceleration"),
        ({"joint_jerk": {"limit_rad_per_s3": np.full(7, 20.0)}}, "joint_jerk"),
    ],
)
def test_each_limit_bends_the_motion_when_it_is_the_tightest_and_is_named(changes, row):
    spec = without_workspace(SPEC)
    spec = replace(spec, **{name: replace(getattr(spec, name), **change) for name, change in changes.items()})
    filtered = nearest_target(spec, KINEMATICS, AT_REST, START + 0.09, DURATION_S)
    assert isinstance(filtered, FilteredTarget)
    assert filtered.active_row == row
    assert margins(AT_REST, filtered.joint_positions, spec)[row] >= -ROUNDING


def test_the_answer_is_the_nearest_tool_position_beside_a_wall():
    """Asked to go 3 cm into a wall and 2 cm along it, the tool goes along it and stops at the wall."""
    wall_y = TOOL[1] + 0.02
    spec = replace(SPEC, workspace=replace(SPEC.workspace, upper_m=np.array([0.68, wall_y, 0.40])))
    nominal = KINEMATICS.inverse(np.array([TOOL[0] + 0.02, wall_y + 0.03, TOOL[2]]))[0]
    filtered = nearest_target(spec, KINEMATICS, AT_REST, nominal, DURATION_S)
    assert isinstance(filtered, FilteredTarget)
    assert filtered.active_row == "workspace"
    tool = KINEMATICS.tool_position(filtered.joint_positions)
    np.testing.assert_allclose(tool, [TOOL[0] + 0.02, wall_y, TOOL[2]], atol=5e-3)
    assert wall_y - 1e-3 <= tool[1] <= wall_y + 1e-6


def test_a_tilt_of_a_tenth_of_a_radian_counts_as_much_as_a_miss_of_three_centimetres():
    hessian = filter_module._hessian(np.eye(6, 7)) - filter_module._REGULARISED
    np.testing.assert_allclose(np.diag(hessian), [1.0, 1.0, 1.0, 0.09, 0.09, 0.09, 0.0])


def crate_in_front(gap_m: float) -> Spec:
    """A crate whose near face stands `gap_m` beyond what the hand at START keeps clear, in y."""
    reach = (KINEMATICS.spheres(START)[..., 1] + KINEMATICS.sphere_radii).max()
    near = reach + SPEC.obstacles.clearance_m + gap_m
    return with_box([TOOL[0] - 0.2, near, 0.0], [TOOL[0] + 0.2, near + 0.2, 0.8])


@pytest.mark.parametrize("gap_m", [0.005, 0.01, 0.02])
def test_an_obstacle_stops_the_hand_at_its_clearance(gap_m):
    spec = without_workspace(crate_in_front(gap_m))
    nominal = KINEMATICS.inverse(TOOL + np.array([0.0, 0.04, 0.0]))[0]
    filtered = nearest_target(spec, KINEMATICS, AT_REST, nominal, DURATION_S)
    assert isinstance(filtered, FilteredTarget)
    assert filtered.active_row == "obstacles"
    clearance = obstacle_clearance(spec, KINEMATICS.spheres(filtered.joint_positions), KINEMATICS.sphere_radii)
    assert 0.0 <= clearance.min() <= 1e-3


@settings(max_examples=40)
@given(gap_m=st.floats(0.002, 0.06), step=st.floats(0.005, 0.04), up=st.floats(-0.02, 0.02))
def test_an_added_obstacle_never_lets_the_tool_come_further_towards_it(gap_m, step, up):
    nominal = KINEMATICS.inverse(TOOL + np.array([0.0, step, up]))[0]
    free = nearest_target(without_workspace(SPEC), KINEMATICS, AT_REST, nominal, DURATION_S)
    beside = nearest_target(without_workspace(crate_in_front(gap_m)), KINEMATICS, AT_REST, nominal, DURATION_S)
    assert isinstance(free, FilteredTarget)
    if isinstance(beside, FilteredTarget):
        advance = [KINEMATICS.tool_position(answer.joint_positions)[1] for answer in (free, beside)]
        assert advance[1] <= advance[0] + 1e-6


def test_between_the_poses_the_middle_of_the_motion_is_looked_at_too():
    """A fast start bulges over a target near it: only the middle comes near the crate."""
    spec = without_workspace(crate_in_front(0.004))
    side = KINEMATICS.jacobian(START)[:3]
    dq = np.linalg.pinv(side) @ [0.0, 0.15, 0.0]
    start = JointState(START, dq, REST)
    answer = nearest_target(spec, KINEMATICS, start, START, DURATION_S)
    assert isinstance(answer, FilteredTarget)
    control = quintic(start, JointState(answer.joint_positions, REST, REST), np.asarray(DURATION_S))
    middle = sample(control, DURATION_S, DURATION_S / 2).positions
    clearance = obstacle_clearance(spec, KINEMATICS.spheres(middle), KINEMATICS.sphere_radii)
    straight = quintic(start, JointState(START, REST, REST), np.asarray(DURATION_S))
    bulge = sample(straight, DURATION_S, DURATION_S / 2).positions
    assert obstacle_clearance(spec, KINEMATICS.spheres(bulge), KINEMATICS.sphere_radii).min() < -1e-3
    assert clearance.min() >= -1e-4


def test_a_joint_too_fast_to_stop_before_its_end_stop_is_refused_by_the_limit_that_leaves_no_target():
    """It could stop in time if it might brake harder."""
    q = START.copy()
    q[3] = SPEC.joint_position.command_upper_rad[3] - 0.09
    fast = JointState(q, 1.2 * np.eye(7)[3], REST)
    refusal = nearest_target(SPEC, KINEMATICS, fast, q, DURATION_S)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail in ("joint_position", "joint_acceleration")
    assert refusal.margin < 0.0
    assert "panda_joint4" in refusal.reason


def test_a_start_too_fast_for_the_duration_is_refused_whatever_the_target():
    """Half way the acceleration of a quintic to rest does not depend on where it ends."""
    fast = JointState(START, SPEC.joint_velocity.limit_rad_per_s * np.eye(7)[3] * 0.8, REST)
    refusal = nearest_target(SPEC, KINEMATICS, fast, START, 0.2)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "joint_acceleration"
    assert refusal.margin < 0.0
    assert "Wherever it ended" in refusal.reason


def test_a_start_beyond_a_limit_is_refused_by_its_name():
    limit = SPEC.joint_velocity.limit_rad_per_s[5]
    beyond = JointState(START, limit * np.eye(7)[5], REST)
    refusal = nearest_target(SPEC, KINEMATICS, beyond, START, 2.0)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "joint_velocity"
    np.testing.assert_allclose(refusal.margin, (SPEC.joint_velocity.command_fraction - 1.0) * limit, rtol=1e-6)


def test_an_arm_locked_in_a_crate_is_refused_by_the_row_that_is_broken_most():
    spec = with_box(TOOL - 0.4, TOOL + 0.4)
    refusal = nearest_target(spec, KINEMATICS, AT_REST, START, DURATION_S)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "obstacles"
    assert refusal.margin < -0.1


@pytest.mark.parametrize("duration_s", [0.0, -1.0, SPEC.trajectory.max_duration_s * 1.01])
def test_durations_that_no_trajectory_may_have_are_refused(duration_s):
    refusal = nearest_target(SPEC, KINEMATICS, AT_REST, START, duration_s)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "trajectory"
