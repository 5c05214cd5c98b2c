"""Proposals that are malformed, late, out of order or of somebody else are refused."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, DYNAMICS, KINEMATICS, MS, REST, SPEC, START, T0, UP, Bench, assert_refused, at_rest

from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.motion import move_to_rest
from ami_robot.types import Proposal


def test_a_refused_proposal_leaves_the_running_motion_alone():
    bench = Bench().moving()
    before = bench.guardrail.status(bench.now_ns)
    assert_refused(bench.propose(tool_displacement=np.array([0.05, 0, 0])), "tool_displacement")
    after = bench.guardrail.status(bench.now_ns)
    np.testing.assert_array_equal(after.target_joint_positions, before.target_joint_positions)
    np.testing.assert_array_equal(after.target_tool_position, before.target_tool_position)
    assert bench.guardrail.armed
    assert bench.wait(10).step() is None


def test_another_source_is_refused_and_cannot_push_out_the_selected_one():
    bench = Bench()
    assert_refused(bench.propose(source="stranger"), "source", "'stranger'")
    bench.guardrail.propose(bench.proposal())
    bench.guardrail.propose(bench.proposal(source="stranger"))
    assert bench.step().decision == "accepted"


def test_with_no_source_selected_nobody_is_listened_to():
    guardrail = Guardrail(SPEC, KINEMATICS, DYNAMICS)
    assert guardrail.arm(at_rest(START), T0, T0) is None
    guardrail.propose(Proposal(None, 1, T0, T0, 0.3, 0.0, tool_displacement=UP))
    assert_refused(guardrail.step(SPEC.joint_names, START, REST, T0, T0), "source")


def test_a_source_without_a_name_cannot_be_selected():
    for name in ("", None, 3):
        with pytest.raises(ValueError, match="source"):
            Guardrail(SPEC, KINEMATICS, DYNAMICS).select_source(name)


def test_selecting_a_source_drops_what_the_other_one_proposed():
    bench = Bench()
    bench.guardrail.propose(bench.proposal())
    bench.guardrail.select_source("script")
    assert bench.step() is None
    assert bench.propose(source="script", sequence=1).decision == "accepted"


def test_a_replayed_or_older_sequence_is_refused():
    bench = Bench()
    assert bench.propose(sequence=5).decision == "accepted"
    for sequence in (5, 4, 0):
        assert_refused(bench.wait(200).propose(sequence=sequence), "sequence")
    assert bench.propose(sequence=6).decision == "accepted"


def test_a_refused_proposal_cannot_be_replayed_either():
    bench = Bench()
    assert_refused(bench.propose(sequence=5, tool_displacement=np.array([1.0, 0, 0])), "tool_displacement")
    assert_refused(bench.wait(200).propose(sequence=5), "sequence")


def test_an_older_arrival_does_not_displace_a_newer_proposal():
    bench = Bench()
    bench.guardrail.propose(bench.proposal(sequence=7))
    bench.guardrail.propose(bench.proposal(sequence=6, tool_displacement=-UP))
    report = bench.step()
    assert (report.decision, report.proposal_sequence) == ("accepted", 7)


def ticks(bench: Bench, ms: int) -> list:
    """The reports of a joint state every 10 ms."""
    return [report for _ in range(ms // 10) if (report := bench.wait(10).step()) is not None]


def test_commands_faster_than_the_model_step_cannot_add_up_to_a_higher_speed():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(79).propose() is None
    assert bench.wait(20).step() is None
    assert bench.wait(19).step() is None
    assert bench.wait(1).step().decision in ("accepted", "modified")


def test_a_proposal_that_comes_too_soon_waits_and_is_answered_once():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(50).propose(sequence=9, tool_displacement=-UP) is None
    reports = ticks(bench, 300)
    assert [(report.decision, report.proposal_sequence) for report in reports] == [("accepted", 9)]
    np.testing.assert_allclose(reports[0].target_tool_position, CENTRE, atol=1e-9)


def test_a_newer_proposal_takes_the_place_of_one_that_waits():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(50).propose(sequence=8) is None
    assert bench.wait(100).propose(sequence=9).proposal_sequence == 9
    assert ticks(bench, 300) == []


def test_an_older_or_strange_proposal_does_not_take_the_place_of_one_that_waits():
    bench = Bench()
    assert bench.propose(sequence=5).decision == "accepted"
    assert bench.wait(50).propose(sequence=9) is None
    for sequence in (9, 8, 5):
        assert_refused(bench.wait(2).propose(sequence=sequence), "sequence")
    assert_refused(bench.propose(source="stranger"), "source")
    assert [report.proposal_sequence for report in ticks(bench, 300)] == [9]
    assert_refused(bench.propose(sequence=9), "sequence")


def test_a_proposal_does_not_wait_until_it_is_too_old():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert_refused(bench.wait(50).propose(valid_for_s=0.01), "command_rate", "too soon")
    assert bench.propose(valid_for_s=0.03) is None
    assert [report.refusal.guardrail for report in ticks(bench, 300)] == ["command_rate"]


def test_a_proposal_that_waits_is_dropped_with_its_source_and_refused_after_a_stop():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(50).propose() is None
    bench.guardrail.select_source("script")
    assert ticks(bench, 300) == []
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(50).propose() is None
    assert bench.guardrail.disarm(bench.now_ns).decision == "brake"
    assert [report.refusal.guardrail for report in ticks(bench, 300)] == ["arming"]


def test_a_trajectory_does_not_wait_since_it_begins_where_the_arm_is_now():
    bench = Bench().moving()
    trajectory = move_to_rest(bench.state, START, SPEC)
    assert bench.propose(tool_displacement=None, trajectory=trajectory).decision == "accepted"
    later = bench.wait(50)
    trajectory = move_to_rest(later.state, START, SPEC)
    assert_refused(later.propose(tool_displacement=None, trajectory=trajectory), "command_rate")


def test_an_arm_at_rest_is_not_waited_for():
    """What its limits refuse now they refuse a moment later, too."""
    bench = Bench(spec=replace(SPEC, joint_jerk=replace(SPEC.joint_jerk, limit_rad_per_s3=np.full(7, 1e-3))))
    assert_refused(bench.propose(), "joint_jerk")


def test_a_command_exactly_one_interval_after_the_last_is_taken():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    interval_ms = 1e3 * SPEC.command_rate.min_interval_s
    assert bench.wait(interval_ms).propose().decision in ("accepted", "modified")


@pytest.mark.parametrize(
    ("ages", "row", "sentence"),
    [
        ({"stamp_ns": T0 - 301 * MS}, "staleness", "proposal is 0.301 s old"),
        ({"stamp_ns": T0 - 101 * MS, "valid_for_s": 0.1}, "staleness", "at most 0.1 s"),
        ({"stamp_ns": T0 + 51 * MS}, "staleness", "in the future"),
        ({"observation_stamp_ns": T0 - 401 * MS}, "staleness", "frame behind the proposal is 0.401 s old"),
        ({"observation_stamp_ns": T0 + 51 * MS}, "staleness", "in the future"),
        ({"valid_for_s": np.nan}, "staleness", "valid_for"),
        ({"valid_for_s": 0.0}, "staleness", "valid_for"),
        ({"valid_for_s": -1.0}, "staleness", "valid_for"),
        ({"valid_for_s": None}, "staleness", "valid_for"),
        ({"stamp_ns": None}, "staleness", "not a time"),
        ({"observation_stamp_ns": 0.5}, "staleness", "not a time"),
        ({"observation_stamp_ns": None}, "staleness", "not a time"),
        ({"valid_for_s": True}, "staleness", "valid_for"),
    ],
)
def test_a_stale_or_timeless_proposal_is_refused(ages, row, sentence):
    assert_refused(Bench().propose(**ages), row, sentence)


def test_a_long_validity_does_not_outlast_the_guardrail_file():
    assert_refused(Bench().propose(stamp_ns=T0 - 301 * MS, valid_for_s=1e9), "staleness")
    assert Bench().propose(stamp_ns=T0 - 299 * MS, valid_for_s=1e9).decision == "accepted"


@pytest.mark.parametrize("width", [np.nan, np.inf, -0.001, 0.081, None, "wide", 10**400])
def test_a_gripper_width_out_of_range_is_refused(width):
    assert_refused(Bench().propose(gripper_width=width), "gripper")


@pytest.mark.parametrize("width", [0.0, 0.08, float(np.float32(0.08))])
def test_the_gripper_width_passes_through_within_its_range(width):
    report = Bench().propose(gripper_width=width)
    assert report.gripper_width == min(width, 0.08)


@pytest.mark.parametrize(
    "displacement",
    [[np.nan, 0, 0], [0, np.inf, 0], [0.01, 0.01], [[0.01, 0, 0]], [0.01] * 4, "far", [None, 0, 0], 0.01],
)
def test_a_displacement_that_is_not_three_finite_numbers_is_refused(displacement):
    assert_refused(Bench().propose(tool_displacement=displacement), "tool_displacement", "not three finite numbers")


@pytest.mark.parametrize("displacement", [[0.0401, 0, 0], [0.03, 0.03, 0.03], [1e308, 1e308, 0], [-0.0401, 0, 0]])
def test_a_displacement_longer_than_one_step_allows_is_refused(displacement):
    assert_refused(Bench().propose(tool_displacement=np.array(displacement)), "tool_displacement", "longer than")


def test_a_displacement_of_full_length_survives_float32():
    full = (np.array([1.0, -1.0, 0.5]) / 1.5 * 0.04).astype(np.float32)
    assert Bench().propose(tool_displacement=full).decision == "accepted"


def test_a_proposal_of_both_kinds_or_of_none_is_refused():
    trajectory = move_to_rest(at_rest(START), START, SPEC)
    assert_refused(Bench().propose(trajectory=trajectory), "proposal")
    assert_refused(Bench().propose(tool_displacement=None), "proposal")


@pytest.mark.parametrize("other", [7, "proposal", object(), UP])
def test_what_is_no_proposal_is_refused(other):
    bench = Bench()
    bench.guardrail.propose(other)
    assert_refused(bench.step(), "proposal")


@pytest.mark.parametrize("sequence", [None, -1, 0.5, "1", True, 2**64])
def test_a_sequence_that_is_no_number_is_refused(sequence):
    assert_refused(Bench().propose(sequence=sequence), "source")


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_tool_target_outside_the_workspace_is_refused(axis, side):
    limits = SPEC.workspace.upper_m if side > 0 else SPEC.workspace.lower_m
    tool, out = CENTRE.copy(), np.zeros(3)
    tool[axis], out[axis] = limits[axis] - side * 0.02, side * 0.021
    q = KINEMATICS.inverse(tool)[0]
    report = Bench(q=q).propose(tool_displacement=out)
    assert_refused(report, "workspace", "tool target")
    assert report.refusal.margin == pytest.approx(-0.001)
    out[axis] = side * 0.02
    assert Bench(q=q).propose(tool_displacement=out).decision == "accepted"


def test_a_target_that_the_arm_cannot_reach_is_refused():
    wide = replace(SPEC, workspace=replace(SPEC.workspace, upper_m=np.array([2.0, 2.0, 2.0])))
    far = KINEMATICS.inverse(np.array([0.785, 0.0, 0.15]))[0]
    row = "inverse_kinematics"
    assert_refused(Bench(q=far, spec=wide).propose(tool_displacement=np.array([0.04, 0, 0])), row)


def test_a_target_that_is_missed_by_just_what_is_allowed_is_reached():
    missed_m = float(KINEMATICS.inverse(CENTRE + UP)[1])
    for max_error_m, decision in ((missed_m, "accepted"), (np.nextafter(missed_m, -1.0), "refused")):
        spec = replace(SPEC, inverse_kinematics=replace(SPEC.inverse_kinematics, max_error_m=max_error_m))
        assert Bench(spec=spec).propose().decision == decision


def test_a_target_beyond_a_joint_limit_is_refused():
    wide = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.array([0.2, -0.3, 0.03])))
    q = KINEMATICS.inverse(np.array([0.30, 0.0, 0.12]))[0]
    report = Bench(q=q, spec=wide).propose(tool_displacement=np.array([-0.03, 0, 0]))
    assert (report.decision, report.refusal.guardrail) == ("modified", "joint_position")
    assert report.margins["joint_position"] == pytest.approx(0.0, abs=1e-6)


def test_a_way_too_close_to_the_table_ends_where_the_table_allows():
    low = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.array([0.3, -0.3, 0.0])))
    q = KINEMATICS.inverse(np.array([0.5, 0.0, 0.035]))[0]
    report = Bench(q=q, spec=low).propose(tool_displacement=np.array([0, 0, -0.02]))
    assert (report.decision, report.refusal.guardrail) == ("modified", "table")
    assert 0.0 <= report.margins["table"] < 0.005
