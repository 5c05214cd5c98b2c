"""What took too long to decide is not sent: it would join the running motion elsewhere than was verified."""

import numpy as np
import pytest
from guardrail_bench import MS, SPEC, Bench, assert_braked, assert_refused

from ami_robot.safety.motion import Spline

TOO_LATE_S = SPEC.transport.decision_s + 0.001


class Slow(Bench):
    """Deciding takes the times of a list, one after the other; the last one goes on."""

    def takes(self, *times_s):
        self.times_s = list(times_s)
        self.guardrail._late_s = lambda: self.times_s.pop(0) if len(self.times_s) > 1 else self.times_s[0]
        return self


def test_what_is_decided_just_in_time_is_sent():
    assert Slow().takes(SPEC.transport.decision_s).propose().decision == "accepted"


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
def test_a_late_proposal_is_decided_again_a_little_later(moving):
    bench = Slow().moving() if moving else Slow()
    assert bench.takes(TOO_LATE_S).propose() is None
    assert bench.takes(0.0).wait(20).step().decision == "accepted"


def test_a_proposal_that_is_late_until_it_is_too_old_is_refused():
    bench = Slow().takes(TOO_LATE_S)
    bench.guardrail.propose(bench.proposal(valid_for_s=0.05))
    reports = [bench.step(), *(bench.wait(20).step() for _ in range(3))]
    said = [report for report in reports if report is not None]
    assert len(said) == 1
    assert_refused(said[0], "transport", "Deciding took 0.021 s, at most 0.02 s are allowed.")


@pytest.mark.parametrize("fault", ["e_stop", "staleness", "arming"])
def test_a_late_brake_is_decided_again_for_the_time_that_it_is_by_then(fault):
    bench = Slow().moving().takes(TOO_LATE_S, TOO_LATE_S, TOO_LATE_S + 0.005)
    running, since_ns = bench.spline, bench.since_ns
    report = {
        "e_stop": lambda now_ns: bench.guardrail.e_stop(True, now_ns),
        "staleness": bench.guardrail.silence,
        "arming": bench.guardrail.disarm,
    }[fault](bench.now_ns)
    assert_braked(bench, report, fault)
    assert report.stamp_ns == bench.now_ns + 21 * MS
    begun = running.sample((report.stamp_ns - since_ns) / 1e9)
    rest = Spline(begun, report.sent)
    assert rest.duration_s < 0.4
    np.testing.assert_allclose(rest.sample(rest.duration_s).positions, report.target_joint_positions)
    assert bench.guardrail.status(report.stamp_ns).armed is False


@pytest.mark.parametrize("late_s", [10.0, float("nan"), float("inf"), -0.001])
def test_a_brake_that_is_late_for_ever_or_at_no_time_waits_for_the_next_step(late_s):
    bench = Slow().moving().takes(late_s)
    report = bench.guardrail.disarm(bench.now_ns)
    assert (report.decision, report.refusal.guardrail, report.sent, report.armed) == ("brake", "arming", None, True)
    begun = bench.takes(0.0).wait(10).step()
    assert_braked(bench, begun, "arming")
    assert begun.sent is not None


def test_a_late_protective_stop_begins_with_the_next_joint_state():
    bench = Slow()
    bench.guardrail.deadman("teleop", True, bench.now_ns)
    assert bench.propose(source="teleop").decision == "accepted"
    bench.wait(150).guardrail.deadman("teleop", False, bench.now_ns)
    bench.takes(TOO_LATE_S, TOO_LATE_S, 2 * TOO_LATE_S)
    late = bench.step()
    assert (late.decision, late.refusal.guardrail, late.sent) == ("brake", "deadman", None)
    begun = bench.takes(0.0).wait(10).step()
    assert (begun.decision, begun.refusal.guardrail, begun.armed) == ("brake", "deadman", True)
    assert begun.sent is not None
