"""The planner's mask lets through what the guardrail accepts."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mask_cases import CENTRE, KINEMATICS, LONGEST_STOP_S, SPEC, check, path_of, with_box

from ami_robot.safety.distances import self_clearance
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.masks import path_margins
from ami_robot.safety.motion import Spline, brake, move_to_rest
from ami_robot.safety.quintic import quintic
from ami_robot.safety.quintic import sample as quintic_state
from ami_robot.types import JointState, Proposal

DYNAMICS = Dynamics()


def test_holding_still_in_the_middle_is_feasible_with_room_to_spare():
    result = check([CENTRE] * 6)
    assert result.feasible[0]
    assert 0.1 < result.margin[0] <= 1.0


@pytest.mark.parametrize(
    ("axis", "inside", "outside"),
    [
        (0, 0.301, 0.299),
        (0, 0.679, 0.681),
        (1, -0.299, -0.301),
        (1, 0.299, 0.301),
        (2, 0.031, 0.029),
        (2, 0.399, 0.401),
    ],
)
def test_a_step_out_of_the_workspace_is_masked(axis, inside, outside):
    near, beyond = CENTRE.copy(), CENTRE.copy()
    near[axis], beyond[axis] = inside, outside
    assert check([near] * 2, start=near).feasible[0]
    result = check([near, beyond], start=near)
    assert not result.feasible[0]
    assert result.row[0] == "workspace"
    np.testing.assert_allclose(result.margin[0] * 1e3, -1e-3 / extent(axis) * 1e3, rtol=0.01)


def extent(axis: int) -> float:
    return (SPEC.workspace.upper_m[axis] - SPEC.workspace.lower_m[axis]) / 2.0


def test_margins_are_shares_of_what_each_row_spans():
    """Of half a joint's range, of half a side of the workspace, of the workspace's height, of a step."""
    row, q = SPEC.joint_position, path_of([CENTRE] * 2)
    q[0, 1, 6] = row.command_upper_rad[6] - 0.05 * (row.command_upper_rad[6] - row.command_lower_rad[6])
    loose = replace(SPEC, joint_velocity=replace(SPEC.joint_velocity, command_fraction=1e3),
                    joint_acceleration=replace(SPEC.joint_acceleration, command_fraction=1e3))  # fmt: skip
    turned = path_margins(loose, KINEMATICS, q, q[0, 0])
    assert (turned.row[0], turned.margin[0]) == ("joint_position", pytest.approx(0.1))
    far = check([CENTRE, CENTRE + np.array([0.0, 0.0, 0.05])], spec=loose)
    assert (far.row[0], far.margin[0]) == ("tool_displacement", pytest.approx((0.04 + 1e-6 - 0.05) / 0.04))
    near_table = replace(SPEC, table=replace(SPEC.table, height_m=0.1))
    centers = KINEMATICS.spheres(path_of([CENTRE])[0, 0])[KINEMATICS.sphere_links >= 2]
    lowest = (centers[:, 2] - KINEMATICS.sphere_radii[KINEMATICS.sphere_links >= 2]).min()
    height_m = SPEC.workspace.upper_m[2] - SPEC.workspace.lower_m[2]
    low = check([CENTRE] * 2, spec=near_table)
    assert (low.row[0], low.margin[0]) == ("table", pytest.approx((lowest - 0.11) / height_m))


@pytest.mark.parametrize("row", ["joint_velocity", "joint_acceleration"])
def test_a_single_move_is_watched_until_it_rests(row):
    """A quintic from rest to rest over d in T: at most 1.875 d / T fast, at most 5.7735 d / T^2 hard."""
    q, step = path_of([CENTRE]), 0.02
    q[0, 0, 6] += step
    only = replace(SPEC, **{row: replace(getattr(SPEC, row), command_fraction=1e-4)})
    limit = getattr(only, row).command_limit_rad_per_s if row == "joint_velocity" else None
    limit = only.joint_acceleration.command_limit_rad_per_s2 if limit is None else limit
    peak = 1.875 * step / 0.4 if row == "joint_velocity" else 5.7735 * step / 0.4**2
    result = path_margins(only, KINEMATICS, q, path_of([CENTRE])[0, 0])
    assert result.row[0] == row
    assert 1.0 - result.margin[0] == pytest.approx(peak / limit[6], rel=0.015)


def test_the_last_move_of_a_path_is_watched_until_it_rests():
    """Twice the same way and then back: the hardest braking comes after the last target was set."""
    q, step = np.repeat(path_of([CENTRE]), 2, axis=1), 0.02
    start = q[0, 0].copy()
    q[0, :, 6] += [step, 2 * step]
    only = replace(SPEC, joint_acceleration=replace(SPEC.joint_acceleration, command_fraction=1e-4))
    state, peak = JointState(start, np.zeros(7), np.zeros(7)), 0.0
    for target, watched_s in ((q[0, 0], 0.2), (q[0, 1], 0.4)):
        control = quintic(state, JointState(target, np.zeros(7), np.zeros(7)), np.asarray(0.4))
        for t_s in np.linspace(0.0, watched_s, 201):
            peak = max(peak, abs(quintic_state(control, np.asarray(0.4), t_s).accelerations[6]))
        state = quintic_state(control, np.asarray(0.4), 0.2)
    share = 1.0 - path_margins(only, KINEMATICS, q, start).margin[0]
    assert share == pytest.approx(peak / only.joint_acceleration.command_limit_rad_per_s2[6], rel=0.02)


def test_a_path_of_numbers_that_are_not_finite_is_masked_and_spoils_no_other():
    joints = np.repeat(path_of([CENTRE] * 3), 3, axis=0)
    joints[0, 1, 2], joints[2, 0, 0] = np.nan, np.inf
    result = path_margins(SPEC, KINEMATICS, joints, joints[1, 0])
    np.testing.assert_array_equal(result.feasible, [False, True, False])


def test_nothing_is_feasible_from_an_unknown_start():
    result = path_margins(SPEC, KINEMATICS, path_of([CENTRE] * 3), np.full(7, np.nan))
    assert not result.feasible.any()


@pytest.mark.parametrize("joint", range(7))
def test_a_joint_beyond_its_limit_is_masked(joint):
    q = path_of([CENTRE] * 2)
    q[0, :, joint] = SPEC.joint_position.command_upper_rad[joint] + 1e-3
    result = path_margins(SPEC, KINEMATICS, q, q[0, 0])
    assert not result.feasible[0]
    wide = replace(SPEC, joint_position=replace(SPEC.joint_position, upper_rad=SPEC.joint_position.upper_rad + 0.1))
    assert path_margins(wide, KINEMATICS, q, q[0, 0]).margin[0] > result.margin[0] or result.row[0] != "joint_position"


def test_an_arm_too_close_to_the_table_is_masked():
    tight = replace(SPEC, table=replace(SPEC.table, height_m=0.03))
    low = [0.5, 0.0, 0.031]
    assert check([low] * 2, start=low).feasible[0]
    result = check([low] * 2, start=low, spec=tight)
    assert not result.feasible[0]
    assert result.row[0] == "table"


def test_a_path_into_an_obstacle_is_masked():
    spec = with_box([0.55, -0.1, 0.0], [0.7, 0.1, 0.18])
    start = [0.45, 0.0, 0.25]
    assert check([start] * 2, start=start, spec=spec).feasible[0]
    result = check([[0.48, 0.0, 0.23], [0.51, 0.0, 0.21], [0.54, 0.0, 0.19]], start=start, spec=spec)
    assert not result.feasible[0]
    assert result.row[0] == "obstacles"


def test_without_obstacles_nothing_is_masked_for_them():
    spec = replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=()))
    assert check([CENTRE] * 3, spec=spec).feasible[0]


def test_an_elbow_through_the_wall_is_masked():
    low_ceiling = replace(SPEC, arm_space=replace(SPEC.arm_space, upper_m=np.array([0.9, 0.75, 0.6])))
    assert check([CENTRE] * 2).feasible[0]
    result = check([CENTRE] * 2, spec=low_ceiling)
    assert not result.feasible[0]
    assert result.row[0] == "arm_space"


def test_the_arm_comes_nowhere_in_the_workspace_near_itself():
    """Why the mask has no row of self-collision: the guardrail file would have to ask for more to make it matter."""
    axes = [np.linspace(a, b, 25) for a, b in zip(SPEC.workspace.lower_m, SPEC.workspace.upper_m, strict=True)]
    joints = KINEMATICS.inverse(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3))[0]
    for part in np.array_split(joints, 32):
        assert self_clearance(SPEC, KINEMATICS.spheres(part), KINEMATICS.sphere_radii).min() >= 0.0


@pytest.mark.parametrize("row", ["joint_velocity", "joint_acceleration"])
def test_a_path_too_fast_for_a_joint_is_masked(row):
    steps = [CENTRE + np.array([0.039, 0, 0]), CENTRE, CENTRE + np.array([0.039, 0, 0])]
    assert check(steps).feasible[0]
    slow = replace(SPEC, **{row: replace(getattr(SPEC, row), command_fraction=0.1)})
    result = check(steps, spec=slow)
    assert not result.feasible[0]
    assert result.row[0] == row


def test_a_step_longer_than_allowed_is_masked():
    result = check([CENTRE, CENTRE + np.array([0.0, 0.0, 0.0411])])
    assert not result.feasible[0]
    assert result.row[0] == "tool_displacement"
    assert check([CENTRE, CENTRE + np.array([0.0, 0.0, 0.04])]).feasible[0]


DISPLACEMENTS = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(np.array), min_size=3, max_size=6
)
STARTS = st.tuples(st.floats(0.32, 0.66), st.floats(-0.28, 0.28), st.floats(0.04, 0.38)).map(np.array)


def clipped(displacement: np.ndarray) -> np.ndarray:
    return displacement * min(1.0, SPEC.tool_displacement.max_m_per_step / max(np.linalg.norm(displacement), 1e-12))


@given(start=STARTS, displacements=DISPLACEMENTS)
@settings(max_examples=25, deadline=None)
def test_velocity_and_acceleration_are_those_of_the_motion_that_follows(start, displacements):
    """The mask's margins equal those of the splines that the filter really chains together."""
    targets = path_of(start + np.cumsum([clipped(d) for d in displacements], axis=0))
    first = KINEMATICS.inverse(start)[0]
    state, worst = JointState(first, np.zeros(7), np.zeros(7)), {"joint_velocity": 1.0, "joint_acceleration": 1.0}
    for step, target in enumerate(targets[0]):
        trajectory = move_to_rest(state, target, SPEC)
        assume(trajectory is not None and trajectory.times_s[-1] == 0.4)
        spline = Spline(state, trajectory)
        times_s = np.linspace(0.0, 0.2 if step < len(displacements) - 1 else 0.4, 41)
        state = spline.sample(0.2)
        v, a = (
            np.abs([getattr(spline.sample(t_s), name) for t_s in times_s]).max(axis=0)
            for name in ("velocities", "accelerations")
        )
        for row, peak, limit in (
            ("joint_velocity", v, SPEC.joint_velocity.command_limit_rad_per_s),
            ("joint_acceleration", a, SPEC.joint_acceleration.command_limit_rad_per_s2),
        ):
            worst[row] = min(worst[row], float((1.0 - peak / limit).min()))
    for row, expected in worst.items():
        only = replace(SPEC, **{row: replace(getattr(SPEC, row), command_fraction=1e-3)})
        share = 1.0 - path_margins(only, KINEMATICS, targets, first).margin[0]
        full = getattr(SPEC, row).command_fraction / 1e-3
        assert 1.0 - share / full == pytest.approx(expected, abs=0.03)


@given(start=STARTS, displacements=DISPLACEMENTS)
@settings(max_examples=60, deadline=None)
def test_the_guardrail_accepts_what_the_mask_lets_through(start, displacements):
    """But for what only delays of 30 ms, now late and now early, would make of it: the mask knows nothing of them."""
    steps = [clipped(d) for d in displacements]
    targets = path_of(start + np.cumsum(steps, axis=0))
    first = KINEMATICS.inverse(start)[0]
    assume(path_margins(SPEC, KINEMATICS, targets, first).feasible[0])
    guardrail = Guardrail(SPEC, KINEMATICS, DYNAMICS)
    guardrail.select_source("planner")
    rest = np.zeros(7)
    assert guardrail.arm(JointState(first, rest, rest), 0, 0) is None
    spline, since_ns, now_ns = None, 0, 0
    for sequence, displacement in enumerate(steps, start=1):
        for ago_ns in range(160_000_000, 0, -40_000_000) if spline is not None else ():
            heard_ns = now_ns - ago_ns
            q = spline.sample((heard_ns - since_ns) / 1e9).positions
            assert guardrail.step(SPEC.joint_names, q, rest, heard_ns, heard_ns) is None
        q = first if spline is None else spline.sample((now_ns - since_ns) / 1e9).positions
        guardrail.propose(Proposal("planner", sequence, now_ns, now_ns, 0.3, 0.0, tool_displacement=displacement))
        report = guardrail.step(SPEC.joint_names, q, rest, now_ns, now_ns)
        if report is None:  # it waits for the arm to be where delays do not matter
            return
        assert report.decision in ("accepted", "modified"), report.refusal
        state = JointState(first, rest, rest) if spline is None else spline.sample((now_ns - since_ns) / 1e9)
        spline, since_ns, now_ns = Spline(state, report.sent), now_ns, now_ns + 200_000_000
    np.testing.assert_allclose(report.target_joint_positions, targets[0, -1], atol=1e-9)


@given(start=STARTS, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_no_brake_out_of_a_planned_motion_takes_longer_than_the_mask_reckons(start, seed):
    generator = np.random.default_rng(seed)
    state, tool = JointState(KINEMATICS.inverse(start)[0], np.zeros(7), np.zeros(7)), start
    for _ in range(5):
        tool = tool + clipped(generator.normal(size=3))
        path = KINEMATICS.inverse(np.array([tool, tool]))[0][None]
        trajectory = move_to_rest(state, path[0, 0], SPEC)
        if not path_margins(SPEC, KINEMATICS, path, path[0, 0]).feasible[0] or trajectory is None:
            return
        spline = Spline(state, trajectory)
        for t_s in (0.05, 0.1, 0.15, 0.2):
            assert brake(spline.sample(t_s), SPEC).times_s[-1] <= LONGEST_STOP_S + 1e-9
        state = spline.sample(0.2)


@pytest.mark.alone
def test_a_planning_iteration_is_checked_well_within_its_time():
    generator = np.random.default_rng(0)
    positions = CENTRE + np.cumsum(generator.uniform(-0.02, 0.02, (128, 6, 3)), axis=1)
    start, durations_s = KINEMATICS.inverse(CENTRE)[0], []
    for _ in range(20):
        began = time.perf_counter()
        joints, _ = KINEMATICS.inverse(positions)
        path_margins(SPEC, KINEMATICS, joints, start)
        durations_s.append(time.perf_counter() - began)
    assert min(durations_s) < 0.012  # of a model step of 0.2 s, three times a plan
