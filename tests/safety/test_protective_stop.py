"""People and the held tool: what each of them does to the guardrail."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import (
    CENTRE,
    KINEMATICS,
    MS,
    SPEC,
    START,
    T0,
    UP,
    assert_refused,
    at_rest,
)
from people_cell import ACROSS, DOWN, FAR, IN_REACH, TO_THE_SIDES, TOO_NEAR, TOPIC, Cell, assert_stopped, person

from ami_robot.safety.motion import Spline
from ami_robot.types import People

NO_PLACE_TO_STOP = replace(TOPIC, table=replace(SPEC.table, height_m=0.195))  # half way through the usual motion


# --- people ----------------------------------------------------------------------------------------------------------


def test_with_nobody_near_the_arm_moves_as_ever_and_the_report_says_who_was_known():
    cell = Cell()
    report = cell.propose()
    assert (report.decision, report.people, report.held_tool.hazard) == ("accepted", People(T0, ()), "none")
    assert "people" not in report.margins


def test_a_far_person_is_in_the_margins():
    near, far = Cell(person(2.0)).propose(), Cell(person(2.2)).propose()
    assert (near.decision, far.decision) == ("accepted", "accepted")
    assert far.margins["people"] == pytest.approx(near.margins["people"] + 0.2, abs=0.01)
    assert "power_and_force" not in far.margins


def test_nobody_is_asked_in_a_fenced_cell():
    cell = Cell(person(TOO_NEAR), spec=SPEC)
    report = cell.propose()
    assert (report.decision, report.people) == ("accepted", None)
    assert cell.run_to_rest() == []


def test_a_person_who_could_be_there_first_makes_a_proposal_refused():
    report = Cell(person(TOO_NEAR)).propose()
    assert_refused(report, "people", "Somebody")
    assert report.people.persons


def test_a_person_who_comes_too_near_stops_the_arm_and_it_stays_armed():
    cell = Cell(person(FAR)).moving()
    cell.persons = [person(TOO_NEAR)]
    assert_stopped(cell, cell.wait(10).step(), "people")
    assert cell.run_to_rest() == [], "said once"
    assert_refused(cell.wait(200).propose(), "people")
    cell.persons = [person(FAR)]
    assert cell.wait(200).propose().decision == "accepted"


def test_a_stop_that_no_brake_could_begin_is_said_once_and_tried_again():
    cell = Cell(person(FAR)).moving()
    loose = cell.guardrail._spec
    cell.persons, cell.guardrail._spec = [person(TOO_NEAR)], NO_PLACE_TO_STOP
    report = cell.wait(10).step()
    assert (report.decision, report.refusal.guardrail, report.sent, report.armed) == ("brake", "people", None, True)
    assert cell.wait(10).step() is None
    cell.guardrail._spec = loose
    cell.persons = [person(FAR)]
    assert_stopped(cell, cell.wait(10).step(), "people")
    assert cell.run_to_rest() == []


def test_a_proposal_that_is_refused_in_the_same_step_does_not_put_off_the_stop():
    cell = Cell(person(FAR)).moving()
    cell.persons = [person(TOO_NEAR)]
    assert_stopped(cell, cell.wait(10).propose(), "people")


def test_a_guardrail_that_is_to_be_disarmed_stops_as_soon_as_there_is_a_place_for_it():
    cell = Cell(person(FAR)).moving()
    loose, cell.guardrail._spec = cell.guardrail._spec, NO_PLACE_TO_STOP
    assert cell.guardrail.disarm(cell.now_ns).sent is None, "the running motion goes on"
    cell.persons, cell.guardrail._spec = [person(TOO_NEAR)], loose
    report = cell.wait(10).step()
    assert report.sent is not None and not report.armed
    assert cell.wait(10).step() is None


def test_an_arm_at_rest_needs_nothing_of_people():
    cell = Cell(person(TOO_NEAR))
    assert cell.step() is None
    cell.silent = True
    assert cell.wait(1000).step() is None


@pytest.mark.parametrize("side", range(8))
def test_an_intruder_at_full_speed_finds_the_arm_at_rest(side):
    """From any side, at 1.6 m/s, while the planner goes on proposing: at rest before contact."""
    angle = side * np.pi / 4
    way = np.array([np.cos(angle), np.sin(angle)])
    cell, distance_m = Cell(), 2.5
    clear, moved = np.inf, False
    for tick in range(170):
        at = CENTRE[:2] + way * distance_m
        cell.persons = [person(*at)]
        if tick % 20 == 0:
            cell.guardrail.propose(cell.proposal(tool_displacement=UP * (-1) ** (tick // 20)))
        cell.step()
        moving = np.abs(cell.state.velocities).max() > 1e-6
        moved |= moving
        if moving:
            centers = KINEMATICS.spheres(cell.state.positions)
            axis = np.linalg.norm(centers[..., :2] - at, axis=-1)
            clear = min(clear, float((axis - KINEMATICS.sphere_radii - 0.17).min()))
        cell.wait(10)
        distance_m -= SPEC.people.max_speed_m_per_s * 0.01
    assert moved
    assert clear > 0.0


def test_silence_about_people_stops_the_arm_and_refuses():
    limit_ms = int(SPEC.staleness.people_s * 1e3)
    cell = Cell(person(FAR))
    assert cell.propose().decision == "accepted"
    cell.silent = True
    assert cell.wait(limit_ms - 10).step() is None
    assert_stopped(cell, cell.wait(20).step(), "staleness")
    assert_refused(cell.wait(200).propose(), "staleness")


def test_people_never_heard_of_are_not_nobody():
    cell = Cell()
    cell.silent = True
    assert_refused(cell.propose(), "people", "heard")


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "nobody",
        People(None, ()),
        People(T0, None),
        People(T0, (None,)),
        People(T0, (replace(person(FAR), end_a=np.full(3, np.nan)),)),
        People(T0, (replace(person(FAR), radius=-1.0),)),
        People(T0, (replace(person(FAR), radius_error=np.inf),)),
        People(T0 + 10**9, ()),
    ],
)
def test_people_who_cannot_be_understood_are_silence(bad):
    cell = Cell()
    cell.silent = True
    cell.guardrail.people(bad)
    report = cell.propose()
    assert report.decision == "refused"
    assert report.people is None


def test_an_older_message_of_nobody_does_not_outlast_its_age():
    cell = Cell()
    cell.silent = True
    cell.guardrail.people(People(T0 - 201 * MS, ()))
    assert_refused(cell.propose(), "staleness")


def test_a_brake_carries_what_it_was_decided_on():
    cell = Cell(person(FAR), hazard="edge").moving()
    cell.persons = [person(TOO_NEAR)]
    report = cell.wait(10).step()
    assert report.people.persons[0].end_a[0] == TOO_NEAR
    assert report.held_tool.hazard == "edge"


# --- the held tool ---------------------------------------------------------------------------------------------------


def tip_speeds(report, start=START) -> np.ndarray:
    spline = Spline(at_rest(start), report.sent)
    poses = KINEMATICS.tool_pose(spline.positions(np.linspace(0, spline.duration_s, 500)))
    tips = poses[:, :3, 3] + poses[:, :3, :3] @ DOWN
    return np.linalg.norm(np.diff(tips, axis=0), axis=-1) / (spline.duration_s / 499)


@pytest.mark.parametrize("hazard", ["edge", "point", "unheard of", ""])
def test_a_blade_moves_slowly_with_somebody_in_reach(hazard):
    report = Cell(person(IN_REACH), hazard=hazard).propose()
    assert (report.decision, report.refusal.guardrail) == ("modified", "tool_hazard")
    cap = np.sqrt(2 * 0.02 / 5.0)
    assert 0.7 * cap < tip_speeds(report).max() <= cap
    assert report.margins["tool_hazard"] >= 0


@pytest.mark.parametrize("hazard", ["none", "blunt"])
def test_no_blade_no_hurry(hazard):
    report = Cell(person(IN_REACH), hazard=hazard).propose()
    assert report.decision == "accepted"
    assert tip_speeds(report).max() > 0.1
    assert set(report.margins) >= {"people", "power_and_force", "tool_hazard"}


def test_a_tool_that_was_never_heard_of_is_a_point():
    cell = Cell(person(IN_REACH))
    cell.silent = True
    cell.guardrail.people(People(T0, (person(IN_REACH),)))
    report = cell.propose()
    assert (report.decision, report.refusal.guardrail, report.held_tool) == ("modified", "tool_hazard", None)


def test_a_person_who_comes_into_reach_of_a_fast_blade_stops_it():
    cell = Cell(person(FAR), hazard="edge").moving()
    cell.persons = [person(IN_REACH)]
    assert_stopped(cell, cell.wait(10).step(), "tool_hazard")


def test_a_blade_picked_up_on_the_way_stops_the_arm():
    cell = Cell(person(IN_REACH), hazard="none").moving()
    cell.hazard = "edge"
    assert_stopped(cell, cell.wait(10).step(), "tool_hazard")


@pytest.mark.parametrize(("hazard", "sent"), [("none", True), ("blunt", False)])
def test_a_brake_keeps_the_tip_off_the_table_that_the_motion_was_accepted_with(hazard, sent):
    cell = Cell(person(FAR), hazard=hazard).moving()
    tip_m = KINEMATICS.tool_position(cell.state.positions)[2] - DOWN[2]
    cell.guardrail._spec = replace(TOPIC, table=replace(SPEC.table, height_m=tip_m + 0.02))
    cell.persons = [person(TOO_NEAR)]
    report = cell.wait(10).step()
    assert report.decision == "brake"
    assert (report.sent is not None) is sent


def test_a_slow_blade_is_not_stopped():
    cell = Cell(person(IN_REACH), hazard="edge")
    assert cell.propose().decision == "modified"
    assert cell.run_to_rest() == []


def test_a_blade_that_points_at_somebody_in_reach_does_not_move():
    cell = Cell(hazard="edge")
    cell.tip = ACROSS
    decisions = []
    for somebody in TO_THE_SIDES:
        cell.persons = [somebody]
        decisions.append(cell.wait(1000).propose())
    assert sorted(report.decision for report in decisions) == ["modified", "refused"]
    refused = next(report for report in decisions if report.decision == "refused")
    assert_refused(refused, "tool_hazard", "points at somebody")


def test_a_blunt_tool_may_point_at_people():
    for somebody in TO_THE_SIDES:
        cell = Cell(somebody, hazard="blunt")
        cell.tip = ACROSS
        assert cell.propose().decision == "accepted"


def test_the_arm_is_slowed_by_what_its_own_mass_would_do():
    soft = replace(TOPIC, power_and_force=replace(TOPIC.power_and_force, moving_mass_kg=5000.0, regions=tuple(
        replace(region, max_force_n=region.max_force_n / 4) for region in TOPIC.power_and_force.regions)))  # fmt: skip
    report = Cell(person(IN_REACH), spec=soft).propose()
    assert (report.decision, report.refusal.guardrail) == ("modified", "power_and_force")
