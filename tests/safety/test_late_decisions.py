"""What took too long to decide is not sent: it would join the running motion elsewhere than was verified."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import MS, SPEC, Bench, assert_braked, assert_refused

TOO_LATE_S = SPEC.transport.decision_s + 0.001


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
def test_a_late_proposal_is_decided_again_a_little_later(moving):
    bench = Bench().moving() if moving else Bench()
    bench.late_s = TOO_LATE_S
    assert bench.propose() is None
    bench.late_s = 0.0
    assert bench.wait(20).step().decision == "accepted"


def test_a_proposal_that_is_late_until_it_is_too_old_is_refused():
    bench = Bench()
    bench.late_s = TOO_LATE_S
    bench.guardrail.propose(bench.proposal(valid_for_s=0.05))
    reports = [bench.step()]
    for _ in range(3):
        reports.append(bench.wait(20).step())
    said = [report for report in reports if report is not None]
    assert len(said) == 1
    assert_refused(said[0], "transport", "Deciding took 0.021 s, at most 0.02 s are allowed.")


def test_a_stop_that_is_late_begins_with_the_next_joint_state_and_is_said_twice():
    bench = Bench()
    bench.guardrail.deadman("teleop", True, bench.now_ns)
    assert bench.propose(source="teleop").decision == "accepted"
    bench.wait(150).guardrail.deadman("teleop", False, bench.now_ns)
    bench.late_s = TOO_LATE_S
    late = bench.step()
    assert (late.decision, late.refusal.guardrail, late.sent) == ("brake", "deadman", None)
    assert bench.wait(10).step() is None
    bench.late_s = 0.0
    begun = bench.wait(10).step()
    assert (begun.decision, begun.refusal.guardrail, begun.armed) == ("brake", "deadman", True)
    assert begun.sent is not None


@pytest.mark.parametrize("fault", ["e_stop", "staleness"])
def test_a_brake_that_disarms_and_is_late_begins_with_the_next_joint_state(fault):
    bench = Bench().moving()
    bench.late_s = TOO_LATE_S
    late = bench.guardrail.e_stop(True, bench.now_ns) if fault == "e_stop" else bench.guardrail.silence(bench.now_ns)
    assert_braked(bench, late, fault)
    assert late.sent is None
    bench.late_s = 0.0
    begun = bench.wait(10).step()
    assert_braked(bench, begun, fault)
    assert begun.sequence == 2
    assert begun.sent.times_s[-1] < 0.4
    assert bench.wait(10).step() is None


def test_a_late_brake_is_over_when_the_motion_has_come_to_rest_and_the_arm_can_be_armed_again():
    bench = Bench().moving()
    bench.late_s = TOO_LATE_S
    assert bench.guardrail.disarm(bench.now_ns).sent is None
    bench.wait(2000)
    bench.late_s = 0.0
    assert bench.step() is None
    state = replace(bench.state, velocities=0.0 * bench.state.velocities)
    assert bench.guardrail.arm(state, bench.now_ns, bench.now_ns) is None
    assert bench.wait(10).step() is None
    assert bench.propose().decision == "accepted"


@pytest.mark.parametrize("how", ["elsewhere", "old", "unknown", "timeless"])
def test_a_late_brake_is_given_up_where_the_arm_does_not_do_what_it_was_sent(how):
    bench = Bench().moving()
    bench.late_s = TOO_LATE_S
    bench.guardrail.disarm(bench.now_ns)
    bench.late_s = 0.0
    bench.wait(10)
    wrong = {
        "elsewhere": {"positions": bench.state.positions + 0.2},
        "old": {"stamp_ns": bench.now_ns - 100 * MS},
        "timeless": {"now_ns": float("nan")},
        "unknown": {"positions": np.full(7, np.nan)},
    }
    assert bench.step(**wrong[how]) is None
    assert bench.wait(10).step() is None
