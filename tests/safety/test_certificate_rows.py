"""The certificate's margins of a motion: against a dense look and hand calculation."""

from __future__ import annotations

import numpy as np
import pytest
from certificate_cases import KINEMATICS, RADII, SPEC, dense, move, with_row

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.certificate_geometry import Arm
from ami_robot.safety.certificate_motion import QUANTITIES, Motion
from ami_robot.safety.certificate_rows import (
    BOUND_SLACK,
    CAUTION,
    ROUNDING,
    SAMPLE_S,
    Margin,
    _contact,
    _dip,
    _of_samples,
    joint_margins,
    path_margins,
    sample_times,
)
from ami_robot.safety.dynamics import Dynamics, min_singular_value
from ami_robot.safety.rows import Box
from ami_robot.types import JointState, JointTrajectory


@pytest.mark.parametrize("until_s", [1e-9, 0.004, 0.01, 0.0101, 0.4, 1.52])
def test_sampling_is_as_fine_as_it_has_to_be_and_no_finer(until_s):
    times_s = sample_times(until_s)
    assert (times_s[0], times_s[-1]) == (0.0, until_s)
    assert len(times_s) >= 3
    assert np.diff(times_s).max() <= SAMPLE_S * (1 + 1e-9)
    assert len(times_s) == 3 or until_s / (len(times_s) - 2) > SAMPLE_S * (1 - 1e-9)


def test_margins_along_a_path_are_those_of_a_dense_look_at_it(arm):
    """Down to the table and towards the front: every row changes on the way."""
    motion, load_kg = move([0.5, 0.1, 0.075], [0.52, 0.1, 0.042]), 0.5
    times_s, q, dq, ddq = dense(motion)
    tool, centers = KINEMATICS.tool_position(q), KINEMATICS.spheres(q)
    inside = np.minimum(tool - SPEC.workspace.lower_m, SPEC.workspace.upper_m - tool)
    heights = (centers[..., 2] - RADII - SPEC.table.height_m)[:, KINEMATICS.sphere_links >= 2]
    down = -np.gradient(heights, times_s, axis=0)[heights < SPEC.contact.approach_height_m]
    expected = {
        "torque": (SPEC.torque.command_limit_n_m - np.abs(Dynamics().torques(q, dq, ddq, load_kg))).min(),
        "singularity": min_singular_value(KINEMATICS, q).min() - SPEC.singularity.min_singular_value,
        "contact": SPEC.contact.approach_speed_m_per_s - max(0.0, down.max()),
        "workspace": inside.min() + SPEC.workspace.path_tolerance_m,
        "table": heights.min() - SPEC.table.clearance_m,
    }
    margins = path_margins(SPEC, arm, [(motion, motion.duration_s)], load_kg)
    assert margins.keys() == expected.keys() | {"arm_space", "obstacles", "self_collision"}
    for row, least in expected.items():
        within = {"torque": 0.05, "contact": 0.03}.get(row, 2e-4)
        assert margins[row].least == pytest.approx(least, abs=within), row
        assert margins[row].least <= margins[row].greatest_claim <= margins[row].least + within
        assert margins[row].least_claim == pytest.approx(margins[row].greatest_claim - CAUTION[row])
        assert margins[row].holds


def test_of_several_motions_the_worst_counts_each_up_to_its_time(arm):
    high, low = move([0.5, 0, 0.2], [0.5, 0, 0.23]), move([0.5, 0, 0.1], [0.5, 0, 0.07])
    alone = path_margins(SPEC, arm, [(low, low.duration_s)], 0.0)["table"]
    both = path_margins(SPEC, arm, [(high, high.duration_s), (low, low.duration_s)], 0.0)["table"]
    assert both == alone
    early = path_margins(SPEC, arm, [(low, 0.5 * low.duration_s)], 0.0)["table"]
    assert early.least == pytest.approx(alone.least + 0.015, abs=1e-3)


def test_a_motion_that_begins_outside_the_workspace_may_lead_back_but_not_further_out(arm):
    back, out = move([0.5, 0, 0.2], [0.53, 0, 0.2]), move([0.53, 0, 0.2], [0.5, 0, 0.2])
    tight = with_row("workspace", lower_m=np.array([0.56, -0.3, 0.03]))
    tight_arm = Arm(tight)
    margin = path_margins(tight, tight_arm, [(back, back.duration_s)], 0.0)["workspace"]
    assert margin.holds
    assert margin.least == pytest.approx(0.5 - 0.56 + SPEC.workspace.path_tolerance_m, abs=1e-4)
    assert not path_margins(tight, tight_arm, [(out, out.duration_s)], 0.0)["workspace"].holds
    barely = with_row("workspace", lower_m=np.array([0.515, -0.3, 0.03]))
    assert not path_margins(barely, arm, [(out, out.duration_s)], 0.0)["workspace"].holds


def test_only_spheres_close_to_the_table_may_not_come_down_fast():
    times_s = np.arange(0.0, 0.05, SAMPLE_S)
    down, low = -0.4 * times_s, SPEC.contact.approach_height_m
    heights = np.stack([low - 0.01 + 0.25 * down, low + 0.1 + down, low - 0.02 - down], axis=1)
    allowed = SPEC.contact.approach_speed_m_per_s
    np.testing.assert_allclose(_contact(SPEC, heights, times_s)[0], np.full(len(times_s), allowed - 0.1))
    np.testing.assert_allclose(_contact(SPEC, heights[:, 1:2], times_s)[0], allowed)
    slower_by, dip = _contact(SPEC, np.full((10, 1), low) + 4 * down[:, None], times_s)
    np.testing.assert_allclose(slower_by[1:], allowed - 1.6)
    assert slower_by[0] == allowed
    assert dip == pytest.approx(0.0, abs=1e-9), "the margin jumps where the sphere gets close, its speed does not"


def test_a_speed_may_be_greater_between_two_samples_by_an_eighth_of_its_second_difference():
    times_s = np.arange(0.0, 0.05, SAMPLE_S)
    heights = SPEC.contact.approach_height_m - 0.01 - 2.0 * times_s**3
    seen = np.gradient(heights, times_s)[2:-2]
    _, dip = _contact(SPEC, np.stack([heights, heights + 1.0 - 100.0 * times_s**3], axis=1), times_s)
    assert dip >= np.abs(np.diff(seen, n=2)).max() / 8.0
    assert dip <= 2e-4, "of spheres far from the table nothing is asked"


def of_samples(row, values, least_allowed):
    return _of_samples(row, values, least_allowed, _dip(values))


def test_the_dip_between_samples_is_an_eighth_of_the_second_difference():
    margin = of_samples("table", np.array([0.3, 0.1, 0.1, 0.3]), 0.0)
    assert margin.least == pytest.approx(0.1 - 0.2 / 8.0)
    assert (margin.greatest_claim, margin.least_claim) == (0.1, 0.1 - CAUTION["table"])
    assert of_samples("table", np.array([0.1, 0.3, 0.1]), 0.0).least == 0.1, "a hill hides nothing"
    assert of_samples("table", np.full(3, np.inf), 0.0).holds
    assert not of_samples("table", np.array([0.1, np.nan, 0.1]), 0.0).holds


@pytest.mark.parametrize(("least", "holds"), [(-0.9 * ROUNDING, True), (-1.1 * ROUNDING, False)])
def test_a_row_holds_to_within_rounding(least, holds):
    assert of_samples("table", np.full(4, least), 0.0).holds is holds
    assert of_samples("workspace", np.full(4, -0.1 + least), -0.1).holds is holds
    motion = Motion.at_rest(SPEC.joint_position.command_upper_rad - least)
    assert joint_margins(SPEC, motion)["joint_position"].holds is (least > -ROUNDING * 3.7)


def test_what_a_report_may_claim():
    margin = Margin(least=99.0, holds=True, greatest_claim=100.0, least_claim=90.0)
    for reported, agrees in (
        (100.0 + 0.9e-4, True), (100.0 + 1.1e-4, False), (90.0 - 0.9e-4, True), (90.0 - 1.1e-4, False), (95.0, True),
        (float("nan"), False),
    ):  # fmt: skip
        assert margin.agrees(reported) is agrees
    small = Margin(0.1, True, 0.1, 0.08)
    assert small.agrees(0.1 + 0.9e-6) and not small.agrees(0.1 + 1.1e-6)
    assert small.agrees(0.08 - 0.9e-6) and not small.agrees(0.08 - 1.1e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_joint_margins_are_those_of_a_dense_look_to_the_limit_that_counts(whole):
    motion = move([0.45, -0.1, 0.2], [0.45, -0.07, 0.22])
    _, q, dq, ddq = dense(motion)
    row, share = SPEC.joint_position, 1.0 if whole else SPEC.joint_velocity.command_fraction
    if whole:
        q, dq, ddq = (values[: int(motion.join_s / 5e-4) + 1] for values in (q, dq, ddq))
    lower, upper = (
        (row.lower_rad, row.upper_rad) if whole else (row.command_lower_rad, row.command_upper_rad)
    )  # fmt: skip
    margins = joint_margins(SPEC, motion, whole_limits=whole)
    expected = {
        "joint_position": np.minimum(q - lower, upper - q).min(),
        "joint_velocity": (share * SPEC.joint_velocity.limit_rad_per_s - np.abs(dq)).min(),
        "joint_acceleration": (share * SPEC.joint_acceleration.limit_rad_per_s2 - np.abs(ddq)).min(),
    }
    greatest = {"joint_position": np.abs(q).max(), "joint_velocity": np.abs(dq).max(),
                "joint_acceleration": np.abs(ddq).max()}  # fmt: skip
    for name, least in expected.items():
        margin = margins[name]
        assert margin.least == margin.greatest_claim == pytest.approx(least, abs=1e-3)
        assert margin.least_claim == pytest.approx(margin.least - BOUND_SLACK * greatest[name], abs=1e-3)
        assert margin.holds
    jerk = np.abs(np.gradient(ddq, 5e-4, axis=0))
    assert margins["joint_jerk"].least == pytest.approx(
        (share * SPEC.joint_jerk.limit_rad_per_s3 - jerk).min(), rel=1e-2
    )


@pytest.mark.parametrize(("row", "limit"), [("joint_velocity", "limit_rad_per_s"), ("joint_jerk", "limit_rad_per_s3")])
def test_a_joint_limit_is_reached_to_within_rounding_of_the_limit(row, limit):
    motion = move([0.45, -0.1, 0.2], [0.45, -0.07, 0.22])
    low, high = motion.extremes()[row.removeprefix("joint_")]
    peak = np.maximum(np.abs(low), np.abs(high))
    for excess, holds in ((0.9e-6, True), (1.2e-6, False)):
        most = max(1.0, float(peak.max()))
        spec = with_row(row, command_fraction=1.0, **{limit: peak - excess * most})
        assert joint_margins(spec, motion)[row].holds is holds


def test_an_arm_at_rest_has_whole_joint_margins():
    margins = joint_margins(SPEC, Motion.at_rest(HOME))
    assert margins["joint_velocity"].least == pytest.approx(SPEC.joint_velocity.command_limit_rad_per_s.min())
    assert margins["joint_jerk"].least == pytest.approx(SPEC.joint_jerk.command_limit_rad_per_s3.min())
    assert [name.removeprefix("joint_") for name in margins] == list(QUANTITIES)


def test_the_tip_of_a_held_tool_counts_for_table_walls_and_boxes(arm):
    q = HOME[None]
    motion = Motion(
        JointState(HOME, np.zeros(7), np.zeros(7)), JointTrajectory((), np.array([0.1]), q, 0.0 * q, 0.0 * q)
    )
    tool_m = arm.tool_position(HOME)
    seen = {
        length_m: path_margins(SPEC, arm, [(motion, 0.1)], 0.0, np.array([0.0, 0.0, length_m]))
        for length_m in (0.1, tool_m[2] + 0.1)
    }
    assert seen[0.1]["table"].holds
    long = seen[tool_m[2] + 0.1]
    assert not long["table"].holds
    assert long["table"].least == pytest.approx(-0.1 - SPEC.table.clearance_m, abs=1e-6)
    assert long["arm_space"].least == pytest.approx(-0.1, abs=1e-6)


def test_the_tip_of_a_held_tool_keeps_its_distance_from_boxes(arm):
    tip = np.array([0.0, 0.0, 0.1])
    ahead_m = arm.tool_position(HOME) - tip + np.array([0.03, 0.0, 0.0])  # the tool points down
    wall = Box("wall", ahead_m + np.array([0.0, -0.001, -0.001]), ahead_m + np.array([0.001, 0.001, 0.001]))
    q = HOME[None]
    still = Motion(
        JointState(HOME, np.zeros(7), np.zeros(7)), JointTrajectory((), np.array([0.1]), q, 0.0 * q, 0.0 * q)
    )
    margins = path_margins(with_row("obstacles", boxes=(wall,)), arm, [(still, 0.1)], 0.0, tip)
    assert margins["obstacles"].least == pytest.approx(0.03 - SPEC.obstacles.clearance_m, abs=1e-6)


def test_what_dips_between_two_samples_is_taken_off():
    times_s = np.arange(0.0, 0.2, SAMPLE_S) + 0.4 * SAMPLE_S
    parabola = 1000.0 * (times_s - 0.1) ** 2
    margin = of_samples("table", parabola, 0.0)
    assert margin.least <= 0.0 < parabola.min()
    assert not margin.holds or margin.least >= -1e-6
