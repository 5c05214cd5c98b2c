"""The certificate's own reckoning, part by part: against hand calculation and the guardrail's own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety import separation
from ami_robot.safety.certificate import GREATEST, Verifier, why_malformed, why_unusable
from ami_robot.safety.certificate_geometry import Arm, Neighbours
from ami_robot.safety.certificate_motion import QUANTITIES, Motion
from ami_robot.safety.certificate_people import (
    _brake,
    _caps,
    _facing,
    _greatest_speed,
    _until_stopped,
    people_margins,
    why_unknown,
)
from ami_robot.safety.certificate_rows import (
    BOUND_SLACK,
    CAUTION,
    ROUNDING,
    SAMPLE_S,
    Margin,
    _contact,
    _of_samples,
    joint_margins,
    path_margins,
    sample_times,
)
from ami_robot.safety.distances import capsule_distance
from ami_robot.safety.dynamics import Dynamics, min_singular_value
from ami_robot.safety.kinematics import HOME, Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import GuardrailReport, HeldTool, JointState, JointTrajectory, People, Person

SPEC, KINEMATICS = load_spec(), Kinematics()
WITH_PEOPLE = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))
RADII, REST, NOW_NS, MS = KINEMATICS.sphere_radii, np.zeros(7), 10_000_000_000, 1_000_000
TIP = np.array([0.02, -0.03, 0.1])
PLACE = KINEMATICS.inverse(np.array([0.5, 0.0, 0.2]))[0]


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm(SPEC)


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


# What the second arm measures


def test_its_spheres_axes_and_heights_are_those_of_the_guardrail(arm):
    q = random_joints(20, seed=1)
    seen = arm.sample(q, np.zeros_like(q), np.zeros_like(q), 0.0)
    centers, moving = KINEMATICS.spheres(q), KINEMATICS.sphere_links >= 2
    np.testing.assert_allclose(seen.centers_m, centers, atol=1e-12)
    np.testing.assert_allclose(seen.tool_axes, KINEMATICS.tool_pose(q)[:, :3, :3], atol=1e-12)
    raised = with_row("table", height_m=0.1)
    heights = Arm(raised).sample(q[:1], q[:1], q[:1], 0.0).heights_m
    np.testing.assert_allclose(heights, (centers[:1, :, 2] - RADII - 0.1)[:, moving], atol=1e-12)
    np.testing.assert_allclose(arm.tool_position(q[3]), KINEMATICS.tool_position(q[3]), atol=1e-12)


def test_a_load_is_forgotten_with_the_next_call(arm):
    q = HOME[None]
    bare = arm.sample(q, 0 * q, 0 * q, 0.0).torques_n_m
    assert abs(arm.sample(q, 0 * q, 0 * q, 1.0).torques_n_m - bare).max() > 1.0
    np.testing.assert_array_equal(arm.sample(q, 0 * q, 0 * q, 0.0).torques_n_m, bare)


def test_without_obstacles_they_are_infinitely_far(arm):
    nowhere = Arm(with_row("obstacles", boxes=())).sample(HOME[None], HOME[None], HOME[None], 0.0)
    assert nowhere.clearances_m["obstacles"][0] == np.inf
    assert np.isfinite(nowhere.clearances_m["table"][0])


@pytest.mark.parametrize("changes", [
    {}, {"end_b": np.array([2.0, 0.3, 0.0])}, {"end_b": np.array([2.0, 0.3, -1.0])},
    {"end_b": np.array([-1.0, 1.0, 1.0])}, {"radius_error": 0.0}, {"radius": 0.0},
])  # fmt: skip
def test_people_are_as_far_as_the_guardrail_has_them(arm, changes):
    """Upright, a ball, head down, leaning over; with the tip of the tool, which sticks out of the hand."""
    q, persons = random_joints(25, seed=2), (somebody(**changes), somebody(x_m=-1.5))
    tip = KINEMATICS.tool_position(q) + KINEMATICS.tool_pose(q)[:, :3, :3] @ TIP
    turning = KINEMATICS.sphere_links >= 1
    points = np.concatenate([KINEMATICS.spheres(q)[:, turning], tip[:, None]], axis=1)
    for everybody in (persons, persons[:1], (somebody(x_m=-0.4),)):
        distances = capsule_distance(points, People(0, everybody)) - np.append(RADII[turning], 0.0)[:, None]
        measured = Neighbours(everybody, TIP).distances(arm, q)
        np.testing.assert_allclose(measured, distances.min(axis=(-2, -1)), atol=1e-9)


def test_a_tip_far_from_the_hand_is_measured_too(arm):
    far = np.array([0.9, 0.0, 0.0])
    tip = KINEMATICS.tool_position(HOME) + KINEMATICS.tool_pose(HOME)[:3, :3] @ far
    expected = capsule_distance(tip[None], People(0, (somebody(),)))[0, 0]
    assert Neighbours((somebody(),), far).distances(arm, HOME[None])[0] == pytest.approx(expected, abs=1e-9)


# Margins of a motion


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
    np.testing.assert_allclose(_contact(SPEC, heights, times_s), np.full(len(times_s), allowed - 0.1))
    np.testing.assert_allclose(_contact(SPEC, heights[:, 1:2], times_s), allowed)
    np.testing.assert_allclose(_contact(SPEC, np.full((10, 1), low) + 4 * down[:, None], times_s)[1:], allowed - 1.6)
    assert _contact(SPEC, np.full((10, 1), low) + 4 * down[:, None], times_s)[0] == allowed


def test_the_dip_between_samples_is_an_eighth_of_the_second_difference():
    margin = _of_samples("table", np.array([0.3, 0.1, 0.1, 0.3]), 0.0)
    assert margin.least == pytest.approx(0.1 - 0.2 / 8.0)
    assert (margin.greatest_claim, margin.least_claim) == (0.1, 0.1 - CAUTION["table"])
    assert _of_samples("table", np.array([0.1, 0.3, 0.1]), 0.0).least == 0.1, "a hill hides nothing"
    assert _of_samples("table", np.full(3, np.inf), 0.0).holds
    assert not _of_samples("table", np.array([0.1, np.nan, 0.1]), 0.0).holds


@pytest.mark.parametrize(("least", "holds"), [(-0.9 * ROUNDING, True), (-1.1 * ROUNDING, False)])
def test_a_row_holds_to_within_rounding(least, holds):
    assert _of_samples("table", np.full(4, least), 0.0).holds is holds
    assert _of_samples("workspace", np.full(4, -0.1 + least), -0.1).holds is holds
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


# Motions


def test_before_it_begins_a_motion_is_where_it_begins_and_after_it_ends_it_rests():
    motion = move([0.45, -0.1, 0.2], [0.45, -0.07, 0.22])
    before, begin = motion.state(-0.1), motion.state(0.0)
    np.testing.assert_array_equal(before.positions, begin.positions)
    for t_s in (motion.duration_s, motion.duration_s + 1.0):
        state = motion.state(t_s)
        np.testing.assert_array_equal(state.positions, motion.end)
        assert not state.velocities.any() and not state.accelerations.any()
    assert motion.state(0.5 * motion.duration_s).velocities.any()


def test_up_to_the_first_point_only_the_first_piece_counts():
    still, fast = np.zeros(7), np.full(7, 5.0)
    points = np.stack([HOME, HOME])
    trajectory = JointTrajectory((), np.array([0.2, 0.4]), points, np.stack([fast, still]), np.zeros((2, 7)))
    motion = Motion(JointState(HOME, still, still), trajectory)
    whole, joined = motion.extremes(), motion.extremes(join_only=True)
    assert motion.join_s == 0.2
    assert (whole["position"][1] > joined["position"][1] + 0.1).all()
    np.testing.assert_allclose(joined["velocity"][1], 5.0)


# People


def test_a_brake_ends_at_rest_and_its_velocity_is_a_cubic():
    generator = np.random.default_rng(6)
    start = JointState(*generator.normal(size=(3, 7)))
    stop = _brake(start, 0.4)
    times_s = np.linspace(0.0, 0.4, 6)
    q, dq, ddq = stop.sample(times_s)
    for value, begin in zip((q, dq, ddq), (start.positions, start.velocities, start.accelerations), strict=True):
        np.testing.assert_allclose(value[0], begin, atol=1e-9)
    np.testing.assert_allclose([dq[-1], ddq[-1]], 0.0, atol=1e-9)
    np.testing.assert_allclose(np.diff(dq, n=4, axis=0), 0.0, atol=1e-9)


def test_until_stopped_goes_on_for_the_reaction_time_and_then_takes_the_shortest_brake():
    motion = move([0.5, -0.1, 0.2], [0.5, -0.061, 0.2])
    spec = with_row("people", WITH_PEOPLE, reaction_s=0.15)
    times_s, q = _until_stopped(spec, motion)
    on = times_s <= 0.15
    np.testing.assert_allclose(q[on], motion.sample(times_s[on])[0])
    assert times_s[-1] < motion.duration_s
    assert np.diff(times_s).max() <= SAMPLE_S * (1 + 1e-9)
    assert (np.diff(times_s) >= 0.0).all()
    np.testing.assert_allclose(np.diff(q, axis=0)[-1], 0.0, atol=1e-5)
    brake_s = times_s[-1] - 0.15
    start = motion.state(0.15)
    np.testing.assert_allclose(q[-1], _brake(start, brake_s).end)
    assert all(margin.holds for margin in joint_margins(spec, _brake(start, brake_s)).values())
    assert brake_s == pytest.approx(0.1) or not all(
        margin.holds for margin in joint_margins(spec, _brake(start, brake_s - 0.02)).values()
    )


def test_a_motion_that_rests_sooner_than_any_brake_is_looked_at_to_its_end():
    motion = move([0.5, -0.1, 0.2], [0.5, -0.061, 0.2])
    times_s, q = _until_stopped(with_row("people", WITH_PEOPLE, reaction_s=motion.duration_s - 0.11), motion)
    assert times_s[-1] < motion.duration_s
    times_s, q = _until_stopped(with_row("people", WITH_PEOPLE, reaction_s=motion.duration_s - 0.09), motion)
    np.testing.assert_array_equal(times_s, sample_times(motion.duration_s))
    np.testing.assert_allclose(q, motion.sample(times_s)[0])


@pytest.mark.parametrize("age_ms", [0, 100, -20])
def test_the_margin_to_people_of_an_arm_at_rest_is_a_hand_calculation(arm, age_ms):
    people, row = People(NOW_NS - age_ms * MS, (somebody(),)), SPEC.people
    spec = with_row("people", WITH_PEOPLE, measurement_error_m=0.07, intrusion_m=0.03)
    held = HeldTool(NOW_NS, "blunt", TIP)
    tip = KINEMATICS.tool_position(HOME) + KINEMATICS.tool_pose(HOME)[:3, :3] @ TIP
    points = np.concatenate([KINEMATICS.spheres(HOME), tip[None]])
    nearest = (capsule_distance(points, people) - np.append(RADII, 0.0)[:, None]).min()
    expected = nearest - 0.1 - row.max_speed_m_per_s * max(0, age_ms) / 1000.0
    margins = people_margins(spec, arm, Motion.at_rest(HOME), report(people=people, held_tool=held))
    assert margins["people"].least == pytest.approx(expected, abs=1e-6)
    assert margins["people"].holds
    assert margins["people"].least < margins["people"].greatest_claim < expected + 0.01
    assert margins["people"].least_claim == pytest.approx(expected - CAUTION["people"], abs=1e-6)


def test_the_margin_to_people_of_a_motion_is_that_of_the_guardrail_on_the_same_path(arm):
    motion, people = move([0.5, -0.1, 0.2], [0.539, -0.1, 0.2]), People(NOW_NS - 50 * MS, (somebody(1.7),))
    times_s, q = _until_stopped(WITH_PEOPLE, motion)
    tips = KINEMATICS.tool_position(q)[:, None]
    points = np.concatenate([KINEMATICS.spheres(q), tips], axis=1)
    expected = separation.separation_margin(WITH_PEOPLE, points, np.append(RADII, 0.0), times_s, people, NOW_NS)
    margins = people_margins(WITH_PEOPLE, arm, motion, report(people=people))
    assert margins["people"].least == pytest.approx(expected, abs=1e-6)


def test_who_is_in_reach_is_asked_about_speed_and_who_is_not_is_not(arm):
    """Within 5 mm of the border the report decides: two samplings of one motion may differ there."""
    at = KINEMATICS.spheres(HOME)
    row = SPEC.people
    reach_m = row.measurement_error_m + row.intrusion_m + row.max_speed_m_per_s * (row.reach_horizon_s + 0.1)
    tip = KINEMATICS.tool_position(HOME)
    points, radii = np.concatenate([at, tip[None]]), np.append(RADII, 0.0)

    def everybody(beyond_m: float) -> People:
        people = People(NOW_NS - 100 * MS, (somebody(4.0),))
        for _ in range(30):  # walk up to the arm
            gap_m = (capsule_distance(points, people) - radii[:, None]).min() - reach_m - beyond_m
            x_m = people.persons[0].end_a[0] - gap_m
            people = replace(people, persons=(somebody(x_m),))
        return people

    rest = Motion.at_rest(HOME)
    for beyond_m, claims, asked in (
        (0.004, True, True), (0.006, True, False), (-0.004, False, False), (-0.006, False, True),
    ):  # fmt: skip
        claimed = {"tool_hazard": 0.1} if claims else {}
        margins = people_margins(WITH_PEOPLE, arm, rest, report(people=everybody(beyond_m), margins=claimed))
        assert ("tool_hazard" in margins) is ("power_and_force" in margins) is asked


def test_with_nobody_there_are_no_margins_about_people(arm):
    for people in (None, People(NOW_NS, ())):
        assert people_margins(WITH_PEOPLE, arm, Motion.at_rest(HOME), report(people=people)) == {}


def test_speeds_beside_somebody_are_held_against_their_caps(arm):
    motion, held = move([0.5, -0.1, 0.2], [0.539, -0.1, 0.2]), HeldTool(NOW_NS, "blunt", TIP, 0.4)
    people = People(NOW_NS, (somebody(1.5),))
    times_s, q, _, _ = dense(motion)
    tips = KINEMATICS.tool_position(q) + KINEMATICS.tool_pose(q)[:, :3, :3] @ TIP
    of_tip = np.linalg.norm(np.gradient(tips, times_s, axis=0), axis=-1).max()
    of_spheres = np.linalg.norm(np.gradient(KINEMATICS.spheres(q), times_s, axis=0), axis=-1).max()
    arm_cap, tip_cap = separation.speed_cap(SPEC, separation.tool_class(SPEC, held, NOW_NS), 0.4)
    margins = people_margins(WITH_PEOPLE, arm, motion, report(people=people, held_tool=held))
    assert margins["tool_hazard"].least == pytest.approx(tip_cap - of_tip, abs=2e-3)
    assert margins["power_and_force"].least == pytest.approx(arm_cap - max(of_tip, of_spheres), abs=2e-3)
    slow = with_row("power_and_force", WITH_PEOPLE, regions=tuple(
        replace(region, max_force_n=1.0) for region in SPEC.power_and_force.regions
    ))  # fmt: skip
    assert not people_margins(slow, arm, motion, report(people=people, held_tool=held))["power_and_force"].holds


@pytest.mark.parametrize("hazard", ["none", "blunt", "edge", "point", "spoon"])
@pytest.mark.parametrize("age_ms", [0, 1000, 1001, -50, -51])
def test_caps_are_those_of_the_guardrail(hazard, age_ms):
    tool = HeldTool(NOW_NS - age_ms * MS, hazard, TIP, 0.7)
    expected = separation.speed_cap(SPEC, separation.tool_class(SPEC, tool, NOW_NS), 0.7)
    assert _caps(SPEC, report(held_tool=tool)) == pytest.approx(expected)


def test_without_a_tool_the_caps_are_those_of_a_point_and_no_load():
    point = separation.tool_class(SPEC, None, NOW_NS)
    assert _caps(SPEC, report()) == pytest.approx(separation.speed_cap(SPEC, point, 0.0))


@pytest.mark.parametrize("tip", [TIP, np.zeros(3)])
def test_a_blade_points_where_the_guardrail_has_it_point(tip):
    generator = np.random.default_rng(9)
    everybody = People(NOW_NS, (somebody(1.0), somebody(-1.0, end_b=np.array([-1.0, 0.3, 0.0]))))
    held = HeldTool(NOW_NS, "edge", tip)
    for q in random_joints(10, seed=8):
        axes = KINEMATICS.tool_pose(q)[None, :3, :3]
        tips = generator.normal(size=(1, 3))
        along = axes @ (tip if tip.any() else np.array([0.0, 0.0, 1.0]))
        edge = separation.tool_class(SPEC, held, NOW_NS)
        expected = separation.facing_margin(SPEC, tips, along, everybody, edge)
        found = _facing(SPEC, report(held_tool=held), tips, axes, everybody)
        assert found == pytest.approx(expected)
    blunt = HeldTool(NOW_NS, "blunt", tip)
    assert _facing(SPEC, report(held_tool=blunt), tips, axes, everybody) == np.inf


def test_the_greatest_speed_is_that_of_the_fastest_point():
    times_s = np.array([0.0, 0.1, 0.2, 0.3])
    slow, fast = times_s[:, None] * [0.1, 0.0, 0.0], times_s[:, None] * [0.0, 3.0, 4.0]
    assert _greatest_speed(np.stack([slow, fast], axis=1), times_s) == pytest.approx(5.0)


@pytest.mark.parametrize(("age_ms", "known"), [(200, True), (201, False), (-50, True), (-51, False), (0, True)])
def test_people_are_known_as_long_as_the_guardrail_file_says(age_ms, known):
    found = list(why_unknown(WITH_PEOPLE, report(people=People(NOW_NS - age_ms * MS, ()))))
    assert (found == []) is known
    assert known or f"{age_ms / 1000:.3f} s old" in found[0]
    assert list(why_unknown(SPEC, report())) == []
    assert "nothing was known" in " ".join(why_unknown(WITH_PEOPLE, report()))


# Form


def trajectory(count: int = 2, end_s: float | None = None) -> JointTrajectory:
    times_s = np.linspace(0.0, 0.1 * count if end_s is None else end_s, count + 1)[1:]
    zeros = np.zeros((count, 7))
    return JointTrajectory(SPEC.joint_names, times_s, zeros + PLACE, zeros, zeros)


def test_a_trajectory_is_well_formed_up_to_the_limits():
    row = SPEC.trajectory
    assert why_malformed(SPEC, trajectory()) is None
    assert why_malformed(SPEC, trajectory(1)) is None
    assert why_malformed(SPEC, trajectory(int(row.max_points), end_s=row.max_duration_s)) is None
    assert "too many points" in why_malformed(SPEC, trajectory(int(row.max_points) + 1, end_s=1.0))
    assert "takes too long" in why_malformed(SPEC, trajectory(2, end_s=row.max_duration_s + 1e-6))
    empty = JointTrajectory(SPEC.joint_names, np.zeros(0), *np.zeros((3, 0, 7)))
    assert "no or too many points" in why_malformed(SPEC, empty)


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("times_s", [0.0, 0.1], "do not increase"), ("times_s", [0.1, 0.1], "do not increase"),
    ("times_s", [0.1], "no or too many points"), ("positions", np.zeros((2, 6)), "without position"),
    ("velocities", np.zeros((1, 7)), "without position"), ("accelerations", np.zeros(14), "without position"),
    ("positions", np.full((2, 7), GREATEST), None), ("positions", np.full((2, 7), -1.01 * GREATEST), "not finite"),
    ("velocities", np.eye(2, 7), "at rest"), ("accelerations", np.eye(2, 7), "at rest"),
    ("velocities", np.eye(2, 7) * [[1.0], [0.0]], None), ("joint_names", ("a",) * 7, "joints in order"),
])  # fmt: skip
def test_what_makes_a_trajectory_malformed(name, value, sentence):
    changed = replace(trajectory(), **{name: value if name == "joint_names" else np.asarray(value)})
    found = why_malformed(SPEC, changed)
    assert found is None if sentence is None else sentence in found


def test_gripper_tool_and_people_are_numbers_to_reckon_with_up_to_the_limits():
    tool, people = HeldTool(NOW_NS, "edge", TIP, 0.0), People(NOW_NS, (somebody(radius=0.0, radius_error=0.0),))
    whole = report(held_tool=tool, people=people)
    assert why_unusable(whole) is None
    assert why_unusable(report()) is None
    assert why_unusable(report(gripper_width=-GREATEST, held_tool=replace(tool, mass_kg=GREATEST))) is None
    for wrong in (
        report(gripper_width=1.01 * GREATEST), report(gripper_width=-1.01 * GREATEST),
        report(held_tool=replace(tool, mass_kg=-1e-9)), report(held_tool=replace(tool, tip=np.zeros(2))),
        report(people=People(NOW_NS, (somebody(), somebody(radius=-1e-9)))),
        report(people=People(NOW_NS, (somebody(), somebody(radius_error=-1e-9)))),
        report(people=People(NOW_NS, (somebody(end_a=np.array([0.0, 0.0, 2 * GREATEST])),))),
        report(people=People(NOW_NS, (somebody(end_b=np.zeros(4)),))),
    ):  # fmt: skip
        assert "reckoned with" in why_unusable(wrong)


# What a chain of reports adds


def commands(*changes: dict) -> tuple[Verifier, list[list[tuple[str, str]]]]:
    """Armed, then commands to stay there, 100 ms apart; the findings of each."""
    verifier = Verifier(SPEC)
    tool = KINEMATICS.tool_position(PLACE)
    usual = {"target_tool_position": tool, "target_joint_positions": PLACE, "spec_sha256": SPEC.sha256}
    assert verifier.verify(report(decision="status", armed=False, sequence=0, **usual)) == []
    assert verifier.verify(report(decision="status", sequence=0, **usual)) == []
    found = []
    for number, change in enumerate(changes, start=1):
        now_ns = NOW_NS + number * 100 * MS
        given = usual | {"stamp_ns": now_ns, "observation_stamp_ns": now_ns, "sequence": number, "sent": trajectory()}
        findings = verifier.verify(report(**(given | change)))
        found.append([(each.row, each.reason) for each in findings if "gives no margin" not in each.reason])
    return verifier, found


def test_the_least_of_every_row_is_kept_with_its_command():
    verifier, found = commands({}, {"gripper_width": 0.079, "observation_stamp_ns": NOW_NS}, {"gripper_width": 0.002})
    assert found == [[], [], []]
    assert verifier.least["gripper"] == pytest.approx((0.001, 2))
    assert verifier.least["staleness"] == pytest.approx((0.05, 1))
    assert verifier.least["command_rate"] == pytest.approx((0.0, 2))
    verifier, found = commands({}, {"observation_stamp_ns": NOW_NS - 180 * MS})
    assert verifier.least["staleness"] == pytest.approx((SPEC.staleness.frame_s - 0.38, 2))
    verifier, found = commands({"gripper_width": 0.002}, {"gripper_width": 0.07})
    assert verifier.least["gripper"] == pytest.approx((0.002, 1))
    assert (verifier.reports, verifier.commands) == (4, 2)


@pytest.mark.parametrize(("change", "row"), [
    ({"observation_stamp_ns": NOW_NS - 300 * MS}, None), ({"observation_stamp_ns": NOW_NS - 301 * MS}, "staleness"),
    ({"observation_stamp_ns": NOW_NS + 150 * MS}, None), ({"observation_stamp_ns": NOW_NS + 151 * MS}, "staleness"),
    ({"gripper_width": SPEC.gripper.lower_m}, None), ({"gripper_width": SPEC.gripper.upper_m}, None),
    ({"gripper_width": SPEC.gripper.upper_m + 1e-6}, "gripper"), ({"gripper_width": -1e-6}, "gripper"),
    ({"model_error_bound_m": 1.0}, None), ({"model_error_bound_m": 0.0, "checkpoint_sha256": "c"}, None),
    ({"model_error_bound_m": SPEC.model_error.max_bound_m, "checkpoint_sha256": "c"}, None),
    ({"model_error_bound_m": 0.0501, "checkpoint_sha256": "c"}, "model_error"),
])  # fmt: skip
def test_a_command_holds_up_to_the_limit(change, row):
    _, (found,) = commands(change)
    assert [name for name, _ in found] == ([] if row is None else [row])


def test_commands_are_as_far_apart_as_the_guardrail_file_says():
    _, found = commands({}, {})
    assert found == [[], []]
    _, found = commands({}, {"stamp_ns": NOW_NS + 199 * MS})
    assert [name for name, _ in found[1]] == ["command_rate"]
    assert "0.099 s after" in found[1][0][1]


def test_the_arm_is_armed_again_when_the_last_motion_has_come_to_rest():
    for early_ns, named in ((0, False), (1, True)):
        verifier, found = commands({}, {"decision": "brake", "armed": False, "sent": trajectory(1, end_s=0.05)})
        assert found == [[], []]
        now_ns = NOW_NS + 250 * MS - early_ns
        again = report(decision="status", sequence=0, stamp_ns=now_ns, target_joint_positions=PLACE,
                       target_tool_position=KINEMATICS.tool_position(PLACE), spec_sha256=SPEC.sha256)  # fmt: skip
        reasons = [finding.reason for finding in verifier.verify(again)]
        assert reasons == (["The guardrail was armed before the last motion had come to rest."] if named else [])


def test_a_command_in_the_report_that_arms_is_named():
    verifier = Verifier(SPEC)
    findings = verifier.verify(report(sent=trajectory(), spec_sha256=SPEC.sha256))
    assert any("nothing says where the arm was" in finding.reason for finding in findings)


def test_a_stamp_that_goes_back_is_named_with_how_far():
    verifier, _ = commands({})
    (finding, *_) = verifier.verify(report(stamp_ns=NOW_NS - 900 * MS, spec_sha256=SPEC.sha256))
    assert "1.000 s before" in finding.reason
    assert (finding.report, finding.sequence, finding.row) == (4, 1, "certificate")


def test_the_place_of_rest_is_told_to_a_billionth_and_the_tool_to_a_micrometre():
    tool, aside = KINEMATICS.tool_position(PLACE), 1e-9 * np.eye(7)[0]
    for change, named in (
        ({"target_joint_positions": PLACE + 0.9 * aside}, False), ({"target_joint_positions": PLACE - 2 * aside}, True),
        ({"target_tool_position": tool + 0.5e-6}, False), ({"target_tool_position": tool - 2e-6}, True),
    ):  # fmt: skip
        _, (found,) = commands(change)
        assert [name for name, _ in found] == (["chain"] if named else [])


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
