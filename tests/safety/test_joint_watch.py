"""Joint states that are not what they should be brake and disarm."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import DYNAMICS, MS, REST, SPEC, START, T0, UP, Bench, assert_braked

from ami_robot.safety.joint_watch import JointWatch
from ami_robot.safety.motion import Spline, excess
from ami_robot.safety.record import CommandRecord
from ami_robot.types import HeldTool


def open_space():
    """A cell in which the arm may be anywhere and anyhow."""
    return replace(
        SPEC,
        table=replace(SPEC.table, height_m=-2.0),
        arm_space=replace(SPEC.arm_space, lower_m=np.full(3, -2.0), upper_m=np.full(3, 2.0)),
        self_collision=replace(SPEC.self_collision, clearance_m=-1.0),
        singularity=replace(SPEC.singularity, min_singular_value=-1.0),
        contact=replace(SPEC.contact, approach_height_m=-2.0),
    )


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
    bench = Bench().moving().wait(45, silent=True)
    assert bench.step(stamp_ns=bench.now_ns - 44 * MS) is None
    bench.wait(7)
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns - 51 * MS), "staleness")


@pytest.mark.parametrize(("silent_ms", "brakes"), [(49, False), (51, True)])
def test_joint_states_that_stayed_away_brake_when_they_come_again(silent_ms, brakes):
    """Or the clock was set: either way nobody knows how far along the arm is."""
    bench = Bench().moving().wait(silent_ms, silent=True)
    report = bench.step()
    assert (report is not None) == brakes
    if brakes:
        assert_braked(bench, report, "staleness")


def test_a_joint_state_from_the_future_brakes():
    bench = Bench().moving()
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns + 51 * MS), "staleness")


def test_stamps_that_go_back_brake():
    bench = Bench().moving()
    assert bench.step() is None
    assert_braked(bench, bench.step(stamp_ns=bench.now_ns - MS), "staleness")


def test_a_joint_state_from_before_arming_brakes():
    bench = Bench()
    assert_braked(bench, bench.step(stamp_ns=T0 - MS), "staleness")
    bench = Bench()
    assert_braked(bench, bench.step(stamp_ns=T0, now_ns=T0 - MS), "staleness")


def test_a_brake_before_the_first_joint_state_is_one_from_the_time_of_arming():
    """By a time that is none: the last one believed is that of arming, not the beginning of all clocks."""
    bench = Bench()
    report = bench.guardrail.disarm(None)
    assert_braked(bench, report, "arming")
    assert report.stamp_ns == T0


def test_before_anything_was_believed_any_time_may_come():
    record, watch = CommandRecord(SPEC), JointWatch(SPEC, DYNAMICS)
    record.hold(START, UP, 0)
    assert watch.last_now_ns == 0
    assert watch.fault(SPEC.joint_names, START, REST, None, 0, 0, record, 0.0) is None
    assert watch.fault(SPEC.joint_names, START, REST, None, 7 * MS, 7 * MS, record, 0.0) is None
    assert watch.last_now_ns == 7 * MS


def test_a_clock_that_goes_back_brakes():
    bench = Bench().moving()
    assert bench.step() is None
    assert_braked(bench, bench.step(now_ns=bench.now_ns - MS), "staleness")


def test_it_says_by_how_much_time_went_back():
    for back in ({"now_ns": -7}, {"stamp_ns": -7}, {"now_ns": -7, "stamp_ns": -3}):
        bench = Bench().moving()
        assert bench.step() is None
        report = bench.step(**{which: bench.now_ns + ms * MS for which, ms in back.items()})
        assert report.refusal.reason == "Time went back by 0.007 s." and report.refusal.margin == pytest.approx(-0.007)


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
    bench = Bench(q=q, spec=open_space())
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
    report = bench.wait(60).guardrail.silence(bench.now_ns)
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
    assert (report.decision, report.refusal.guardrail, report.sent) == ("brake", "staleness", None)
    bench.wait(1000)  # on either clock: longer than the arm was still to move
    report = bench.step(stamp_ns=bench.now_ns, now_ns=bench.now_ns + 10**11)
    assert_braked(bench, report, "staleness")
    assert report.sent is None


@pytest.mark.parametrize("jump_ms", [60, 80, 120, 200])
def test_a_brake_after_a_clock_that_jumped_ahead_holds_from_where_the_arm_really_is(jump_ms):
    bench = Bench().moving()
    assert bench.step() is None
    really = bench.wait(10).state
    report = bench.step(now_ns=bench.now_ns + jump_ms * MS)
    if report.sent is None:  # for a time that is known so badly none holds
        assert (report.decision, report.armed) == ("brake", True)
        report, really = bench.wait(10).step(), bench.state
    assert_braked(bench, report, "staleness")
    assert excess(Spline(really, report.sent).extremes(), SPEC, whole_limits=True) <= 1e-9


def efforts(q, push=REST):
    return DYNAMICS.torques(q, REST, REST) + push


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_push_beyond_the_threshold_brakes_and_disarms(joint, side):
    bench = Bench()
    limit = SPEC.contact.max_external_torque_n_m
    push = np.eye(7)[joint] * side
    assert bench.step(efforts=efforts(START, push * (limit - 0.1))) is None
    assert_braked(bench, bench.step(efforts=efforts(START, push * (limit + 0.1))), "contact")


def test_a_push_is_what_remains_after_gravity_and_the_load():
    bench = Bench()
    carried = DYNAMICS.torques(START, REST, REST, 5.0)
    assert np.abs(carried - efforts(START)).max() > SPEC.contact.max_external_torque_n_m
    bench.guardrail.held_tool(HeldTool(T0, "blunt", UP, 5.0))
    assert bench.step(efforts=carried) is None
    assert_braked(other := Bench(), other.step(efforts=carried), "contact")


@pytest.mark.parametrize("bad", [REST[:6], REST * np.nan, "seven", [None] * 7, np.full(7, np.inf), np.zeros((7, 1))])
def test_efforts_that_are_no_torques_brake(bad):
    bench = Bench()
    assert_braked(bench, bench.step(efforts=bad), "joint_state")
