"""A fault at a moment at which no brake can be verified: tried again until one holds, or the arm rests."""

import numpy as np
import pytest
from guardrail_bench import SPEC
from recorded_run import START_NS, TICK_NS, RecordedRun

UP = np.array([0.0, 0.0, 0.038])


@pytest.fixture
def run():
    """In full motion."""
    run = RecordedRun(SPEC)
    run.begin()
    run.propose(UP, ticks=15)
    run.reports.clear()
    return run


def without_brakes(run, monkeypatch, calls):
    """For so many times no brake holds."""
    brakes, left = run.guardrail._brakes, iter(range(calls))
    monkeypatch.setattr(run.guardrail, "_brakes", lambda *at: iter(()) if next(left, None) is not None else brakes(*at))


def test_it_stays_armed_for_a_later_brake_and_then_is_disarmed(run, monkeypatch):
    without_brakes(run, monkeypatch, 4)
    run.disarm()
    assert run.reports[-1].decision == "brake" and run.reports[-1].sent is None and run.guardrail.armed
    for _ in range(4):
        run.tick()
    (told, sent) = (report for report in run.reports if report.decision == "brake")
    assert told.refusal == sent.refusal and sent.sent is not None and not sent.armed and not run.guardrail.armed
    assert sent.stamp_ns - told.stamp_ns == 4 * TICK_NS


def test_nothing_else_moves_it_meanwhile(run, monkeypatch):
    without_brakes(run, monkeypatch, 20)
    run.disarm()
    run.propose(UP, ticks=1)
    assert run.reports[-1].decision == "brake" and run.reports[-1].sent is None
    assert run.guardrail.arm(run.state, run.now_ns, run.now_ns) is not None


def test_at_rest_it_is_disarmed_even_if_no_brake_ever_held(run, monkeypatch):
    without_brakes(run, monkeypatch, 10_000)
    run.disarm()
    run.rest()
    assert not run.guardrail.armed and all(report.sent is None for report in run.reports)


def test_without_joint_states_it_is_tried_again_as_often_as_that_is_said(run, monkeypatch):
    without_brakes(run, monkeypatch, 2)
    said = [run.guardrail.silence(run.now_ns + ms * 1_000_000) for ms in (1, 2, 3, 4)]
    assert [None if report is None else report.sent is not None for report in said] == [False, None, True, None]
    assert not run.guardrail.armed


def test_a_joint_state_of_no_time_begins_no_brake_where_the_arm_was_long_ago(run, monkeypatch):
    without_brakes(run, monkeypatch, 1)
    run.disarm()
    names, state = SPEC.joint_names, run.state
    no_time = float("-inf")
    assert run.guardrail.step(names, state.positions, state.velocities, no_time, no_time) is None
    assert run.guardrail.armed
    run.tick()
    assert run.reports[-1].sent is not None and not run.guardrail.armed


def test_a_clock_that_went_back_ends_the_trying(run, monkeypatch):
    without_brakes(run, monkeypatch, 1)
    run.disarm()
    assert run.guardrail.armed
    report = run.guardrail.disarm(run.now_ns - 10 * TICK_NS)
    assert report.decision == "brake" and report.sent is None and not report.armed and not run.guardrail.armed


@pytest.mark.parametrize("no_known_time", [START_NS, float("nan")])
def test_where_time_is_not_known_the_brake_holds_from_all_that_it_may_be(no_known_time):
    """Joint states were missing for almost as long as they may, and then the clock goes back or says nothing."""
    run = RecordedRun(SPEC)
    run.begin()
    run.propose(UP, ticks=8)
    run.now_ns += 4 * TICK_NS
    run.keep(run.guardrail.disarm(no_known_time))
    assert run.reports[-1].sent is not None
    times_s = run.now_ns / 1e9 + np.linspace(0.0, 1.0, 1001)
    accelerations = np.stack([run.arm.sample(time_s).accelerations for time_s in times_s])
    assert (np.abs(accelerations) <= SPEC.joint_acceleration.limit_rad_per_s2).all()
