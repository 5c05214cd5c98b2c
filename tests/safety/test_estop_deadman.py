"""E-stop and deadman switches by themselves: every doubt is pressed for the one, let go for the other."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.spec import load_spec
from ami_robot.safety.switches import EStop, Sources

SPEC = load_spec()
WITH_HEARTBEAT = replace(SPEC, e_stop=replace(SPEC.e_stop, max_silence_s=0.5))
MS, T0 = 1_000_000, 1_000_000_000
MAX_AGE_NS = int(SPEC.deadman.max_age_s * 1e9)
NO_TIMES = [None, 0.5, "now", True, -1, 2**63, float("nan")]


# --- e-stop ----------------------------------------------------------------------------------------------------------


def test_a_pressed_e_stop_stays_latched_when_it_is_released():
    e_stop = EStop(SPEC)
    assert e_stop.check(T0) is None
    e_stop.hear(True, T0)
    e_stop.hear(False, T0 + MS)
    assert e_stop.latched
    assert e_stop.check(T0 + MS).guardrail == "e_stop"


def test_a_pressed_e_stop_cannot_be_reset():
    e_stop = EStop(SPEC)
    e_stop.hear(True, T0)
    assert "pressed" in e_stop.reset(T0).reason
    assert e_stop.latched
    e_stop.hear(False, T0)
    assert e_stop.reset(T0) is None
    assert not e_stop.latched
    assert e_stop.check(T0) is None


@pytest.mark.parametrize("pressed", [True, None, 0, 1, "", "off", np.nan, np.array([False]), np.bool_(False)])
def test_what_is_not_clearly_released_is_pressed(pressed):
    e_stop = EStop(SPEC)
    e_stop.hear(pressed, T0)
    assert e_stop.latched


def test_a_line_with_a_heartbeat_latches_when_it_falls_silent():
    e_stop = EStop(WITH_HEARTBEAT)
    e_stop.hear(False, T0)
    assert e_stop.check(T0 + 500 * MS) is None
    assert "silent" in e_stop.check(T0 + 501 * MS).reason
    assert "silent" in e_stop.reset(T0 + 501 * MS).reason
    e_stop.hear(False, T0 + 600 * MS)
    assert e_stop.check(T0 + 600 * MS) is not None, "speaking again does not unlatch it"
    assert e_stop.reset(T0 + 600 * MS) is None


def test_a_line_with_a_heartbeat_that_never_spoke_counts_as_pressed():
    assert EStop(WITH_HEARTBEAT).check(T0) is not None


@pytest.mark.parametrize("now", NO_TIMES)
def test_an_e_stop_heard_or_checked_at_no_time_is_silent(now):
    e_stop = EStop(WITH_HEARTBEAT)
    e_stop.hear(False, T0)
    assert e_stop.check(now) is not None
    e_stop = EStop(WITH_HEARTBEAT)
    e_stop.hear(False, now)
    assert e_stop.check(T0) is not None


# --- sources ---------------------------------------------------------------------------------------------------------


def selected(name="planner") -> Sources:
    sources = Sources(SPEC)
    sources.select(name)
    return sources


def test_nobody_moves_the_arm_before_somebody_is_selected():
    assert Sources(SPEC).active is None
    assert selected().active == "planner"


@pytest.mark.parametrize("name", ["", None, 3, ["planner"]])
def test_a_source_without_a_name_is_not_selected(name):
    with pytest.raises(ValueError, match="source"):
        Sources(SPEC).select(name)


def test_a_deadman_source_that_is_selected_but_not_held_moves_nothing():
    assert selected("teleop").active is None


def test_a_held_switch_pre_empts_the_selected_source():
    sources = selected()
    sources.hear("teleop", True, T0)
    assert sources.active == "teleop"
    assert sources.expire(T0) is None


def test_after_letting_go_nobody_moves_the_arm_until_somebody_is_selected():
    sources = selected()
    sources.hear("teleop", True, T0)
    sources.hear("teleop", False, T0 + MS)
    assert "let go" in sources.expire(T0 + MS).reason
    assert sources.expire(T0 + MS) is None, "said once"
    assert sources.active is None
    sources.hear("teleop", True, T0 + 2 * MS)
    assert sources.active is None, "nor by pressing again"
    sources.select("planner")
    assert sources.active == "planner"
    sources.hear("teleop", True, T0 + 3 * MS)
    assert sources.active == "teleop"


def test_a_switch_that_falls_silent_is_let_go():
    sources = selected()
    sources.hear("teleop", True, T0)
    assert sources.expire(T0 + MAX_AGE_NS) is None
    refusal = sources.expire(T0 + MAX_AGE_NS + MS)
    assert (refusal.guardrail, sources.active) == ("deadman", None)
    assert refusal.margin == pytest.approx(-1e-3)


def test_a_switch_that_goes_on_speaking_is_held():
    sources = selected()
    for tick in range(10):
        now_ns = T0 + tick * MAX_AGE_NS
        sources.hear("teleop", True, now_ns)
        assert sources.expire(now_ns) is None
    assert sources.active == "teleop"


@pytest.mark.parametrize("pressed", [False, None, 1, "yes", np.nan, np.bool_(True), [True]])
def test_what_is_not_clearly_held_is_let_go(pressed):
    sources = selected()
    sources.hear("teleop", pressed, T0)
    assert sources.active == "planner", "it was never held"
    sources.hear("teleop", True, T0)
    sources.hear("teleop", pressed, T0)
    assert sources.expire(T0) is not None


@pytest.mark.parametrize("now", NO_TIMES)
def test_a_switch_held_at_no_time_is_let_go(now):
    sources = selected()
    sources.hear("teleop", True, now)
    assert sources.active == "planner"
    sources.hear("teleop", True, T0)
    assert sources.expire(now) is not None


@pytest.mark.parametrize("source", ["planner", "", None, 7, ["teleop"]])
def test_a_switch_that_the_guardrail_file_does_not_name_moves_nothing(source):
    sources = selected()
    sources.hear(source, True, T0)
    assert sources.active == "planner"
    assert sources.expire(T0 + 10**12) is None


def test_nobody_is_selected_over_a_held_switch():
    sources = selected()
    sources.hear("teleop", True, T0)
    with pytest.raises(ValueError, match="let go"):
        sources.select("planner")
    sources.select("teleop")
    assert sources.active == "teleop"


def test_of_two_switches_the_first_one_moves_the_arm_until_it_is_let_go():
    two = replace(SPEC, deadman=replace(SPEC.deadman, sources=("teleop", "pendant")))
    sources = Sources(two)
    sources.hear("teleop", True, T0)
    sources.hear("pendant", True, T0)
    sources.hear("pendant", False, T0)
    assert (sources.active, sources.expire(T0)) == ("teleop", None)
