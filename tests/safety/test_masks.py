import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.masks import path_margins
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import JointState, Proposal

SPEC, KINEMATICS = load_spec(), Kinematics()
CENTRE = np.array([0.5, 0.0, 0.2])


def path_of(tool_positions) -> np.ndarray:
    """(1, H, 7) from tool positions (H, 3)."""
    return KINEMATICS.inverse(np.array(tool_positions, dtype=float))[0][None]


def check(tool_positions, start=CENTRE, spec=SPEC):
    return path_margins(spec, KINEMATICS, path_of(tool_positions), KINEMATICS.inverse(np.array(start))[0])


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
    steps = [clipped(d) for d in displacements]
    targets = path_of(start + np.cumsum(steps, axis=0))
    first = KINEMATICS.inverse(start)[0]
    assume(path_margins(SPEC, KINEMATICS, targets, first).feasible[0])
    guardrail = Guardrail(SPEC, KINEMATICS)
    guardrail.select_source("planner")
    rest = np.zeros(7)
    assert guardrail.arm(JointState(first, rest, rest), 0, 0) is None
    spline, since_ns, now_ns = None, 0, 0
    for sequence, displacement in enumerate(steps, start=1):
        q = first if spline is None else spline.sample((now_ns - since_ns) / 1e9).positions
        guardrail.propose(Proposal("planner", sequence, now_ns, now_ns, 0.3, 0.0, tool_displacement=displacement))
        report = guardrail.step(SPEC.joint_names, q, rest, now_ns, now_ns)
        assert report.decision in ("accepted", "modified"), report.refusal
        state = JointState(first, rest, rest) if spline is None else spline.sample((now_ns - since_ns) / 1e9)
        spline, since_ns, now_ns = Spline(state, report.sent), now_ns, now_ns + 200_000_000
    np.testing.assert_allclose(report.target_joint_positions, targets[0, -1], atol=1e-9)


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
