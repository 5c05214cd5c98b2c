"""The last gate says no to what the checks before it should never have let through."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, KINEMATICS, MS, SPEC, START, T0, UP, Bench, assert_refused, at_rest

from ami_robot.safety.last_gate import LastGate
from ami_robot.safety.motion import Spline, brake, move_to_rest
from ami_robot.types import JointState

TARGET = KINEMATICS.inverse(CENTRE + UP)[0]
MOVE = move_to_rest(at_rest(START), TARGET, SPEC)
HALF_WAY = T0 + 200 * MS


def at_start() -> LastGate:
    gate = LastGate(SPEC)
    gate.hold(START, T0)
    return gate


def moving() -> tuple[LastGate, JointState]:
    gate = at_start()
    assert gate.release(MOVE, 1, at_rest(START), T0) is None
    return gate, Spline(at_rest(START), MOVE).sample(0.2)


def with_entry(name: str, index, value):
    values = np.array(getattr(MOVE, name))
    values[index] = value
    return replace(MOVE, **{name: values})


def test_a_motion_and_a_brake_out_of_it_pass():
    gate, state = moving()
    assert gate.release(brake(state, SPEC), 2, state, HALF_WAY) is None


@pytest.mark.parametrize("late_s", [SPEC.transport.decision_s + 1e-6, 10.0, -1e-6, np.nan, np.inf])
def test_what_took_too_long_to_decide_is_stopped(late_s):
    gate = at_start()
    assert gate.release(MOVE, 1, at_rest(START), T0, late_s).guardrail == "transport"
    assert gate.release(MOVE, 1, at_rest(START), T0, SPEC.transport.decision_s) is None


@pytest.mark.parametrize("sequence", [0, 2, -1, None, 1.5])
def test_a_sequence_that_skips_or_repeats_is_stopped(sequence):
    assert at_start().release(MOVE, sequence, at_rest(START), T0).guardrail == "sequence"


def test_the_same_trajectory_does_not_pass_twice():
    gate, state = moving()
    assert gate.release(brake(state, SPEC), 1, state, HALF_WAY).guardrail == "sequence"


@pytest.mark.parametrize(
    "trajectory",
    [
        with_entry("positions", (0, 2), np.nan),
        with_entry("velocities", (0, 2), np.inf),
        with_entry("accelerations", (0, 2), np.nan),
        with_entry("times_s", 0, np.nan),
        with_entry("times_s", -1, np.inf),
        with_entry("times_s", 0, 0.0),
        with_entry("times_s", 0, 0.5),
        with_entry("velocities", (-1, 0), 1e-9),
        with_entry("accelerations", (-1, 0), 1e-9),
        replace(MOVE, positions=MOVE.positions[:1]),
        replace(MOVE, positions=MOVE.positions[:, :6]),
        replace(MOVE, times_s=np.zeros(0)),
        replace(MOVE, joint_names=tuple(reversed(SPEC.joint_names))),
    ],
)
def test_what_is_not_finite_not_in_order_or_not_at_rest_in_the_end_is_stopped(trajectory):
    assert at_start().release(trajectory, 1, at_rest(START), T0).guardrail == "trajectory"


@pytest.mark.parametrize("quantity", ["positions", "velocities", "accelerations"])
@pytest.mark.parametrize("off", [0.1, -0.1, np.nan])
def test_a_motion_from_elsewhere_than_the_commanded_state_is_stopped(quantity, off):
    gate, state = moving()
    values = getattr(state, quantity).copy()
    values[3] += off
    elsewhere = replace(state, **{quantity: values})
    refusal = gate.release(brake(state, SPEC), 2, elsewhere, HALF_WAY)
    assert (refusal.guardrail, refusal.reason[-25:]) == ("trajectory", "where the arm is told to be."[-25:])


def test_before_anything_is_known_of_the_arm_nothing_passes():
    assert LastGate(SPEC).release(MOVE, 1, at_rest(START), T0).guardrail == "trajectory"


@pytest.mark.parametrize(
    ("row", "tight"),
    [
        ("joint_position", {"upper_rad": np.maximum(START, TARGET) - 1e-3}),
        ("joint_velocity", {"limit_rad_per_s": np.full(7, 0.05)}),
        ("joint_acceleration", {"limit_rad_per_s2": np.full(7, 0.5)}),
        ("joint_jerk", {"limit_rad_per_s3": np.full(7, 5.0)}),
    ],
)
def test_a_motion_beyond_a_limit_is_stopped(row, tight):
    gate = LastGate(replace(SPEC, **{row: replace(getattr(SPEC, row), **tight)}))
    gate.hold(START, T0)
    refusal = gate.release(MOVE, 1, at_rest(START), T0)
    assert refusal.guardrail == row
    assert refusal.margin < 0


def test_what_was_stopped_is_not_remembered():
    gate, state = moving()
    assert gate.release(with_entry("positions", (0, 0), np.nan), 2, state, HALF_WAY) is not None
    assert gate.release(brake(state, SPEC), 2, state, HALF_WAY) is None


def test_its_own_account_of_the_motion_agrees_with_the_spline():
    spline = Spline(at_rest(START), MOVE)
    for ms in (0, 1, 57, 199, 200, 333, 399, 400, 5000):
        gate, _ = moving()
        state = spline.sample(ms / 1e3)
        hold = move_to_rest(state, TARGET, SPEC)
        assert gate.release(hold, 2, state, T0 + ms * MS) is None


def test_the_guardrail_sends_nothing_that_the_last_gate_stops():
    """Even when every check before it says yes."""
    bench = Bench()
    bench.guardrail._gate = LastGate(
        replace(SPEC, joint_velocity=replace(SPEC.joint_velocity, limit_rad_per_s=np.full(7, 0.05)))
    )
    bench.guardrail._gate.hold(START, T0)
    assert_refused(bench.propose(), "joint_velocity", "to be sent")
    assert bench.propose().sequence == 0


def test_a_brake_too_passes_the_last_gate_or_is_not_sent():
    bench = Bench().moving()
    bench.guardrail._gate.hold(START, T0)  # it believes that the arm is somewhere else
    report = bench.guardrail.disarm(bench.now_ns)
    assert (report.decision, report.sent, report.sequence) == ("brake", None, 0)
    np.testing.assert_allclose(report.target_tool_position, CENTRE + UP, atol=1e-9)
