"""Separation from people, speed caps and blades, against hand calculation and against somebody who runs at the arm."""

import math
import time
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety.separation import (
    check_held_tool,
    check_people,
    facing_margin,
    in_reach,
    required_separation,
    separation_margin,
    speed_cap,
    tool_class,
)
from ami_robot.safety.spec import load_spec
from ami_robot.types import HeldTool, People, Person

SPEC = load_spec()
ROW = SPEC.people
STILL = np.zeros(3)
NOW_NS = 10_000_000_000
BLUNT, EDGE, POINT = (next(t for t in SPEC.tool_hazard.classes if t.name == n) for n in ("blunt", "edge", "point"))

coordinates = st.floats(-3.0, 3.0)
points = st.tuples(coordinates, coordinates, coordinates).map(np.array)
persons = st.builds(
    Person, end_a=points, end_b=points, radius=st.floats(0.0, 0.4), velocity=points, radius_error=st.floats(0.0, 0.2)
)
ages_ns = st.integers(0, 10**9)


@st.composite
def motions(draw):
    """Centres (T, S, 3), radii (S,), times (T,): straight lines with jitter, some faster than people."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples, spheres = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    times_s = np.sort(rng.uniform(0.0, 0.8, samples))
    start, velocity = rng.uniform(-1.0, 1.0, (spheres, 3)), rng.normal(0.0, draw(st.floats(0.0, 3.0)), (spheres, 3))
    return start + velocity * times_s[:, None, None], rng.uniform(0.0, 0.15, spheres), times_s


def ball(position, radius=0.2, error=0.0):
    """A person without length."""
    return Person(np.asarray(position, float), np.asarray(position, float), radius, STILL, error)


def seen(*everybody, age_ns=0):
    return People(NOW_NS - age_ns, everybody)


def margin(motion, people, now_ns=NOW_NS):
    return separation_margin(SPEC, *motion, people, now_ns)


def test_an_analytic_case():
    """One sphere that stands still for 0.3 s, a column 1 m away, seen 0.1 s ago: 1.6 m/s times 0.4 s is lost."""
    motion = np.zeros((2, 1, 3)), np.array([0.1]), np.array([0.0, 0.3])
    column = Person(np.array([1.0, 0.0, -5.0]), np.array([1.0, 0.0, 5.0]), 0.2, STILL, 0.03)
    expected = 1.0 - 0.1 - 0.2 - 0.03 - 1.6 * (0.1 + 0.3) - ROW.measurement_error_m - ROW.intrusion_m
    assert margin(motion, seen(column, age_ns=100_000_000)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("point", "distance_m"), [((0, 0, 0.5), 1.0), ((0, 0, 2.0), math.sqrt(2.0)), ((1, 0, -3.0), 3.0), ((1, 0, 0.5), 0)]
)
def test_the_distance_is_that_to_the_segment(point, distance_m):
    person = Person(np.array([1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0]), 0.0, STILL, 0.0)
    motion = np.array([[point]], float), np.zeros(1), np.zeros(1)
    assert margin(motion, seen(person)) == pytest.approx(distance_m - ROW.measurement_error_m - ROW.intrusion_m)


def test_every_term_of_the_row_is_subtracted():
    motion = np.zeros((1, 1, 3)), np.zeros(1), np.array([1.0])
    for change, lost in (
        ({"intrusion_m": 0.2}, 0.2),
        ({"measurement_error_m": 0.3}, 0.25),
        ({"max_speed_m_per_s": 2.0}, 0.4),
    ):
        spec = replace(SPEC, people=replace(ROW, **change))
        other = separation_margin(spec, *motion, seen(ball([3, 0, 0])), NOW_NS)
        assert margin(motion, seen(ball([3, 0, 0]))) - other == pytest.approx(lost)


@given(motion=motions(), everybody=st.lists(persons, max_size=3), one_more=persons, age_ns=ages_ns)
@settings(max_examples=80, deadline=None)
def test_one_more_person_never_makes_anything_looser(motion, everybody, one_more, age_ns):
    fewer, more = seen(*everybody, age_ns=age_ns), seen(*everybody, one_more, age_ns=age_ns)
    assert margin(motion, more) <= margin(motion, fewer)
    assert in_reach(SPEC, *motion[:2], more, NOW_NS) >= in_reach(SPEC, *motion[:2], fewer, NOW_NS)
    tip, direction = motion[0][:, 0], np.ones_like(motion[0][:, 0])
    assert not facing_margin(SPEC, tip, direction, more, EDGE) > facing_margin(SPEC, tip, direction, fewer, EDGE)


@given(motion=motions(), everybody=st.lists(persons, min_size=1, max_size=3), age_ns=ages_ns, later_ns=ages_ns)
@settings(max_examples=80, deadline=None)
def test_later_is_never_looser(motion, everybody, age_ns, later_ns):
    people = seen(*everybody, age_ns=age_ns)
    centers, radii, times_s = motion
    assert margin(motion, people, NOW_NS + later_ns) <= margin(motion, people)
    assert margin((centers, radii, times_s + later_ns * 1e-9), people) <= margin(motion, people) + 1e-12
    reach = in_reach(SPEC, centers, radii, people, NOW_NS)
    assert in_reach(SPEC, centers, radii, people, NOW_NS + later_ns) >= reach


@given(motion=motions(), everybody=st.lists(persons, min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_order_of_people_and_ends_of_capsules_does_not_matter(motion, everybody):
    expected = margin(motion, seen(*everybody))
    for order in permutations(everybody):
        turned = [replace(person, end_a=person.end_b, end_b=person.end_a) for person in order]
        assert margin(motion, seen(*order)) == expected
        assert margin(motion, seen(*turned)) == pytest.approx(expected, abs=1e-9)


@given(motion=motions(), bearing=points, distance_m=st.floats(0.3, 3.0), age_s=st.floats(0.0, 0.3))
@settings(max_examples=150, deadline=None)
def test_nobody_who_runs_at_the_nearest_sphere_touches_it_while_the_margin_holds(motion, bearing, distance_m, age_s):
    """Pursuit at max_speed since the capture, the arm between its samples on straight lines; 1 ms steps."""
    centers, radii, times_s = motion
    times_s, centers = np.append(0.0, times_s + 0.01), np.concatenate([centers[:1], centers])
    way = bearing / max(np.linalg.norm(bearing), 1e-9)
    person = centers[0, 0] + distance_m * way
    people = seen(ball(person), age_ns=round(age_s * 1e9))
    holds = [margin((centers[: k + 1], radii, times_s[: k + 1]), people) >= 0.0 for k in range(len(times_s))]
    assert holds == sorted(holds, reverse=True), "a longer motion never has the greater margin"
    safe_s = times_s[holds.index(False) - 1] if False in holds else times_s[-1]
    if not holds[0]:
        return
    step_s = 1e-3
    for now_s in np.arange(-age_s, safe_s, step_s):
        arm = [np.interp(max(now_s, 0.0), times_s, centers[:, s, i]) for s in range(len(radii)) for i in range(3)]
        to_spheres = np.reshape(arm, (-1, 3)) - person
        gaps = np.linalg.norm(to_spheres, axis=1) - radii - 0.2
        if now_s >= 0.0:
            assert gaps.min() > 0.0
        nearest = to_spheres[int(np.argmin(gaps))]
        person = person + ROW.max_speed_m_per_s * step_s * nearest / np.linalg.norm(nearest)


def test_a_runner_arrives_no_earlier_and_hardly_later_than_the_margin_says():
    """Without error terms the prediction is exact: the margin of a still sphere crosses zero when contact comes."""
    spec = replace(SPEC, people=replace(ROW, measurement_error_m=0.0, intrusion_m=0.0))
    contact_s = (1.5 - 0.1 - 0.2) / ROW.max_speed_m_per_s
    for offset_s, safe in ((-1e-6, True), (1e-6, False)):
        motion = np.zeros((1, 1, 3)), np.array([0.1]), np.array([contact_s + offset_s])
        assert (separation_margin(spec, *motion, seen(ball([1.5, 0, 0])), NOW_NS) >= 0.0) is safe


def test_an_arm_faster_than_people_cannot_slip_past_somebody_between_two_samples():
    centers = np.array([[[-0.5, 0.0, 0.0]], [[0.5, 0.0, 0.0]]])
    assert not margin((centers, np.zeros(1), np.array([0.0, 0.1])), seen(ball([0.0, 0.1, 0.0], radius=0.2))) >= 0.0


def test_nobody_is_infinitely_far_away():
    motion = np.zeros((2, 1, 3)), np.zeros(1), np.array([0.0, 1.0])
    assert margin(motion, seen()) == math.inf
    assert in_reach(SPEC, *motion[:2], seen(), NOW_NS) is False
    assert facing_margin(SPEC, np.zeros(3), np.ones(3), seen(), EDGE) == math.inf


def test_in_reach_begins_at_the_distance_covered_within_the_horizon():
    reach_m = (
        ROW.max_speed_m_per_s * (ROW.reach_horizon_s + 0.1) + ROW.measurement_error_m + ROW.intrusion_m + 0.2 + 0.05
    )
    centers, radii = np.zeros((2, 1, 3)), np.array([0.05])
    for offset_m, expected in ((-1e-6, True), (1e-6, False)):
        people = seen(ball([reach_m + offset_m, 0, 0]), age_ns=100_000_000)
        assert in_reach(SPEC, centers, radii, people, NOW_NS) is expected


BAD = (math.nan, math.inf, -math.inf, 1e308, "near", None)


@pytest.mark.parametrize("field", ["end_a", "end_b", "velocity", "radius", "radius_error"])
@pytest.mark.parametrize("bad", [*BAD, -0.01, [0.0, 0.0], [[0.0, 0.0, 0.0]], True])
def test_a_malformed_person_is_refused_and_never_has_a_margin(field, bad):
    if field in ("end_a", "end_b", "velocity") and bad in BAD:
        bad = [bad, 0.0, 0.0]
    person = replace(ball([0.0, 0.0, 9.0]), **{field: bad})
    people = seen(ball([9, 0, 0]), person)
    refusal = check_people(SPEC, people, NOW_NS)
    assert refusal is not None
    assert refusal.guardrail == "people"
    assert refusal.reason.startswith("Person 1 ")
    motion = np.zeros((1, 1, 3)), np.zeros(1), np.zeros(1)
    assert not margin(motion, people) >= 0.0
    assert in_reach(SPEC, *motion[:2], people, NOW_NS)
    assert not facing_margin(SPEC, np.zeros(3), np.ones(3), people, EDGE) >= 0.0
    assert not facing_margin(SPEC, np.zeros((4, 3)), np.ones((4, 3)), people, EDGE) >= 0.0


def test_a_capsule_too_long_to_compute_with_is_refused():
    """At 1e160 m its square overflows, and somebody beside the arm would be taken for somebody far away."""
    people = seen(Person(np.array([0.3, 0, -10.0]), np.array([0.3, 0, 1e160]), 0.2, STILL, 0.0))
    assert not margin((np.zeros((1, 1, 3)), np.zeros(1), np.zeros(1)), people) >= 0.0
    assert check_people(SPEC, people, NOW_NS) is not None


@pytest.mark.parametrize("which", range(3))
def test_nan_in_the_motion_is_never_a_margin(which):
    motion = np.zeros((3, 2, 3)), np.zeros(2), np.array([0.0, 0.1, 0.2])
    motion[which].flat[-1] = math.nan
    assert not margin(motion, seen(ball([9, 0, 0]))) >= 0.0


@pytest.mark.parametrize("now_ns", [math.nan, None, -1, True, 2**63])
def test_a_clock_that_is_none_is_never_a_margin(now_ns):
    motion = np.zeros((1, 1, 3)), np.zeros(1), np.zeros(1)
    assert not margin(motion, seen(ball([9, 0, 0])), now_ns) >= 0.0
    assert in_reach(SPEC, *motion[:2], seen(ball([9, 0, 0])), now_ns)


def test_a_stamp_ahead_of_the_clock_does_not_shorten_the_reach():
    motion = np.zeros((1, 1, 3)), np.zeros(1), np.zeros(1)
    ahead = seen(ball([2, 0, 0]), age_ns=-int(SPEC.staleness.future_s * 1e9))
    assert margin(motion, ahead) == margin(motion, seen(ball([2, 0, 0])))


def test_people_have_to_be_heard_and_fresh():
    limit_ns, future_ns = round(SPEC.staleness.people_s * 1e9), round(SPEC.staleness.future_s * 1e9)
    assert check_people(SPEC, seen(age_ns=limit_ns), NOW_NS) is None
    assert check_people(SPEC, seen(age_ns=-future_ns), NOW_NS) is None
    for people in (seen(age_ns=limit_ns + 1_000_000), seen(age_ns=-future_ns - 1_000_000)):
        refusal = check_people(SPEC, people, NOW_NS)
        assert refusal is not None
        assert refusal.guardrail == "staleness"
        assert refusal.margin == pytest.approx(-0.001)
    for nothing in (None, "nobody", People(NOW_NS, None)):
        assert check_people(SPEC, nothing, NOW_NS).guardrail == "people"
    assert check_people(SPEC, seen(ball([1, 0, 0])), NOW_NS) is None


def knife(hazard="edge", age_ns=0, tip=(0.0, 0.0, 0.2), mass_kg=0.1):
    return HeldTool(NOW_NS - age_ns, hazard, np.array(tip), mass_kg)


def test_tool_classes():
    assert tool_class(SPEC, knife("none"), NOW_NS) is None
    assert tool_class(SPEC, knife("blunt"), NOW_NS) is BLUNT
    assert tool_class(SPEC, knife("edge"), NOW_NS) is EDGE
    assert tool_class(SPEC, knife("point"), NOW_NS) is POINT


@pytest.mark.parametrize(
    "tool",
    [
        None,
        knife("spoon"),
        knife("None"),
        knife(None),
        knife(["none"]),
        knife("none", age_ns=round(SPEC.staleness.held_tool_s * 1e9) + 1_000_000),
        knife("none", age_ns=-round(SPEC.staleness.future_s * 1e9) - 1_000_000),
        knife("none", tip=(0.0, 0.0, math.nan)),
        knife("none", tip=(0.0, 0.0)),
        knife("none", mass_kg=-0.1),
        knife("none", mass_kg=math.nan),
    ],
)
def test_an_unknown_tool_is_a_point(tool):
    assert tool_class(SPEC, tool, NOW_NS) is POINT


def test_a_held_tool_has_to_be_heard_fresh_and_well_formed():
    assert check_held_tool(SPEC, knife("spoon"), NOW_NS) is None  # well-formed; its class is a point
    stale = check_held_tool(SPEC, knife(age_ns=2_000_000_000), NOW_NS)
    assert (stale.guardrail, stale.margin) == ("staleness", SPEC.staleness.held_tool_s - 2.0)
    for tool in (None, knife(hazard=3), knife(tip=(0, 0, math.inf)), knife(mass_kg=-1.0)):
        assert check_held_tool(SPEC, tool, NOW_NS).guardrail == "tool_hazard"


def test_speed_caps_are_those_of_the_standard_and_the_surrogate_tissue():
    """Chest, 280 N and 25 N/mm, 40 kg against 6 kg: mu = 240/46 kg, v = 280 / sqrt(mu 25000)."""
    arm, tip = speed_cap(SPEC, EDGE, 0.0)
    assert arm == pytest.approx(280.0 / math.sqrt(240.0 / 46.0 * 25000.0))
    assert tip == pytest.approx(math.sqrt(2 * 0.02 / 5.0))
    assert tip <= 0.09, "a blade near people"
    assert speed_cap(SPEC, BLUNT, 0.0)[1] == pytest.approx(math.sqrt(2 * 0.49 / 5.0))
    assert speed_cap(SPEC, None, 0.0) == (arm, arm)


def test_the_tip_is_a_part_of_the_arm():
    harmless = replace(BLUNT, max_energy_j=100.0)
    arm, tip = speed_cap(SPEC, harmless, 0.0)
    assert tip == arm


@given(load_kg=st.floats(0.0, 10.0), more_kg=st.floats(0.0, 10.0))
def test_a_heavier_load_is_never_faster(load_kg, more_kg):
    assert speed_cap(SPEC, None, load_kg + more_kg)[0] <= speed_cap(SPEC, None, load_kg)[0]


@pytest.mark.parametrize("load_kg", [math.nan, math.inf, -1.0, None, True])
def test_no_speed_is_below_the_cap_of_a_load_that_is_no_mass(load_kg):
    assert not any(cap >= 0.0 for cap in speed_cap(SPEC, None, load_kg))


def test_the_separation_distance_of_the_standard():
    """safety.md's example: v_r = 0.25, T_S = 0.1, T_R = 0.1, Z = 0.1 gives 0.46 m."""
    spec = replace(SPEC, people=replace(ROW, reaction_s=0.1, measurement_error_m=0.1, intrusion_m=0.0))
    assert required_separation(spec, 0.25, 0.1) == pytest.approx(0.4575)


def test_facing_is_measured_to_the_nearest_point_of_anybody():
    column = Person(np.array([1.0, 0.0, -5.0]), np.array([1.0, 0.0, 5.0]), 0.2, STILL, 0.0)
    limit = SPEC.tool_hazard.max_facing_cosine
    tip = np.array([0.0, 0.0, 0.3])
    for degrees in (0, 45, 60, 90, 180):
        direction = 0.2 * np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0])
        expected = limit - math.cos(math.radians(degrees))
        assert facing_margin(SPEC, tip, direction, seen(column), EDGE) == pytest.approx(expected)
        assert facing_margin(SPEC, tip, direction, seen(column, ball([0, 1, 0.3])), POINT) <= expected + 1e-12
        for harmless in (None, BLUNT):
            assert facing_margin(SPEC, tip, direction, seen(column), harmless) == math.inf


@pytest.mark.parametrize("ends_z", [(1.0, 2.0), (2.0, 1.0), (-1.0, -2.0), (-2.0, -1.0)])
def test_facing_ends_where_the_capsule_ends(ends_z):
    """The nearest point is 1 m away and 1 m up or down, so a level tool is turned 45 degrees from it."""
    person = Person(*(np.array([1.0, 0.0, z]) for z in ends_z), 0.2, STILL, 0.0)
    expected = SPEC.tool_hazard.max_facing_cosine - math.sqrt(0.5)
    assert facing_margin(SPEC, np.zeros(3), np.array([1.0, 0, 0]), seen(person), EDGE) == pytest.approx(expected)


def test_facing_is_the_least_along_a_motion():
    tips = np.zeros((3, 3))
    directions = np.array([[-1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    expected = SPEC.tool_hazard.max_facing_cosine - 1.0
    assert facing_margin(SPEC, tips, directions, seen(ball([1, 0, 0])), EDGE) == pytest.approx(expected)


@pytest.mark.parametrize("direction", [(0.0, 0.0, 0.0), (math.nan, 0.0, 1.0)])
def test_a_direction_that_is_none_may_not_move(direction):
    assert not facing_margin(SPEC, np.zeros(3), np.array(direction), seen(ball([1, 0, 0])), EDGE) >= 0.0


def test_a_tip_in_the_middle_of_somebody_may_not_move():
    assert not facing_margin(SPEC, np.zeros(3), np.array([1.0, 0, 0]), seen(ball([0, 0, 0])), EDGE) >= 0.0


@pytest.mark.alone
def test_one_check_of_a_motion_is_quick():
    """0.2 ms is the budget; CPU time, least of five medians, so that a busy machine does not matter."""
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(12, 45, 3)), np.full(45, 0.06), np.linspace(0.0, 0.5, 12)
    people = seen(*(Person(rng.normal(size=3), rng.normal(size=3), 0.2, STILL, 0.02) for _ in range(3)))
    medians = []
    for _ in range(5):
        durations = []
        for _ in range(100):
            begin = time.thread_time_ns()
            margin(motion, people)
            durations.append(time.thread_time_ns() - begin)
        medians.append(np.median(durations))
    assert min(medians) * 1e-6 <= 0.4, "twice the budget, for slower machines"
