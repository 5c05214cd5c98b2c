"""What makes a report well-formed, and what a chain of them adds, up to the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from certificate_cases import KINEMATICS, MS, NOW_NS, PLACE, SPEC, TIP, report, somebody, with_row
from recorded_run import TICK_NS, RecordedRun

from ami_robot.safety.certificate import GREATEST, Verifier, why_malformed, why_unusable
from ami_robot.safety.certificate_rows import ROUNDING
from ami_robot.safety.spec import Spec
from ami_robot.types import HeldTool, JointTrajectory, People


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


def commands(*changes: dict, spec: Spec = SPEC) -> tuple[Verifier, list[list[tuple[str, str]]]]:
    """Armed, then commands to stay there, 100 ms apart; the findings of each."""
    verifier = Verifier(spec)
    tool = KINEMATICS.tool_position(PLACE)
    usual = {"target_tool_position": tool, "target_joint_positions": PLACE, "spec_sha256": spec.sha256}
    assert verifier.verify(report(decision="status", armed=False, sequence=0, **usual)) == []
    assert verifier.verify(report(decision="status", sequence=0, **usual)) == []
    found = []
    for number, change in enumerate(changes, start=1):
        now_ns = NOW_NS + number * 100 * MS
        given = usual | {"stamp_ns": now_ns, "observation_stamp_ns": now_ns, "sequence": number, "sent": trajectory()}
        findings = verifier.verify(report(**(given | change)))
        found.append([(each.row, each.reason) for each in findings if "gives no margin" not in each.reason])
    return verifier, found


# What a chain of reports adds


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


@pytest.mark.parametrize(("end_s", "sooner"), [(0.099, True), (0.1, False), (0.15, False), (0.29, False)])
def test_a_brake_has_to_come_to_rest_sooner_than_the_motion_that_it_replaces(end_s, sooner):
    """Half way through a motion of 0.2 s."""
    _, found = commands({}, {"decision": "brake", "armed": False, "sent": trajectory(1, end_s=end_s)})
    assert any("no sooner" in reason for _, reason in found[1]) is not sooner


@pytest.mark.parametrize(("outside", "holds"), [(-1.0, True), (0.0, True), (0.9, True), (1.1, False)])
@pytest.mark.parametrize(("side", "inwards"), [("lower_m", -1.0), ("upper_m", 1.0)])
@pytest.mark.parametrize("axis", range(3))
def test_the_tool_rests_outside_of_the_workspace_by_no_more_than_the_tolerance(axis, side, inwards, outside, holds):
    tool_m, corner_m = KINEMATICS.tool_position(PLACE), getattr(SPEC.workspace, side).copy()
    corner_m[axis] = tool_m[axis] - inwards * outside * (SPEC.tool_displacement.tolerance_m + ROUNDING)
    _, (found,) = commands({}, spec=with_row("workspace", **{side: corner_m}))
    assert [name for name, _ in found] == ([] if holds else ["workspace"])


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
    just = np.where(np.arange(7) == 2, 1e-9, PLACE)  # joint 3 is at zero: by exactly that
    assert PLACE[2] == 0.0
    for change, named in (
        ({"target_joint_positions": PLACE + 0.9 * aside}, False), ({"target_joint_positions": just}, False),
        ({"target_joint_positions": PLACE - 2 * aside}, True),
        ({"target_tool_position": tool + 0.5e-6}, False), ({"target_tool_position": tool - 2e-6}, True),
    ):  # fmt: skip
        _, (found,) = commands(change)
        assert [name for name, _ in found] == (["chain"] if named else [])


def runs_of_two_guardrails() -> tuple[list, list]:
    """What two processes reported, one after the other, of one arm: the first one ends in full motion."""
    first, second = RecordedRun(SPEC), RecordedRun(SPEC)
    first.begin()
    first.propose(np.array([0.0, 0.0, 0.03]), ticks=10)
    second.arm, second.now_ns = first.arm, first.now_ns
    for _ in range(300):
        second.tick()
    second.begin()
    second.propose(np.array([0.0, 0.03, 0.0]))
    return first.reports, second.reports


def findings(reports) -> tuple[list[str], Verifier]:
    verifier = Verifier(SPEC)
    return [finding.reason for report in reports for finding in verifier.verify(report)], verifier


def test_a_guardrail_whose_process_ended_and_came_back_begins_a_new_chain_and_is_counted():
    first, second = runs_of_two_guardrails()
    found, verifier = findings(first + second)
    assert found == []
    assert (verifier.restarts, verifier.commands) == (1, 2)
    assert findings(first)[1].restarts == findings(second)[1].restarts == 0


def test_a_new_guardrail_that_is_armed_before_the_last_motion_of_the_old_one_is_over_is_named():
    first, second = runs_of_two_guardrails()
    armed = next(index for index, report in enumerate(second) if report.armed)
    too_soon = [replace(second[0], stamp_ns=first[-1].stamp_ns), replace(second[armed], stamp_ns=first[-1].stamp_ns)]
    assert any("before the last motion had come to rest" in reason for reason in findings(first + too_soon)[0])


def test_a_new_guardrail_that_is_heard_of_only_with_its_first_command_is_named():
    first, second = runs_of_two_guardrails()
    command = next(index for index, report in enumerate(second) if report.sent is not None)
    found = findings(first + second[command:])[0]
    assert any("2 had to follow" in reason for reason in found)


def test_a_report_that_forgets_where_the_arm_is_and_carries_a_command_all_the_same_is_no_new_guardrail():
    first, second = runs_of_two_guardrails()
    command = next(report for report in second if report.sent is not None)
    forgetful = replace(command, target_joint_positions=np.full(7, np.nan), armed=False, decision="status")
    found = findings([*first, forgetful])[0]
    assert any("carries a command all the same" in reason for reason in found)


def test_a_brake_after_a_silence_is_looked_at_from_further_around_and_verified_all_the_same():
    run = RecordedRun(SPEC)
    run.begin()
    run.propose(np.array([0.0, 0.0, 0.035]))
    run.propose(np.array([0.0, 0.0, 0.035]), ticks=6)
    run.now_ns += 9 * TICK_NS
    run.tick()
    report = run.reports[-1]
    assert report.decision == "brake" and report.sent is not None and "No joint states came" in report.refusal.reason
    assert findings(run.reports)[0] == []
    as_a_command, boast = replace(report, decision="accepted"), {row: m + 0.01 for row, m in report.margins.items()}
    assert any("The report gives" in reason for reason in findings([*run.reports[:-1], as_a_command])[0])
    assert findings([*run.reports[:-1], replace(report, margins=boast)])[0] != []
