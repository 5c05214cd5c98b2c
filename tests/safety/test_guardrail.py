"""What is let through and what arms: each test is named after what it keeps from happening."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import (
    CENTRE,
    DYNAMICS,
    KINEMATICS,
    MS,
    REST,
    SPEC,
    START,
    T0,
    UP,
    Bench,
    assert_braked,
    assert_refused,
    at_rest,
)

from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.motion import MOVE_DURATIONS_S, Spline, brake, move_to_rest
from ami_robot.types import JointState, Refusal


def test_an_accepted_displacement_moves_the_tool_target_by_exactly_that():
    report = Bench().propose(tool_displacement=np.array([0.01, -0.02, 0.03]))
    assert report.decision == "accepted"
    assert report.refusal is None
    assert report.armed
    assert (report.source, report.proposal_sequence, report.observation_stamp_ns) == ("planner", 1, T0)
    assert (report.sequence, report.stamp_ns, report.gripper_width) == (1, T0, 0.04)
    np.testing.assert_allclose(report.target_tool_position, CENTRE + np.array([0.01, -0.02, 0.03]), atol=1e-12)
    tool = KINEMATICS.tool_position(report.sent.positions[-1])
    np.testing.assert_allclose(tool, report.target_tool_position, atol=1e-9)
    np.testing.assert_array_equal(report.sent.positions[-1], report.target_joint_positions)
    assert report.spec_sha256 == SPEC.sha256


def test_a_report_carries_what_the_proposal_was_planned_with():
    report = Bench().propose(model_error_bound_m=0.012, checkpoint_sha256="c0ffee")
    assert (report.model_error_bound_m, report.checkpoint_sha256) == (0.012, "c0ffee")
    assert np.isnan(Bench().propose().model_error_bound_m)


def test_every_sent_trajectory_ends_at_rest_and_reports_its_margins():
    report = Bench().propose()
    assert not report.sent.velocities[-1].any()
    assert not report.sent.accelerations[-1].any()
    limits = {"joint_position", "joint_velocity", "joint_acceleration", "joint_jerk", "torque"}
    around = {"workspace", "arm_space", "table", "obstacles", "self_collision", "singularity", "contact"}
    assert set(report.margins) == limits | around
    assert all(margin > 0 for margin in report.margins.values())
    extremes = Spline(at_rest(START), report.sent).extremes()
    slack = (SPEC.joint_velocity.command_limit_rad_per_s - extremes.speed_rad_per_s).min()
    assert report.margins["joint_velocity"] == pytest.approx(slack)


def test_displacements_add_up_on_the_target_not_on_the_lagging_arm():
    bench = Bench().moving()
    report = bench.propose()
    np.testing.assert_allclose(report.target_tool_position, CENTRE + 2 * UP, atol=1e-12)
    assert report.sequence == 2


def test_a_motion_continues_from_the_commanded_not_from_the_measured_state():
    bench = Bench().moving()
    commanded = bench.state
    off = commanded.positions + 0.05
    bench.guardrail.propose(bench.proposal())
    report = bench.step(positions=off, velocities=np.zeros(7))
    expected = move_to_rest(commanded, report.target_joint_positions, SPEC)
    np.testing.assert_allclose(report.sent.positions, expected.positions, atol=1e-12)
    np.testing.assert_allclose(report.sent.velocities, expected.velocities, atol=1e-12)


def test_joint_states_are_matched_by_name_with_fingers_among_them():
    bench = Bench().moving()
    names = ["panda_finger_joint1", *reversed(SPEC.joint_names), "panda_finger_joint2"]
    positions = np.concatenate([[0.02], bench.state.positions[::-1], [0.02]])
    velocities = np.concatenate([[0.0], bench.state.velocities[::-1], [np.nan]])
    bench.guardrail.propose(bench.proposal())
    assert bench.step(names, positions, velocities).decision == "accepted"


def test_nothing_to_decide_is_no_report():
    bench = Bench()
    assert bench.step() is None
    assert bench.wait(10).step() is None


def test_a_stretched_motion_says_so_and_why():
    slow = replace(SPEC, joint_acceleration=replace(SPEC.joint_acceleration, command_fraction=0.2))
    report = Bench(spec=slow).propose()
    assert report.decision == "modified"
    assert report.refusal.guardrail == "joint_acceleration"
    assert "Stretched" in report.refusal.reason
    assert report.sent.times_s[-1] > 0.4


def test_a_motion_that_no_duration_makes_legal_becomes_the_longest_one_that_is():
    slow = replace(SPEC, joint_velocity=replace(SPEC.joint_velocity, command_fraction=0.01))
    report = Bench(spec=slow).propose()
    assert (report.decision, report.refusal.guardrail) == ("modified", "joint_velocity")
    assert "Bent" in report.refusal.reason
    assert 0.001 < report.target_tool_position[2] - CENTRE[2] < 0.03
    assert report.margins["joint_velocity"] == pytest.approx(0.0, abs=1e-6)
    assert report.sent.times_s[-1] == MOVE_DURATIONS_S[-1]


def test_the_newest_proposal_of_a_source_wins():
    bench = Bench()
    bench.guardrail.propose(bench.proposal(tool_displacement=np.array([0.02, 0, 0])))
    bench.guardrail.propose(bench.proposal(tool_displacement=np.array([0, 0.02, 0])))
    report = bench.step()
    assert report.proposal_sequence == 2
    np.testing.assert_allclose(report.target_tool_position, CENTRE + np.array([0, 0.02, 0]), atol=1e-12)
    assert bench.wait(10).step() is None


def test_a_proposal_is_decided_once():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert bench.wait(200).step() is None


def test_status_tells_where_the_arm_comes_to_rest():
    bench = Bench(armed=False)
    report = bench.guardrail.status(T0)
    assert (report.decision, report.armed, report.sent, report.sequence) == ("status", False, None, 0)
    assert np.isnan(report.target_joint_positions).all()
    assert np.isnan(report.target_tool_position).all()
    assert bench.guardrail.arm(at_rest(START), T0, T0) is None
    report = bench.guardrail.status(T0)
    assert report.armed
    assert report.spec_sha256 == SPEC.sha256
    np.testing.assert_array_equal(report.target_joint_positions, START)
    np.testing.assert_allclose(report.target_tool_position, CENTRE, atol=1e-9)


def test_a_status_is_of_its_time_and_of_no_proposal():
    bench = Bench().moving()
    report = bench.guardrail.status(bench.now_ns + 5 * MS)
    assert report.stamp_ns == bench.now_ns + 5 * MS
    assert (report.source, report.proposal_sequence, report.observation_stamp_ns, report.sequence) == ("", 0, 0, 0)
    assert bench.guardrail.status(None).stamp_ns == bench.now_ns, "the last time that was believed"


def test_a_disarmed_guardrail_sends_nothing_but_refusals():
    bench = Bench(armed=False)
    assert bench.step() is None
    assert_refused(bench.propose(), "arming", "not armed")
    assert bench.guardrail.silence(T0) is None
    assert bench.guardrail.disarm(T0).decision == "status"


@pytest.mark.parametrize("joint", range(7))
def test_a_moving_arm_cannot_be_armed(joint):
    velocities = np.eye(7)[joint] * (SPEC.arming.rest_velocity_rad_per_s + 1e-3)
    guardrail = Guardrail(SPEC, KINEMATICS, DYNAMICS)
    refusal = guardrail.arm(JointState(START, -velocities, REST), T0, T0)
    assert refusal.guardrail == "arming"
    assert refusal.margin == pytest.approx(-1e-3)
    assert not guardrail.armed


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_an_arm_beyond_a_joint_limit_cannot_be_armed(joint, side):
    row, q = SPEC.joint_position, START.copy()
    limit = row.command_upper_rad if side > 0 else row.command_lower_rad
    q[joint] = limit[joint] + side * 1e-3
    refusal = Guardrail(SPEC, KINEMATICS, DYNAMICS).arm(at_rest(q), T0, T0)
    assert refusal.guardrail == "joint_position"


def test_an_arm_at_the_table_cannot_be_armed():
    q = KINEMATICS.inverse(np.array([0.5, 0.0, 0.015]))[0]
    refusal = Guardrail(SPEC, KINEMATICS, DYNAMICS).arm(at_rest(q), T0, T0)
    assert refusal.guardrail == "table"


def test_an_arm_whose_state_is_old_or_unknown_cannot_be_armed():
    guardrail = Guardrail(SPEC, KINEMATICS, DYNAMICS)
    assert guardrail.arm(at_rest(START), T0 - 51 * MS, T0).guardrail == "staleness"
    assert guardrail.arm(at_rest(START), T0 + 51 * MS, T0).guardrail == "staleness"
    assert guardrail.arm(at_rest(START * np.nan), T0, T0).guardrail == "joint_state"
    assert guardrail.arm(JointState(START, REST * np.nan, REST), T0, T0).guardrail == "joint_state"
    assert guardrail.arm(at_rest(START[:6]), T0, T0).guardrail == "joint_state"
    assert not guardrail.armed


def test_an_armed_guardrail_does_not_forget_its_motion_by_arming_again():
    bench = Bench().moving()
    bench.wait(1000)
    refusal = bench.guardrail.arm(at_rest(bench.state.positions + 0.01), bench.now_ns, bench.now_ns)
    assert refusal.guardrail == "arming"
    assert "armed already" in refusal.reason
    np.testing.assert_allclose(bench.guardrail.status(bench.now_ns).target_tool_position, CENTRE + UP, atol=1e-9)


def test_an_arm_may_be_armed_at_just_the_velocity_that_counts_as_rest():
    for velocity, armed in ((SPEC.arming.rest_velocity_rad_per_s, True), (0.0201, False)):
        guardrail = Guardrail(SPEC, KINEMATICS, DYNAMICS)
        refusal = guardrail.arm(JointState(START, np.full(7, velocity), REST), T0, T0)
        assert (refusal is None) is guardrail.armed is armed


def test_an_arm_that_is_still_braking_cannot_be_armed():
    bench = Bench().moving()
    report = bench.guardrail.disarm(bench.now_ns)
    end = at_rest(report.target_joint_positions)
    assert bench.guardrail.arm(end, bench.now_ns, bench.now_ns).guardrail == "arming"
    bench.wait(1000 * report.sent.times_s[-1] + 1)
    assert bench.guardrail.arm(end, bench.now_ns, bench.now_ns) is None


def test_arming_drops_what_was_proposed_before_and_starts_sequences_anew():
    bench = Bench(armed=False)
    bench.sequence = 40
    bench.guardrail.propose(bench.proposal())
    assert bench.guardrail.arm(at_rest(START), T0, T0) is None
    assert bench.step() is None
    bench.sequence = 0
    assert bench.propose().decision == "accepted"


def test_disarming_for_a_reason_says_it():
    bench = Bench().moving()
    reason = Refusal("Somebody else writes.", "sequence", float("nan"))
    report = bench.guardrail.disarm(bench.now_ns, reason)
    assert (report.decision, report.armed, report.refusal) == ("brake", False, reason)


def test_disarming_brakes_and_says_why():
    bench = Bench().moving()
    before = bench.state
    report = bench.guardrail.disarm(bench.now_ns)
    assert_braked(bench, report, "arming")
    expected = brake(before, SPEC)
    assert report.sent.times_s[-1] < 0.2, "sooner than the running motion"
    np.testing.assert_allclose(report.sent.positions[-1], expected.positions[-1], atol=0.01)
    tool = KINEMATICS.tool_position(report.sent.positions[-1])
    np.testing.assert_allclose(report.target_tool_position, tool, atol=1e-9)
    assert set(report.margins) >= {"joint_velocity", "table"}
    assert_refused(bench.wait(10).propose(), "arming")


def test_a_brake_of_an_arm_at_rest_sends_nothing():
    bench = Bench()
    report = bench.guardrail.disarm(bench.now_ns)
    assert_braked(bench, report, "arming")
    assert report.sent is None


def test_a_brake_that_would_break_a_guardrail_leaves_the_running_motion_to_end_at_rest():
    bench = Bench().moving()
    bench.guardrail._spec = replace(SPEC, table=replace(SPEC.table, height_m=0.195))  # where it would stop is forbidden
    report = bench.guardrail.disarm(bench.now_ns)
    assert (report.decision, report.refusal.guardrail, report.sent) == ("brake", "arming", None)
    np.testing.assert_allclose(report.target_tool_position, CENTRE + UP, atol=1e-9)
    report = bench.wait(2000).step()
    assert (report.decision, report.sent, report.armed) == ("brake", None, False)
