"""What people and the held tool allow, in numbers: against hand calculation on the way that the arm takes."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, DYNAMICS, KINEMATICS, MS, START, T0, at_rest
from people_cell import ACROSS, DOWN, FAR, IN_REACH, TO_THE_SIDES, TOO_NEAR, TOPIC, person

from ami_robot.safety.distances import capsule_distance
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.people_watch import PeopleWatch, _Sweep
from ami_robot.safety.separation import speed_cap, tool_class
from ami_robot.safety.way_out import next_stop
from ami_robot.types import HeldTool, People

STEP_S = 0.02
JITTER_S, REACTION_S = TOPIC.transport.jitter_s, TOPIC.people.reaction_s
TURNING = KINEMATICS.sphere_links >= 1
RADII = np.append(KINEMATICS.sphere_radii[TURNING], 0.0)


def motion_by(*way_m: float) -> Spline:
    end = KINEMATICS.inverse(CENTRE + np.array(way_m))[0]
    trajectory = move_to_rest(at_rest(START), end, TOPIC)
    assert trajectory.times_s[-1] == 0.4
    return Spline(at_rest(START), trajectory)


FORTH, BACK, UP = motion_by(0.03, 0.0, 0.0), motion_by(-0.03, 0.0, 0.0), motion_by(0.0, 0.0, 0.03)


def watch(*persons, hazard: str | None = "none", tip=DOWN, mass_kg=0.0, spec=TOPIC) -> PeopleWatch:
    watch = PeopleWatch(spec, KINEMATICS, DYNAMICS)
    watch.hear_people(People(T0, persons))
    if hazard is not None:
        watch.hear_held_tool(HeldTool(T0, hazard, tip, mass_kg))
    return watch


@pytest.mark.parametrize(
    ("begin_s", "end_s", "times_s"),
    [(0.0, 0.2, [0.0, 0.1, 0.2]), (0.12, 0.2, [-0.02, 0.08]), (0.12, 0.21, [-0.02, 0.08, 0.18]),
     (0.3, 0.4, [-0.1, 0.0]), (0.5, 0.6, [-0.3, -0.2]), (-0.1, 0.05, [0.1, 0.2])],
)  # fmt: skip
def test_a_part_of_a_way_encloses_what_was_asked_for_and_has_two_ends(begin_s, end_s, times_s):
    way = _Sweep(np.array([0.0, 0.1, 0.2, 0.3]), np.zeros((4, 2, 3)), np.zeros((4, 3)))
    np.testing.assert_allclose(way.between(begin_s, end_s).times_s, times_s, atol=1e-12)


def points(q, tip=DOWN) -> np.ndarray:
    """(T, S + 1, 3): every sphere but the base, and the tip."""
    poses = KINEMATICS.tool_pose(q)
    tips = poses[:, :3, 3] + poses[:, :3, :3] @ tip
    return np.concatenate([KINEMATICS.spheres(q)[:, TURNING], tips[:, None]], axis=1)


def separation_m(times_s, q, *persons, tip=DOWN) -> float:
    """The least distance over a way, less what people can run by then."""
    free_m = (capsule_distance(points(q, tip), People(T0, persons)).min(axis=-1) - RADII).min(axis=-1)
    return float((free_m - TOPIC.people.max_speed_m_per_s * times_s).min()) - TOPIC.people.measurement_error_m


def to_its_end_m(motion: Spline, elapsed_s: float, *persons, tip=DOWN) -> float:
    """What remains of the motion, begun late."""
    times_s = np.linspace(0.0, motion.duration_s - elapsed_s, 400)
    return separation_m(times_s + JITTER_S, motion.positions(elapsed_s + times_s), *persons, tip=tip)


def to_a_stop_m(motion: Spline, elapsed_s: float, *persons, tip=DOWN) -> float:
    """On for the reaction time and then the next brake, from its latest and from its earliest start."""
    trajectory = next_stop(TOPIC, motion, elapsed_s).trajectory
    on_s, braking_s = np.linspace(0.0, REACTION_S, 100), np.linspace(0.0, trajectory.times_s[-1], 200)
    least = separation_m(on_s, motion.positions(elapsed_s + on_s), *persons, tip=tip)
    for begin_s in (elapsed_s - JITTER_S, elapsed_s + REACTION_S):
        stop = Spline(motion.sample(begin_s), trajectory)
        least = min(least, separation_m(REACTION_S + braking_s, stop.positions(braking_s), *persons, tip=tip))
    return least


def relied_on_m(motion: Spline, *persons, tip=DOWN) -> float:
    """A new motion runs on to its end, or stops where it cannot."""
    running_on_m = to_its_end_m(motion, 0.0, *persons, tip=tip)
    return running_on_m if running_on_m >= 0.0 else to_a_stop_m(motion, 0.0, *persons, tip=tip)


def nearest_room(motion: Spline, room_m: float):
    """Somebody on the x axis who comes this close to being there before the motion's end."""
    x_m = 2.0
    for _ in range(5):
        x_m += room_m - to_its_end_m(motion, 0.0, person(x_m))
    return person(x_m)


# What is known


def test_the_held_tool_is_known_while_it_is_fresh_and_has_a_tip_unless_nothing_is_held():
    held = watch(hazard="edge", mass_kg=0.7)
    stale_ns = T0 + round(TOPIC.staleness.held_tool_s * 1e9) + MS
    assert (held.load_kg(T0), held.load_kg(stale_ns)) == (0.7, 0.0)
    np.testing.assert_array_equal(held.tip(T0), DOWN)
    assert held.tip(stale_ns) is None
    assert watch(hazard="none").tip(T0) is None
    assert (watch(hazard=None).tip(T0), watch(hazard=None).load_kg(T0)) == (None, 0.0)


# Separation


@pytest.mark.parametrize("motion", [FORTH, BACK, UP], ids=["forth", "back", "up"])
@pytest.mark.parametrize("tip", [DOWN, np.array([0.3, 0.0, 0.0]), np.array([-0.3, 0.0, 0.0])])
@pytest.mark.parametrize("room_m", [0.1, -0.05])
def test_a_new_motion_has_the_separation_of_what_it_relies_on(motion, tip, room_m):
    somebody = nearest_room(motion, room_m)
    verdict = watch(somebody, hazard="blunt", tip=tip).check(motion, T0)
    assert verdict.margins["people"] == pytest.approx(relied_on_m(motion, somebody, tip=tip), abs=2e-3)


@pytest.mark.parametrize("motion", [FORTH, BACK], ids=["forth", "back"])
@pytest.mark.parametrize("elapsed_s", [0.1, 0.15, 0.2])
def test_in_full_motion_the_worse_of_the_earliest_and_the_latest_stop_counts(motion, elapsed_s):
    refusal = watch(person(TOO_NEAR)).why_stop(motion, elapsed_s, T0, None)
    assert refusal.guardrail == "people"
    assert refusal.margin == pytest.approx(to_a_stop_m(motion, elapsed_s, person(TOO_NEAR)), abs=1e-3)


@pytest.mark.parametrize("elapsed_s", [0.3, 0.35, 0.39])
def test_a_motion_that_rests_sooner_than_any_stop_is_looked_at_to_its_end_as_if_begun_late(elapsed_s):
    assert next_stop(TOPIC, FORTH, elapsed_s) is None
    refusal = watch(person(TOO_NEAR)).why_stop(FORTH, elapsed_s, T0, None)
    assert refusal.margin == pytest.approx(to_its_end_m(FORTH, elapsed_s, person(TOO_NEAR)), abs=1e-4)


def test_link_1_turns_and_counts_while_the_base_does_not():
    """Beside the column, as near to link 1 as no other part of the arm is."""
    beside = replace(person(-0.3), end_a=np.array([-0.3, 0.0, 0.15]), end_b=np.array([-0.3, 0.0, 0.16]))
    refusal = watch(beside).why_stop(UP, 0.3, T0, None)
    assert refusal.margin == pytest.approx(to_its_end_m(UP, 0.3, beside), abs=1e-4)
    links = KINEMATICS.sphere_links[TURNING]
    nearest = (capsule_distance(points(START[None])[0], People(T0, (beside,)))[:, 0] - RADII)[:-1].argmin()
    assert links[nearest] == 1


def test_a_motion_that_may_run_to_its_end_needs_no_stop_and_any_other_needs_one():
    assert watch(person(FAR)).check(UP, T0).stop is None
    assert watch(nearest_room(UP, 0.01)).check(UP, T0).stop is None
    near = watch(nearest_room(UP, -0.05)).check(UP, T0)
    assert near.refusal is None
    assert near.stop.times_s[-1] < UP.duration_s
    assert near.margins["people"] > 0.0


def test_whoever_could_be_there_before_a_stop_makes_a_motion_refused_with_its_margin():
    verdict = watch(person(TOO_NEAR)).check(FORTH, T0)
    assert verdict.refusal.guardrail == "people"
    assert verdict.refusal.margin == verdict.margins["people"] < 0.0
    assert (verdict.slower_by, verdict.stop) == (1.0, None)


def test_what_was_looked_at_last_is_not_taken_for_another_motion_or_another_tool():
    watching, near = watch(person(TOO_NEAR)), person(TOO_NEAR)
    watching.check(FORTH, T0)
    watching.check(BACK, T0)
    expected = watch(near).why_stop(FORTH, 0.35, T0, None).margin
    assert watching.why_stop(FORTH, 0.35, T0, None).margin == expected
    assert watching.why_stop(FORTH, 0.35, T0, None).margin == expected
    longer = np.array([0.3, 0.0, 0.0])
    watching.hear_held_tool(HeldTool(T0, "blunt", longer))
    expected = watch(near, hazard="blunt", tip=longer).why_stop(FORTH, 0.35, T0, None).margin
    assert watching.why_stop(FORTH, 0.35, T0, None).margin == expected
    assert expected == pytest.approx(to_its_end_m(FORTH, 0.35, near, tip=longer), abs=1e-4)


# Speed


def step_speeds(motion: Spline, begin: int, end: int, tip=DOWN) -> np.ndarray:
    """(S + 1,) the greatest mean speed over a step, from sample to sample."""
    q = motion.positions(STEP_S * np.arange(begin, end + 1))
    return np.linalg.norm(np.diff(points(q, tip), axis=0), axis=-1).max(axis=0) / STEP_S


def capped(arm_m_per_s: float):
    """A cell in which the arm may have this speed near people."""
    row = TOPIC.power_and_force
    share = arm_m_per_s / speed_cap(TOPIC, None, 0.0)[0]
    regions = tuple(replace(region, max_force_n=share * region.max_force_n) for region in row.regions)
    return replace(TOPIC, power_and_force=replace(row, regions=regions))


@pytest.mark.parametrize(("elapsed_s", "begin", "end"), [(0.09, 4, 7), (0.15, 7, 10), (0.29, 14, 17), (0.385, 19, 20)])
def test_in_motion_the_speed_until_a_stop_could_act_counts_and_nothing_else(elapsed_s, begin, end):
    """From the sample before now to the one after the reaction time; what lies between was part of accepting it."""
    fastest = step_speeds(UP, begin, end).max()
    assert watch(person(IN_REACH), spec=capped(1.001 * fastest)).why_stop(UP, elapsed_s, T0, None) is None
    refusal = watch(person(IN_REACH), spec=capped(0.999 * fastest)).why_stop(UP, elapsed_s, T0, None)
    assert refusal.guardrail == "power_and_force"
    assert refusal.margin == pytest.approx(-0.001 * fastest, abs=1e-6)


def test_a_new_motion_is_as_fast_as_it_may_be_between_its_samples():
    margins = watch(person(IN_REACH), hazard="blunt", mass_kg=0.5).check(UP, T0).margins
    arm_cap, tip_cap = speed_cap(TOPIC, tool_class(TOPIC, HeldTool(T0, "blunt", DOWN), T0), 0.5)
    finely = points(UP.positions(np.linspace(0.0, 0.4, 4001)))
    speeds = np.linalg.norm(np.diff(finely, axis=0), axis=-1).max(axis=0) / 1e-4
    for row, margin in (("power_and_force", arm_cap - speeds.max()), ("tool_hazard", tip_cap - speeds[-1])):
        assert margin - 0.02 < margins[row] < margin


def test_a_tool_that_is_not_known_weighs_nothing_and_is_a_point():
    margins = watch(person(IN_REACH), hazard=None).check(UP, T0).margins
    arm_cap, tip_cap = speed_cap(TOPIC, tool_class(TOPIC, None, T0), 0.0)
    speeds = step_speeds(UP, 0, 20, tip=np.zeros(3))
    assert arm_cap - speeds.max() - 0.02 < margins["power_and_force"] < arm_cap - speeds.max()
    assert tip_cap - speeds[-1] - 0.02 < margins["tool_hazard"] < tip_cap - speeds[-1]


def test_a_blade_that_is_too_fast_is_told_by_how_much_slower_it_has_to_be():
    verdict = watch(person(IN_REACH), hazard="edge").check(UP, T0)
    cap = np.sqrt(2 * 0.02 / 5.0)
    assert verdict.refusal.guardrail == "tool_hazard"
    assert f"the tip may move at {cap:.3f} m/s" in verdict.refusal.reason
    assert verdict.slower_by == pytest.approx((cap - verdict.margins["tool_hazard"]) / cap)
    slow = watch(person(IN_REACH), spec=capped(0.05)).check(UP, T0)
    assert slow.refusal.guardrail == "power_and_force"
    assert "the arm may move at 0.050 m/s" in slow.refusal.reason
    assert slow.slower_by == pytest.approx((0.05 - slow.margins["power_and_force"]) / 0.05)
    assert (verdict.stop, slow.stop) == (None, None)


# Direction


def test_a_blade_points_from_its_tip():
    """At a short stretch of somebody, so that it matters whence."""
    found = []
    for somebody in TO_THE_SIDES:
        low, high = somebody.end_a + np.array([[0.1, 0.0, 0.5], [0.1, 0.0, 0.6]])
        elbow = replace(somebody, end_a=low, end_b=high)
        verdict = watch(elbow, hazard="edge", tip=ACROSS).check(UP, T0)
        q = UP.positions(np.linspace(0.0, 0.4, 21))
        tips, along = points(q, ACROSS)[:, -1], KINEMATICS.tool_pose(q)[:, :3, :3] @ ACROSS
        ways = elbow.end_a - tips
        cosines = (ways * along).sum(axis=-1) / np.linalg.norm(ways, axis=-1) / np.linalg.norm(along, axis=-1)
        points_at = cosines.max() > TOPIC.tool_hazard.max_facing_cosine
        found.append(points_at)
        if points_at:
            assert verdict.refusal.guardrail == "tool_hazard"
            assert verdict.margins["tool_hazard"] == pytest.approx(0.5 - cosines.max(), abs=1e-6)
            assert verdict.slower_by == 1.0
    assert sorted(found) == [False, True]


@pytest.mark.parametrize(("x_m", "y_m"), [(1.2, 0.0), (-1.0, 0.0), (CENTRE[0], 0.9), (CENTRE[0], -0.9)])
def test_a_tool_that_is_not_known_ends_at_the_fingertips_and_nowhere_else(x_m, y_m):
    row = TOPIC.tool_hazard
    harmless = tuple(replace(tool, max_energy_j=1e3, may_face_people=True) for tool in row.classes)
    spec = replace(TOPIC, tool_hazard=replace(row, classes=harmless))
    margins = watch(person(x_m, y_m), hazard=None, spec=spec).check(UP, T0).margins
    assert margins["people"] == pytest.approx(relied_on_m(UP, person(x_m, y_m), tip=np.zeros(3)), abs=2e-3)


@pytest.mark.parametrize(("x_m", "y_m"), [(1.2, 0.0), (CENTRE[0], 0.7), (CENTRE[0], -0.7)])
def test_a_tool_that_is_not_known_points_down_the_hand_and_at_nobody_beside_it(x_m, y_m):
    verdict = watch(person(x_m, y_m), hazard=None).check(UP, T0)
    assert "points at" not in (verdict.refusal.reason if verdict.refusal else "")
