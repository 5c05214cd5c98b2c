"""What a recording proves: an honest one is verified, and whatever is altered, left out or moved is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from altered_reports import (
    SPEC,
    altered,
    assert_found,
    sent,
    sentences,
    verify,
    with_sent,
)
from recorded_run import TICK_NS, RecordedRun

from ami_robot.safety.certificate import Verifier

ROWS = ["arm_space", "contact", "joint_acceleration", "joint_jerk", "joint_position", "joint_velocity", "obstacles",
        "self_collision", "singularity", "table", "torque", "workspace"]  # fmt: skip


def test_an_honest_run_is_verified_and_holds_commands_of_every_kind(honest):
    verifier = Verifier(SPEC)
    assert [finding for report in honest for finding in verifier.verify(report)] == []
    assert {report.decision for report in honest} >= {"accepted", "refused", "brake", "status"}
    assert verifier.commands == sum(report.sent is not None for report in honest) >= 10
    assert sent(honest, "brake")
    assert verifier.least.keys() >= {*(row for report in honest for row in report.margins), "gripper", "staleness"}
    assert all(margin >= -1e-6 for margin, _ in verifier.least.values())


# What is altered in a command


@pytest.mark.parametrize("joint", range(7))
def test_an_end_position_altered_by_a_thousandth_is_found(honest, joint):
    def alter(values):
        values[-1, joint] += 1e-3

    assert_found(with_sent(honest, sent(honest)[3], "positions", alter))


@pytest.mark.parametrize("name", ["velocities", "accelerations"])
def test_a_velocity_or_acceleration_altered_at_a_control_point_is_found(honest, name):
    def alter(values):
        values[0, 1] += 0.05 * 20 ** (name == "accelerations")

    assert_found(with_sent(honest, sent(honest)[3], name, alter))


@pytest.mark.parametrize("point", [0, -1])
def test_an_altered_time_is_found(honest, point):
    def alter(values):
        values[point] += 0.01

    assert_found(with_sent(honest, sent(honest)[3], "times_s", alter))


def test_a_trajectory_that_does_not_end_at_rest_is_found(honest):
    def alter(values):
        values[-1, 6] = 1e-4

    assert_found(with_sent(honest, sent(honest)[3], "velocities", alter), "chain")


def test_numbers_that_are_not_finite_are_found(honest):
    def alter(values):
        values[0, 0] = np.nan

    assert_found(with_sent(honest, sent(honest)[3], "positions", alter), "chain")


@pytest.mark.parametrize("name", ["times_s", "positions", "velocities", "accelerations"])
@pytest.mark.parametrize("value", [np.inf, 1e308, -1e308, 1e-320])
def test_absurd_numbers_are_found_and_raise_nothing(honest, name, value):
    def alter(values):
        values[0] = value

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        assert_found(with_sent(honest, sent(honest)[3], name, alter))


def test_a_target_outside_the_workspace_is_found(honest):
    """By less than the path's tolerance, which is for what lies between two targets."""
    index = sent(honest)[3]
    tool = honest[index].target_tool_position
    lower = SPEC.workspace.lower_m.copy()
    lower[0] = tool[0] + 0.5 * SPEC.workspace.path_tolerance_m
    spec = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=lower))
    findings = [finding for finding in verify(honest, spec) if finding.sequence == honest[index].sequence]
    assert any("rest" in finding.reason for finding in findings if finding.row == "workspace")


def test_joints_in_another_order_are_found(honest):
    index = sent(honest)[3]
    trajectory = honest[index].sent
    names = (trajectory.joint_names[1], trajectory.joint_names[0], *trajectory.joint_names[2:])
    assert_found(altered(honest, index, sent=replace(trajectory, joint_names=names)), "chain")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("change", [0.03, -0.2])
def test_a_margin_altered_by_more_than_the_tolerance_is_found(honest, row, change):
    index = sent(honest)[3]
    margins = honest[index].margins
    assert sorted(margins) == ROWS
    scale = max(1.0, 10.0 * abs(margins[row])) if row.startswith("joint") or change < 0.0 else 1.0
    scale *= {"torque": 100.0, "contact": 10.0}.get(row, 1.0)
    assert_found(altered(honest, index, margins=margins | {row: margins[row] + change * scale}), row)


def test_a_missing_a_foreign_and_a_nan_margin_are_found(honest):
    index = sent(honest)[3]
    margins = honest[index].margins
    assert_found(altered(honest, index, margins={row: m for row, m in margins.items() if row != "table"}), "table")
    assert_found(altered(honest, index, margins=margins | {"luck": 1.0}), "luck")
    assert_found(altered(honest, index, margins=margins | {"table": float("nan")}), "table")


def test_a_command_without_its_trajectory_is_found(honest):
    assert_found(altered(honest, sent(honest)[3], sent=None), "certificate")


@pytest.mark.parametrize("width", [-1e-3, 0.081, float("nan")])
def test_a_gripper_width_out_of_range_is_found(honest, width):
    assert_found(altered(honest, sent(honest)[3], gripper_width=width))


# What is altered in any report


@pytest.mark.parametrize("kind", ["accepted", "refused", "brake", "status"])
def test_another_hash_of_the_guardrail_file_is_found(honest, kind):
    index = next(i for i, report in enumerate(honest) if report.decision == kind)
    assert_found(altered(honest, index, spec_sha256="0" * 64), "certificate")


def test_reports_of_another_guardrail_file_are_found(honest):
    other = replace(SPEC, sha256="1" * 64)
    assert len([finding for finding in verify(honest, other) if finding.row == "certificate"]) == len(honest)


def test_an_altered_sequence_is_found(honest):
    index = sent(honest)[3]
    for sequence in (honest[index].sequence + 1, honest[index].sequence - 1, 0):
        assert_found(altered(honest, index, sequence=sequence), "certificate")


def test_an_altered_decision_is_found(honest):
    index = sent(honest)[3]
    assert_found(altered(honest, index, decision="refused"), "certificate")
    assert_found(altered(honest, index, decision="blessed"), "certificate")
    assert_found(altered(honest, sent(honest, "brake")[0], decision="accepted"), "arming")


@pytest.mark.parametrize("shift_ns", [-5 * TICK_NS, 5 * TICK_NS])
def test_a_command_stamped_at_another_time_is_found(honest, shift_ns):
    index = sent(honest)[3]
    assert_found(altered(honest, index, stamp_ns=honest[index].stamp_ns + shift_ns))


def test_a_command_on_an_old_frame_is_found(honest):
    index = sent(honest)[3]
    old = honest[index].stamp_ns - int(1e9 * SPEC.staleness.frame_s) - 1
    assert_found(altered(honest, index, observation_stamp_ns=old), "staleness")


def test_a_model_that_errs_more_than_allowed_is_found(honest):
    index = sent(honest)[3]
    for bound_m in (SPEC.model_error.max_bound_m + 1e-3, float("nan"), -1e-3):
        changed = altered(honest, index, checkpoint_sha256="c" * 64, model_error_bound_m=bound_m)
        assert_found(changed, "model_error")


@pytest.mark.parametrize("kind", ["accepted", "refused", "brake", "status"])
def test_another_place_of_rest_is_found(honest, kind):
    index = next(i for i, r in enumerate(honest) if r.decision == kind and np.isfinite(r.target_joint_positions).all())
    wrong = honest[index].target_joint_positions + np.array([1e-3, 0, 0, 0, 0, 0, 0])
    assert_found(altered(honest, index, target_joint_positions=wrong), "chain")
    tool = honest[index].target_tool_position + np.array([0, 0, 1e-3])
    assert_found(altered(honest, index, target_tool_position=tool), "chain")


# What is left out, moved, or should not be there


def test_every_dropped_command_is_found(honest):
    for index in sent(honest) + sent(honest, "brake"):
        if any(report.sent is not None for report in honest[index + 1 :]) or index + 1 < len(honest):
            assert_found(honest[:index] + honest[index + 1 :])


def test_two_commands_in_swapped_order_are_found(honest):
    first, second = sent(honest)[3:5]
    reports = list(honest)
    reports[first], reports[second] = reports[second], reports[first]
    assert_found(reports, "certificate")


def test_a_repeated_command_is_found(honest):
    index = sent(honest)[3]
    assert_found([*honest[: index + 1], *honest[index:]], "certificate")


def test_a_beginning_cut_off_while_armed_is_found(honest):
    for start in sent(honest)[1:4]:
        assert_found(honest[start:])
        assert_found(honest[start + 1 :])


def test_a_recording_that_begins_before_arming_may_follow_other_runs(honest):
    second = next(i for i in range(len(honest) // 3, len(honest)) if honest[i].decision == "brake") + 1
    while honest[second].armed:
        second += 1
    assert verify(honest[second:]) == []


def test_disarming_without_a_brake_is_found(honest):
    index = next(i for i, report in enumerate(honest) if report.decision == "brake")
    assert_found(altered(honest, index, decision="status", sent=None, sequence=0), "arming")


def test_a_command_while_disarmed_is_found(honest):
    index = sent(honest)[0]
    reports = [replace(report, armed=False) for report in honest[: index + 1]]
    assert_found(reports, "arming")


def test_a_command_while_the_e_stop_is_latched_is_found(honest):
    assert_found(altered(honest, sent(honest)[3], e_stopped=True), "e_stop")


def test_arming_while_the_e_stop_is_latched_is_found(honest):
    index = next(i for i, report in enumerate(honest) if report.armed)
    assert_found(altered(honest, index, e_stopped=True), "e_stop")


def test_arming_before_the_arm_rests_is_found():
    run = RecordedRun(SPEC)
    run.begin()
    run.propose(np.array([0.0, 0.0, 0.03]), ticks=10)
    moving = run.reports[:-1] if run.reports[-1].sent is None else list(run.reports)
    run.disarm()
    braking = run.reports[-1]
    early = replace(
        braking, decision="status", armed=True, sent=None, sequence=0, refusal=None, stamp_ns=braking.stamp_ns + 1
    )
    assert_found([*moving, braking, early], "arming")


def test_arming_without_saying_where_the_arm_rests_is_found(honest):
    index = next(i for i, report in enumerate(honest) if report.armed)
    unknown = altered(honest, index, target_joint_positions=np.full(7, np.nan))
    assert_found(unknown[: index + 1], "arming")


def test_a_report_that_cannot_be_read_leaves_the_rest_of_its_run_unknown(honest):
    verifier = Verifier(SPEC)
    index = sent(honest)[2]
    for report in honest[:index]:
        assert verifier.verify(report) == []
    skipped = verifier.skip("a message cannot be decoded")
    assert (skipped.report, skipped.sequence, skipped.row) == (index + 1, 0, "certificate")
    following = sent(honest)[3]
    assert {finding.row for finding in verifier.verify(honest[following])} == {"certificate", "chain"}


def test_commands_that_follow_too_fast_are_found(honest):
    first, second = sent(honest)[3:5]
    soon = honest[first].stamp_ns + int(1e9 * SPEC.command_rate.min_interval_s) - TICK_NS
    reports = [r if i <= first or i >= second else None for i, r in enumerate(honest)]
    kept = [report for report in reports if report is not None]
    index = next(i for i, report in enumerate(kept) if report is honest[second])
    assert_found(altered(kept, index, stamp_ns=soon, observation_stamp_ns=soon), "command_rate")


def test_a_run_with_an_e_stop_in_full_motion_is_verified_up_to_its_rearming():
    run = RecordedRun(SPEC)
    run.begin()
    run.propose(np.array([0.0, 0.0, 0.03]), ticks=15)
    run.keep(run.guardrail.e_stop(True, run.now_ns))
    assert run.reports[-1].sent is not None
    assert run.reports[-1].e_stopped
    run.rest()
    assert run.guardrail.e_stop(False, run.now_ns) is None
    assert run.guardrail.reset_e_stop(run.now_ns) is None
    run.begin()
    run.wander(2, seed=1)
    assert verify(run.reports) == []


# Each check by its own sentence, since most alterations are found by several


def test_stamps_that_go_back_are_named_until_they_have_caught_up(honest):
    first = sent(honest)[3] + 1
    reports = list(honest)
    for index, back_s in ((first, 1.0), (first + 1, 0.9)):
        reports[index] = replace(honest[index], stamp_ns=honest[index].stamp_ns - int(back_s * 1e9))
    assert sentences(reports[: first + 2]).count("before that of the report before") == 2


def test_a_motion_that_only_holds_when_it_arrives_in_time_is_named(honest):
    assert "early or late" in sentences(honest, replace(SPEC, transport=replace(SPEC.transport, jitter_s=0.15)))


def test_a_brake_that_takes_longer_than_the_motion_is_named(honest):
    index = sent(honest, "brake")[0]
    slow = replace(honest[index].sent, times_s=5.0 * honest[index].sent.times_s)
    assert "no sooner" in sentences(altered(honest, index, sent=slow)[: index + 1])


def test_commands_without_arming_are_named(honest):
    index = sent(honest)[0]
    assert "while the guardrail was not armed" in sentences([replace(r, armed=False) for r in honest[: index + 1]])
    assert "says the guardrail is not armed" in sentences(altered(honest, index, armed=False)[: index + 1])


def test_a_guardrail_that_was_armed_before_the_recording_must_not_have_sent_anything(honest):
    begin, index = next(i for i, report in enumerate(honest) if report.armed), sent(honest)[0]
    later = altered(honest, index, sequence=honest[index].sequence + 5)
    assert "1 had to follow" in sentences(later[begin : index + 1])


def test_a_trajectory_that_takes_too_long_or_ends_accelerating_is_named(honest):
    short = replace(SPEC, trajectory=replace(SPEC.trajectory, max_duration_s=0.3))
    assert "takes too long" in sentences(honest[: sent(honest)[0] + 1], short)

    def alter(values):
        values[-1, 6] = 1e-4

    index = sent(honest)[3]
    assert "does not end at rest" in sentences(with_sent(honest, index, "accelerations", alter)[: index + 1])


# A motion that breaks a row is found whatever its report says


@pytest.mark.parametrize("row", ["joint_velocity", "torque", "workspace", "arm_space", "table", "obstacles",
                                 "self_collision", "singularity", "contact"])  # fmt: skip
def test_a_row_that_was_tightened_afterwards_breaks(honest, row):
    """The same run against a file in which this row allows less than what was done."""
    tight = {
        "joint_velocity": {"limit_rad_per_s": np.full(7, 0.05)},
        "torque": {"limit_n_m": np.full(7, 5.0)},
        "workspace": {"lower_m": np.array([0.48, -0.3, 0.03])},
        "arm_space": {"upper_m": np.array([0.45, 0.75, 1.3])},
        "table": {"clearance_m": 0.4},
        "obstacles": {"clearance_m": 0.5},
        "self_collision": {"clearance_m": 0.05},
        "singularity": {"min_singular_value": 0.5},
        "contact": {"approach_height_m": 0.5, "approach_speed_m_per_s": 0.01},
    }[row]
    spec = replace(SPEC, **{row: replace(getattr(SPEC, row), **tight)})
    assert any("breaks the row" in finding.reason for finding in verify(honest, spec) if finding.row == row)


def test_it_shares_nothing_with_what_decided():
    """Only the guardrail file, the records and tables of numbers may be common to both."""
    import ami_robot.safety as package

    folder = next(iter(package.__path__))
    allowed = {"spec", "arms"}
    for name in ("certificate", *(f"certificate_{part}" for part in ("geometry", "motion", "people", "rows"))):
        with open(f"{folder}/{name}.py") as file:
            lines = [line for line in file if line.startswith("from ami_robot.safety.")]
        imported = {line.split()[1].rpartition(".")[2] for line in lines}
        assert {each for each in imported if not each.startswith("certificate")} <= allowed
