"""Deadman switches and the e-stop: what each of them does to the guardrail."""

from dataclasses import replace

import pytest
from guardrail_bench import (
    DYNAMICS,
    KINEMATICS,
    MS,
    REST,
    SPEC,
    START,
    T0,
    Bench,
    assert_braked,
    assert_refused,
    at_rest,
)
from people_cell import assert_stopped

from ami_robot.safety.guardrail import Guardrail


def test_a_held_switch_moves_the_arm_and_letting_go_stops_it():
    bench = Bench()
    bench.guardrail.deadman("teleop", True, T0)
    assert_refused(bench.propose(), "source")
    bench.sequence = 0
    assert bench.propose(source="teleop").decision == "accepted"
    bench.wait(150).guardrail.deadman("teleop", False, bench.now_ns)
    assert_stopped(bench, bench.step(), "deadman")
    bench.wait(200)
    assert_refused(bench.propose(source="teleop"), "source")
    assert_refused(bench.propose(), "source")
    bench.guardrail.select_source("planner")
    assert bench.propose().decision == "accepted"


def test_a_stop_that_no_brake_could_begin_is_over_with_the_next_motion():
    bench = Bench()
    bench.guardrail.deadman("teleop", True, T0)
    assert bench.propose(source="teleop").decision == "accepted"
    loose, bench.guardrail._spec = bench.guardrail._spec, replace(SPEC, table=replace(SPEC.table, height_m=0.195))
    bench.wait(200).guardrail.deadman("teleop", False, bench.now_ns)
    report = bench.step()
    assert (report.decision, report.refusal.guardrail, report.sent) == ("brake", "deadman", None)
    bench.guardrail._spec = loose
    bench.guardrail.select_source("planner")
    assert bench.propose().decision == "accepted"
    assert bench.wait(10).step() is None


def test_a_switch_that_falls_silent_stops_the_arm():
    bench = Bench()
    bench.guardrail.deadman("teleop", True, T0)
    assert bench.propose(source="teleop").decision == "accepted"
    assert bench.wait(200).step() is None
    assert_stopped(bench, bench.wait(10).step(), "deadman")


@pytest.mark.parametrize("says_so", [True, False], ids=["says so", "falls silent"])
def test_a_switch_that_is_let_go_while_the_arm_is_disarmed_is_not_held_for_ever(says_so):
    bench = Bench()
    bench.guardrail.deadman("teleop", True, T0)
    bench.guardrail.disarm(T0)
    with pytest.raises(ValueError, match="holds its deadman switch"):
        bench.guardrail.select_source("planner")
    if says_so:
        bench.guardrail.deadman("teleop", False, T0)
    bench.wait(10 if says_so else 210).step()
    bench.guardrail.select_source("planner")
    assert bench.guardrail.arm(at_rest(START), bench.now_ns, bench.now_ns) is None
    assert bench.propose().decision == "accepted"


def test_a_switch_drops_what_the_planner_proposed_before():
    bench = Bench()
    bench.guardrail.propose(bench.proposal())
    bench.guardrail.deadman("teleop", True, T0)
    assert bench.step() is None


def test_the_e_stop_brakes_at_once_disarms_and_latches():
    bench = Bench().moving()
    report = bench.guardrail.e_stop(True, bench.now_ns)
    assert_braked(bench, report, "e_stop")
    assert report.sent is not None
    assert report.e_stopped
    assert bench.guardrail.reset_e_stop(bench.now_ns).guardrail == "e_stop", "it is pressed, and the arm moves"
    assert bench.guardrail.e_stop(False, bench.now_ns) is None
    assert "at rest" in bench.guardrail.reset_e_stop(bench.now_ns).reason
    bench.wait(1000)
    where = at_rest(report.target_joint_positions)
    assert bench.guardrail.arm(where, bench.now_ns, bench.now_ns).guardrail == "e_stop"
    assert bench.guardrail.reset_e_stop(bench.now_ns) is None
    assert not bench.guardrail.armed, "reset does not arm"
    assert bench.guardrail.arm(where, bench.now_ns, bench.now_ns) is None
    assert not bench.guardrail.status(bench.now_ns).e_stopped


def test_an_e_stop_pressed_on_a_disarmed_guardrail_latches_too():
    bench = Bench(armed=False)
    assert bench.guardrail.e_stop(True, T0).e_stopped
    assert bench.guardrail.arm(at_rest(START), T0, T0).guardrail == "e_stop"


def test_a_silent_e_stop_line_disarms():
    spec = replace(SPEC, e_stop=replace(SPEC.e_stop, max_silence_s=0.5))
    guardrail = Guardrail(spec, KINEMATICS, DYNAMICS)
    assert guardrail.arm(at_rest(START), T0, T0).guardrail == "e_stop"
    guardrail.e_stop(False, T0)
    assert guardrail.reset_e_stop(T0) is None
    assert guardrail.arm(at_rest(START), T0, T0) is None
    late_ns = T0 + 501 * MS
    report = guardrail.step(SPEC.joint_names, START, REST, late_ns, late_ns)
    assert (report.decision, report.refusal.guardrail, report.armed) == ("brake", "e_stop", False)


def test_the_reset_of_the_e_stop_needs_a_disarmed_guardrail_and_a_time():
    assert Bench().guardrail.reset_e_stop(T0).guardrail == "e_stop"
    assert Bench(armed=False).guardrail.reset_e_stop(None).guardrail == "e_stop"
