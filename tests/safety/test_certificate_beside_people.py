"""What a recording beside people proves: whoever was nearer, whatever was held, is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from altered_reports import (
    WITH_PEOPLE,
    altered,
    assert_found,
    person,
    sent,
    verify,
)
from recorded_run import RecordedRun

from ami_robot.safety.certificate import Verifier
from ami_robot.safety.certificate_rows import CAUTION

IN_A_SECOND_M = 1.6  # how far people come in a second, which is about what a motion near them takes


def test_an_honest_run_beside_a_person_is_verified(beside_a_person):
    verifier = Verifier(WITH_PEOPLE)
    assert [finding for report in beside_a_person for finding in verifier.verify(report)] == []
    assert verifier.least.keys() >= {"people", "power_and_force", "tool_hazard"}
    assert verifier.commands >= 3


def test_separation_agrees_with_the_guardrail_to_a_few_centimetres(beside_a_person):
    """The rest is the guardrail's longer brake: one step of 20 ms more for who runs at 1.6 m/s."""
    for index in sent(beside_a_person, "modified"):
        verifier = Verifier(WITH_PEOPLE)
        for report in beside_a_person[: index + 1]:
            verifier.least.clear()
            verifier.verify(report)
        assert -0.002 <= verifier.least["people"][0] - beside_a_person[index].margins["people"] <= 0.04


@pytest.mark.parametrize("row", ["people", "power_and_force", "tool_hazard"])
def test_a_margin_about_people_altered_by_more_than_the_tolerance_is_found(beside_a_person, row):
    index = sent(beside_a_person, "modified")[0]
    margins = beside_a_person[index].margins
    cautious = IN_A_SECOND_M if row == "people" else 0.0  # a motion may also be held against running on to its end
    for altered_by in (0.05, -CAUTION[row] - 0.05 - cautious):
        changed = altered(beside_a_person, index, margins=margins | {row: margins[row] + altered_by})
        assert_found(changed[: index + 1], row, spec=WITH_PEOPLE)


def test_a_person_who_was_nearer_than_the_report_says_is_found(beside_a_person):
    for index in sent(beside_a_person, "modified"):
        nearer = person(-1.0, beside_a_person[index].people.stamp_ns)
        assert_found(altered(beside_a_person, index, people=nearer), "people", spec=WITH_PEOPLE)


def test_a_person_too_near_to_move_is_found_whatever_the_margins_say(beside_a_person):
    index = sent(beside_a_person, "modified")[0]
    near = person(-0.6, beside_a_person[index].people.stamp_ns)
    findings = verify(altered(beside_a_person, index, people=near), WITH_PEOPLE)
    assert any("breaks the row people" in finding.reason for finding in findings)


@pytest.mark.parametrize("age_s", [None, 1.0, -1.0])
def test_a_command_without_knowing_about_people_is_found(beside_a_person, age_s):
    index = sent(beside_a_person, "modified")[0]
    report = beside_a_person[index]
    people = None if age_s is None else replace(report.people, stamp_ns=report.stamp_ns - int(age_s * 1e9))
    assert_found(altered(beside_a_person, index, people=people), "people", spec=WITH_PEOPLE)


@pytest.mark.parametrize("hazard", ["point", "edge", "unheard of", None])
def test_a_blade_moved_as_fast_as_an_empty_hand_is_found(hazard):
    run = RecordedRun(WITH_PEOPLE)
    run.see(person(-1.1).persons, "none")
    run.begin()
    run.wander(2, seed=0)
    assert verify(run.reports, WITH_PEOPLE) == []
    index = sent(run.reports)[0]
    tool = run.reports[index].held_tool
    held = None if hazard is None else replace(tool, hazard=hazard)
    findings = verify(altered(run.reports, index, held_tool=held), WITH_PEOPLE)
    assert any("breaks the row tool_hazard" in finding.reason for finding in findings)


@pytest.mark.parametrize("change", [
    {"mass_kg": float("nan")}, {"mass_kg": -1.0}, {"mass_kg": 1e308}, {"tip": np.full(3, np.nan)},
])  # fmt: skip
def test_a_held_tool_that_cannot_be_is_found(beside_a_person, change):
    index = sent(beside_a_person, "modified")[0]
    tool = replace(beside_a_person[index].held_tool, **change)
    assert_found(altered(beside_a_person, index, held_tool=tool), "chain", spec=WITH_PEOPLE)


@pytest.mark.parametrize("change", [
    {"radius": float("nan")}, {"radius": -0.1}, {"radius_error": -0.1}, {"end_a": np.full(3, np.inf)},
    {"end_b": np.full(3, np.nan)},
])  # fmt: skip
def test_a_person_who_cannot_be_is_found(beside_a_person, change):
    index = sent(beside_a_person, "modified")[0]
    people = beside_a_person[index].people
    wrong = replace(people, persons=(replace(people.persons[0], **change),))
    assert_found(altered(beside_a_person, index, people=wrong), "chain", spec=WITH_PEOPLE)


def test_a_blade_that_points_at_somebody_is_found(beside_a_person):
    index = sent(beside_a_person, "modified")[0]
    report = beside_a_person[index]
    sideways = np.array([0.0, 0.1, 0.0])  # along the tool's y, which points to the person's side
    findings = verify(altered(beside_a_person, index, held_tool=replace(report.held_tool, tip=sideways)), WITH_PEOPLE)
    assert any("breaks the row tool_hazard" in finding.reason for finding in findings)


def test_with_nobody_there_no_margin_about_people_is_asked_for(beside_a_person):
    index = sent(beside_a_person, "modified")[0]
    nobody = replace(beside_a_person[index].people, persons=())
    assert_found(altered(beside_a_person, index, people=nobody), "people", spec=WITH_PEOPLE)


def test_a_heavier_load_than_the_report_reckoned_with_is_found(beside_a_person):
    index = sent(beside_a_person, "modified")[0]
    heavy = replace(beside_a_person[index].held_tool, mass_kg=3.0)
    assert_found(altered(beside_a_person, index, held_tool=heavy), "torque", spec=WITH_PEOPLE)
