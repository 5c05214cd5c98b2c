"""What the certificate reckons about people: against hand calculation and the guardrail's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from certificate_cases import (
    KINEMATICS,
    MS,
    NOW_NS,
    RADII,
    SPEC,
    TIP,
    WITH_PEOPLE,
    dense,
    move,
    random_joints,
    report,
    somebody,
    with_row,
)

from ami_robot.safety import separation
from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.certificate_motion import Motion
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
    CAUTION,
    SAMPLE_S,
    joint_margins,
    sample_times,
)
from ami_robot.safety.distances import capsule_distance
from ami_robot.types import HeldTool, JointState, People


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
    np.testing.assert_allclose(np.diff(q, axis=0)[-1], 0.0, atol=1e-4)
    brake_s = times_s[-1] - 0.15
    start = motion.state((0.15 - spec.transport.jitter_s) / 2.0)
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
    begun_late_s = sample_times(motion.duration_s)
    np.testing.assert_array_equal(times_s, begun_late_s + SPEC.transport.jitter_s)
    np.testing.assert_allclose(q, motion.sample(begun_late_s)[0])


@pytest.mark.parametrize("age_ms", [0, 100, -20])
def test_the_margin_to_people_of_an_arm_at_rest_is_a_hand_calculation(arm, age_ms):
    people, row = People(NOW_NS - age_ms * MS, (somebody(),)), SPEC.people
    spec = with_row("people", WITH_PEOPLE, measurement_error_m=0.07, intrusion_m=0.03)
    held = HeldTool(NOW_NS, "blunt", TIP)
    tip = KINEMATICS.tool_position(HOME) + KINEMATICS.tool_pose(HOME)[:3, :3] @ TIP
    points = np.concatenate([KINEMATICS.spheres(HOME), tip[None]])
    nearest = (capsule_distance(points, people) - np.append(RADII, 0.0)[:, None]).min()
    expected = nearest - 0.1 - row.max_speed_m_per_s * (max(0, age_ms) / 1000.0 + SPEC.transport.jitter_s)
    margins = people_margins(spec, arm, Motion.at_rest(HOME), report(people=people, held_tool=held))
    assert margins["people"].least == pytest.approx(expected, abs=1e-6)
    assert margins["people"].holds
    assert margins["people"].least < margins["people"].greatest_claim < expected + 0.01
    assert margins["people"].least_claim == pytest.approx(expected - CAUTION["people"], abs=1e-6)


def test_the_margin_to_people_of_a_motion_is_that_of_the_guardrail_on_the_same_path(arm):
    motion, people = move([0.5, -0.1, 0.2], [0.539, -0.1, 0.2]), People(NOW_NS - 50 * MS, (somebody(1.55),))
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


@pytest.mark.parametrize("hazard", ["blunt", "edge", "point"])
def test_each_class_of_tool_has_its_own_cap(hazard):
    """In the shipped file an edge may have as much energy as a point."""
    classes = SPEC.tool_hazard.classes
    only = tuple(replace(each, max_energy_j=0.07 if each.name == hazard else 0.01) for each in classes)
    spec = with_row("tool_hazard", classes=only)
    expected = np.sqrt(2.0 * 0.07 / spec.tool_hazard.effective_mass_kg)
    assert _caps(spec, report(held_tool=HeldTool(NOW_NS, hazard, TIP)))[1] == pytest.approx(expected)


def test_without_a_tool_the_caps_are_those_of_a_point_and_no_load():
    point = separation.tool_class(SPEC, None, NOW_NS)
    assert _caps(SPEC, report()) == pytest.approx(separation.speed_cap(SPEC, point, 0.0))


@pytest.mark.parametrize("tip", [TIP, np.zeros(3)])
def test_a_blade_points_where_the_guardrail_has_it_point(tip):
    generator = np.random.default_rng(9)
    everybody = People(NOW_NS, (somebody(1.0), somebody(-1.0, end_b=np.array([-1.0, 0.3, 0.0]))))
    forearm = People(NOW_NS, (somebody(0.4, end_b=np.array([0.4, 0.3, 0.3])),))
    held = HeldTool(NOW_NS, "edge", tip)
    for q in random_joints(10, seed=8):
        axes = KINEMATICS.tool_pose(q)[None, :3, :3]
        tips = generator.normal(size=(1, 3))
        along = axes @ (tip if tip.any() else np.array([0.0, 0.0, 1.0]))
        edge = separation.tool_class(SPEC, held, NOW_NS)
        for people in (everybody, forearm):
            expected = separation.facing_margin(SPEC, tips, along, people, edge)
            assert _facing(SPEC, report(held_tool=held), tips, axes, people) == pytest.approx(expected)
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
