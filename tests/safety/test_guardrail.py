"""Each test is named after what it keeps from happening; deleting the check it pins makes it fail."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import HOME, Kinematics
from ami_robot.safety.motion import Spline, brake, move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import JointState, JointTrajectory, Proposal

SPEC, KINEMATICS = load_spec(), Kinematics()
REST = np.zeros(7)
CENTRE = np.array([0.5, 0.0, 0.2])
START = KINEMATICS.inverse(CENTRE)[0]
MS = 1_000_000
T0 = 1_000_000_000
UP = np.array([0.0, 0.0, 0.03])


def at_rest(q) -> JointState:
    return JointState(np.array(q, dtype=float), REST, REST)


class Bench:
    """A guardrail with an arm that follows perfectly: joint states are what the sent trajectories say."""

    def __init__(self, q=START, spec=SPEC, armed: bool = True):
        self.guardrail = Guardrail(spec, KINEMATICS)
        self.guardrail.select_source("planner")
        self.now_ns, self.sequence = T0, 0
        self.spline, self.since_ns, self.rest = None, 0, np.array(q, dtype=float)
        if armed:
            assert self.guardrail.arm(at_rest(q), self.now_ns, self.now_ns) is None

    @property
    def state(self) -> JointState:
        return at_rest(self.rest) if self.spline is None else self.spline.sample((self.now_ns - self.since_ns) / 1e9)

    def proposal(self, **changes) -> Proposal:
        self.sequence += 1
        usual = Proposal("planner", self.sequence, self.now_ns, self.now_ns, 0.3, 0.04, tool_displacement=UP)
        return replace(usual, **changes)

    def step(self, names=SPEC.joint_names, positions=None, velocities=None, stamp_ns=None, now_ns=None):
        state = self.state
        report = self.guardrail.step(
            names,
            state.positions if positions is None else positions,
            state.velocities if velocities is None else velocities,
            self.now_ns if stamp_ns is None else stamp_ns,
            self.now_ns if now_ns is None else now_ns,
        )
        if report is not None and report.sent is not None:
            self.spline, self.since_ns = Spline(state, report.sent), self.now_ns
        return report

    def propose(self, **changes):
        self.guardrail.propose(self.proposal(**changes))
        return self.step()

    def wait(self, ms: float):
        self.now_ns += int(ms * MS)
        return self

    def moving(self):
        """Half way through a motion."""
        assert self.propose().decision == "accepted"
        return self.wait(200)


def assert_refused(report, row: str, sentence: str = ""):
    assert report.decision == "refused"
    assert report.refusal.guardrail == row
    assert sentence in report.refusal.reason
    assert report.sent is None
    assert report.sequence == 0
    assert report.margins == {}
    assert report.spec_sha256 == SPEC.sha256
    assert np.isnan(report.refusal.margin) or report.refusal.margin < 0


def assert_braked(bench: Bench, report, row: str):
    assert report.decision == "brake"
    assert report.refusal.guardrail == row
    assert report.refusal.reason.endswith(".")
    assert not report.armed
    assert not bench.guardrail.armed
    assert report.spec_sha256 == SPEC.sha256


# --- what is let through ---------------------------------------------------------------------------------------------


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


def test_every_sent_trajectory_ends_at_rest_and_reports_its_margins():
    report = Bench().propose()
    assert not report.sent.velocities[-1].any()
    assert not report.sent.accelerations[-1].any()
    rows = {"joint_position", "joint_velocity", "joint_acceleration", "joint_jerk", "workspace", "table"}
    assert set(report.margins) == rows
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


def test_a_motion_that_no_duration_makes_legal_is_refused():
    slow = replace(SPEC, joint_velocity=replace(SPEC.joint_velocity, command_fraction=0.01))
    assert_refused(Bench(spec=slow).propose(), "joint_velocity", "No duration")


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


# --- arming ----------------------------------------------------------------------------------------------------------


def test_a_disarmed_guardrail_sends_nothing_but_refusals():
    bench = Bench(armed=False)
    assert bench.step() is None
    assert_refused(bench.propose(), "arming", "not armed")
    assert bench.guardrail.silence(T0) is None
    assert bench.guardrail.disarm(T0).decision == "status"


@pytest.mark.parametrize("joint", range(7))
def test_a_moving_arm_cannot_be_armed(joint):
    velocities = np.eye(7)[joint] * (SPEC.arming.rest_velocity_rad_per_s + 1e-3)
    guardrail = Guardrail(SPEC, KINEMATICS)
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
    refusal = Guardrail(SPEC, KINEMATICS).arm(at_rest(q), T0, T0)
    assert refusal.guardrail == "joint_position"


def test_an_arm_at_the_table_cannot_be_armed():
    q = KINEMATICS.inverse(np.array([0.5, 0.0, 0.015]))[0]
    refusal = Guardrail(SPEC, KINEMATICS).arm(at_rest(q), T0, T0)
    assert refusal.guardrail == "table"


def test_an_arm_whose_state_is_old_or_unknown_cannot_be_armed():
    guardrail = Guardrail(SPEC, KINEMATICS)
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
    assert "armed already" in refusal.reason
    np.testing.assert_allclose(bench.guardrail.status(bench.now_ns).target_tool_position, CENTRE + UP, atol=1e-9)


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
    tight = replace(SPEC, table=replace(SPEC.table, height_m=0.195))  # the place where it would stop is forbidden
    bench.guardrail._spec = tight
    report = bench.guardrail.disarm(bench.now_ns)
    assert_braked(bench, report, "arming")
    assert report.sent is None
    np.testing.assert_allclose(report.target_tool_position, CENTRE + UP, atol=1e-9)


# --- joint states ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("quantity", ["positions", "velocities"])
@pytest.mark.parametrize("joint", range(7))
def test_a_joint_state_that_is_not_finite_brakes(joint, quantity, bad):
    bench = Bench().moving()
    values = np.array(getattr(bench.state, quantity))
    values[joint] = bad
    assert_braked(bench, bench.step(**{quantity: values}), "joint_state")


@pytest.mark.parametrize(
    "bad",
    [
        {"positions": REST[:6]},
        {"velocities": REST[:6]},
        {"velocities": []},
        {"positions": None, "names": SPEC.joint_names[:6]},
        {"names": ("other", *SPEC.joint_names[1:])},
        {"names": (SPEC.joint_names[1], *SPEC.joint_names[1:])},
        {"names": None},
        {"names": 7},
        {"names": "panda_joint1"},
        {"names": (1, 2, 3, 4, 5, 6, 7)},
        {"names": [np.zeros(2)] * 7},
        {"positions": "seven"},
        {"velocities": "seven"},
        {"positions": [None] * 7},
        {"positions": np.zeros((7, 1))},
    ],
)
def test_a_malformed_joint_state_brakes(bad):
    bench = Bench().moving()
    assert_braked(bench, bench.step(**bad), "joint_state")


def test_a_joint_named_twice_brakes():
    bench = Bench().moving()
    state = bench.state
    names = (*SPEC.joint_names, SPEC.joint_names[0])
    report = bench.step(names, np.append(state.positions, 0.0), np.append(state.velocities, 0.0))
    assert_braked(bench, report, "joint_state")


def test_a_stale_joint_state_brakes():
    bench = Bench().moving()
    assert bench.step(stamp_ns=bench.now_ns - 49 * MS) is None
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns - 51 * MS), "staleness")


def test_a_joint_state_from_the_future_brakes():
    bench = Bench().moving()
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns + 51 * MS), "staleness")


def test_stamps_that_go_back_brake():
    bench = Bench().moving()
    assert bench.step() is None
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns - MS), "staleness")


def test_a_clock_that_goes_back_brakes():
    bench = Bench().moving()
    assert bench.step() is None
    assert_braked(bench, bench.step(now_ns=bench.now_ns - MS), "staleness")


@pytest.mark.parametrize("bad", [None, 0.5, "now", True, -1, 2**63, 10**400])
def test_a_stamp_that_is_no_time_brakes(bad):
    for which in ("stamp_ns", "now_ns"):
        bench = Bench().moving()
        report = bench.guardrail.step(
            SPEC.joint_names,
            bench.state.positions,
            bench.state.velocities,
            **({"stamp_ns": bench.now_ns, "now_ns": bench.now_ns} | {which: bad}),
        )
        assert_braked(bench, report, "staleness")


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_an_arm_that_does_not_follow_brakes(joint, side):
    bench = Bench().moving()
    offset = np.eye(7)[joint] * side
    assert bench.step(positions=bench.state.positions + 0.09 * offset) is None
    assert_braked(bench, bench.step(positions=bench.state.positions + 0.11 * offset), "tracking")


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_measured_joint_beyond_its_limit_brakes(joint, side):
    row, q = SPEC.joint_position, START.copy()
    q[joint] = (row.upper_rad if side > 0 else row.lower_rad)[joint] - side * 0.03
    sunk = replace(SPEC, table=replace(SPEC.table, height_m=-2.0))
    bench = Bench(q=q, spec=sunk)
    q[joint] += side * 0.031
    assert_braked(bench, bench.step(positions=q), "joint_position")


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_measured_joint_velocity_beyond_its_limit_brakes(joint, side):
    bench = Bench().moving()
    velocities = np.eye(7)[joint] * side * (SPEC.joint_velocity.limit_rad_per_s + 1e-3)
    assert_braked(bench, bench.step(velocities=velocities), "joint_velocity")


def test_silence_brakes_once_and_disarms():
    bench = Bench().moving()
    report = bench.guardrail.silence(bench.now_ns)
    assert_braked(bench, report, "staleness")
    assert report.sent is not None
    assert bench.guardrail.silence(bench.now_ns) is None


def test_a_fault_takes_precedence_over_a_waiting_proposal():
    bench = Bench().moving()
    bench.guardrail.propose(bench.proposal())
    assert_braked(bench, bench.step(positions=START * np.nan), "joint_state")
    assert bench.wait(10).step() is None, "the proposal is gone"


def test_a_clock_that_jumps_far_ahead_sends_no_stop_at_the_end_of_the_way():
    """By that clock the motion is over, but the arm may be half way: a hold at the end would jerk it there."""
    bench = Bench().moving()
    report = bench.step(stamp_ns=bench.now_ns, now_ns=bench.now_ns + 10**11)
    assert_braked(bench, report, "staleness")
    assert report.sent is None


# --- proposals -------------------------------------------------------------------------------------------------------


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
    guardrail = Guardrail(SPEC, KINEMATICS)
    assert guardrail.arm(at_rest(START), T0, T0) is None
    guardrail.propose(Proposal(None, 1, T0, T0, 0.3, 0.0, tool_displacement=UP))
    assert_refused(guardrail.step(SPEC.joint_names, START, REST, T0, T0), "source")


def test_a_source_without_a_name_cannot_be_selected():
    for name in ("", None, 3):
        with pytest.raises(ValueError, match="source"):
            Guardrail(SPEC, KINEMATICS).select_source(name)


def test_selecting_a_source_drops_what_the_other_one_proposed():
    bench = Bench()
    bench.guardrail.propose(bench.proposal())
    bench.guardrail.select_source("teleop")
    assert bench.step() is None
    assert bench.propose(source="teleop", sequence=1).decision == "accepted"


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


def test_commands_faster_than_the_model_step_cannot_add_up_to_a_higher_speed():
    bench = Bench()
    assert bench.propose().decision == "accepted"
    assert_refused(bench.wait(99).propose(), "command_rate")
    assert bench.wait(2).propose().decision in ("accepted", "modified")


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


def test_a_target_beyond_a_joint_limit_is_refused():
    wide = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.array([0.2, -0.3, 0.03])))
    q = KINEMATICS.inverse(np.array([0.30, 0.0, 0.12]))[0]
    report = Bench(q=q, spec=wide).propose(tool_displacement=np.array([-0.03, 0, 0]))
    assert_refused(report, "joint_position")


def test_a_way_too_close_to_the_table_is_refused():
    low = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.array([0.3, -0.3, 0.0])))
    q = KINEMATICS.inverse(np.array([0.5, 0.0, 0.035]))[0]
    assert_refused(Bench(q=q, spec=low).propose(tool_displacement=np.array([0, 0, -0.02])), "table")


# --- trajectories ----------------------------------------------------------------------------------------------------


def trajectory_to(tool, start=START) -> JointTrajectory:
    trajectory = move_to_rest(at_rest(start), KINEMATICS.inverse(np.array(tool))[0], SPEC)
    assert trajectory is not None
    return trajectory


def offer(trajectory, bench=None):
    return (bench or Bench()).propose(tool_displacement=None, trajectory=trajectory)


def test_a_legal_trajectory_is_sent_verbatim():
    trajectory = trajectory_to(CENTRE + np.array([0.05, 0.05, 0.0]))
    report = offer(trajectory)
    assert report.decision == "accepted"
    for name in ("joint_names", "times_s", "positions", "velocities", "accelerations"):
        np.testing.assert_array_equal(getattr(report.sent, name), getattr(trajectory, name))
    np.testing.assert_allclose(report.target_tool_position, CENTRE + np.array([0.05, 0.05, 0.0]), atol=1e-9)


def test_a_trajectory_with_joints_in_another_order_is_the_same_motion():
    trajectory = trajectory_to(CENTRE + np.array([0.05, 0.0, 0.0]))
    turned = replace(
        trajectory,
        joint_names=tuple(reversed(trajectory.joint_names)),
        **{name: getattr(trajectory, name)[:, ::-1] for name in ("positions", "velocities", "accelerations")},
    )
    report = offer(turned)
    assert report.decision == "accepted"
    assert report.sent.joint_names == SPEC.joint_names
    np.testing.assert_array_equal(report.sent.positions, trajectory.positions)


STATES = ("positions", "velocities", "accelerations")


def edited(**changes) -> JointTrajectory:
    return replace(trajectory_to(CENTRE + np.array([0.05, 0.0, 0.0])), **changes)


def with_entry(name: str, index, value) -> JointTrajectory:
    values = np.array(getattr(edited(), name))
    values[index] = value
    return edited(**{name: values})


@pytest.mark.parametrize(
    "trajectory",
    [
        "a trajectory",
        edited(joint_names=SPEC.joint_names[:6]),
        edited(joint_names=("other", *SPEC.joint_names[1:])),
        edited(joint_names=None),
        edited(times_s=None),
        edited(times_s=np.array([[0.2], [0.4]])),
        edited(positions="seven"),
        edited(times_s=np.array([])),
        edited(times_s=np.array([0.2])),
        edited(times_s=np.array([0.0, 0.4])),
        edited(times_s=np.array([0.4, 0.4])),
        edited(times_s=np.array([0.4, 0.2])),
        edited(times_s=np.array([0.2, np.nan])),
        edited(times_s=np.array([0.2, np.inf])),
        edited(times_s=np.array([-0.2, 0.4])),
        edited(times_s=np.array([0.2, 5.01])),
        edited(times_s=np.linspace(0.01, 1.0, 101), **{
            name: np.tile(getattr(edited(), name)[-1], (101, 1)) for name in STATES
        }),
        edited(velocities=np.zeros((2, 6))),
        edited(accelerations=np.zeros((0, 7))),
        with_entry("positions", (0, 3), np.nan),
        with_entry("velocities", (0, 3), np.inf),
        with_entry("accelerations", (0, 3), np.nan),
        with_entry("velocities", (-1, 6), 1e-3),
        with_entry("accelerations", (-1, 0), 1e-3),
    ],
)  # fmt: skip
def test_a_malformed_trajectory_or_one_that_does_not_end_at_rest_is_refused(trajectory):
    assert_refused(offer(trajectory), "trajectory")


def test_a_trajectory_that_starts_elsewhere_is_refused():
    elsewhere = KINEMATICS.inverse(CENTRE + np.array([0.0, 0.1, 0.0]))[0]
    trajectory = trajectory_to(CENTRE + np.array([0.0, 0.14, 0.0]), start=elsewhere)
    assert offer(trajectory).decision == "refused"


@pytest.mark.parametrize(
    ("row", "index", "value"),
    [("joint_velocity", 1, 2.3), ("joint_acceleration", 2, 14.0)],
)
def test_a_trajectory_beyond_a_joint_limit_is_refused(row, index, value):
    name = STATES[index]
    assert_refused(offer(with_entry(name, (0, 3), value)), row)


def test_a_trajectory_that_jerks_is_refused():
    calm = replace(SPEC, joint_jerk=replace(SPEC.joint_jerk, command_fraction=1e-3))
    assert_refused(offer(edited(), Bench(spec=calm)), "joint_jerk")


def test_a_trajectory_beyond_an_end_stop_is_refused():
    wide = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.full(3, -2.0), upper_m=np.full(3, 2.0)))
    start = START.copy()
    start[4] = SPEC.joint_position.command_upper_rad[4] - 0.01
    beyond = start.copy()
    beyond[4] += 0.015
    end = JointTrajectory(SPEC.joint_names, np.array([0.8]), beyond[None], REST[None], REST[None])
    assert_refused(offer(end, Bench(q=start, spec=wide)), "joint_position")


def test_a_trajectory_that_ends_outside_the_workspace_is_refused():
    report = offer(trajectory_to([0.5, 0.31, 0.2], KINEMATICS.inverse(np.array([0.5, 0.25, 0.2]))[0]))
    assert_refused(report, "workspace", "tool target")


def through(via, end=CENTRE) -> JointTrajectory:
    """By way of a point, at rest there, and to the end."""
    points = np.array([KINEMATICS.inverse(np.array(via))[0], KINEMATICS.inverse(np.array(end))[0]])
    return JointTrajectory(SPEC.joint_names, np.array([2.0, 4.0]), points, np.zeros((2, 7)), np.zeros((2, 7)))


def test_a_trajectory_that_leaves_the_workspace_on_its_way_is_refused():
    assert_refused(offer(through([0.5, 0.32, 0.2])), "workspace", "On its way")
    assert offer(through([0.5, 0.305, 0.2])).decision == "accepted"


def test_a_trajectory_that_dips_towards_the_table_is_refused():
    assert_refused(offer(through([0.5, 0.0, 0.021])), "table", "On its way")


def test_an_arm_armed_outside_the_workspace_may_come_in_but_not_go_further_out():
    inwards = trajectory_to([0.34, 0.0, 0.36], HOME)
    assert offer(inwards, Bench(q=HOME)).decision == "accepted"
    outwards_first = JointTrajectory(
        SPEC.joint_names,
        np.array([2.0, 4.0]),
        np.array([KINEMATICS.inverse(np.array([0.34, 0.0, 0.55]))[0], KINEMATICS.inverse(CENTRE)[0]]),
        np.zeros((2, 7)),
        np.zeros((2, 7)),
    )
    assert_refused(offer(outwards_first, Bench(q=HOME)), "workspace", "On its way")


def test_a_trajectory_that_only_holds_when_it_arrives_in_time_is_refused():
    """Its first point is so near in time that 30 ms of delay would need more than the joints can do."""
    bench = Bench().moving()
    state = bench.state
    late = bench.spline.sample(0.201)
    points = (np.array([late.positions, bench.spline.sample(9.0).positions]),)
    hurried = JointTrajectory(
        SPEC.joint_names,
        np.array([0.001, 0.4]),
        *points,
        np.array([late.velocities, REST]),
        np.array([late.accelerations, REST]),
    )
    assert Spline(state, hurried).duration_s == 0.4
    report = offer(hurried, bench)
    assert report.decision == "refused"
    assert "early or late" in report.refusal.reason
