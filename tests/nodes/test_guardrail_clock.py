"""What the guardrail takes for now, on a clock that all share or one that arrives as messages; and for silence."""

import time
from types import SimpleNamespace

import pytest

from ami_nodes.convert import to_time
from ami_nodes.guardrail import GuardrailNode
from ami_robot.types import NS_PER_S


def now_ns(simulated, clock_s, joint_state_s, report_s):
    """What it takes for now, in seconds."""
    node = SimpleNamespace(
        now_ns=lambda: int(clock_s * NS_PER_S),
        get_clock=lambda: SimpleNamespace(ros_time_is_active=simulated),
        latest=SimpleNamespace(header=SimpleNamespace(stamp=to_time(int(joint_state_s * NS_PER_S)))),
        told_ns=int(report_s * NS_PER_S),
    )
    return GuardrailNode.sense_ns(node) / NS_PER_S


@pytest.mark.parametrize(("joint_state_s", "report_s"), [(8.0, 5.0), (5.0, 8.0)])
def test_a_system_clock_that_was_set_back_is_not_hidden_from_the_guardrail(joint_state_s, report_s):
    assert now_ns(False, 6.0, joint_state_s, report_s) == 6.0


@pytest.mark.parametrize(("joint_state_s", "report_s"), [(8.0, 5.0), (5.0, 8.0), (5.0, 5.0)])
def test_simulated_time_that_arrives_late_is_behind_no_joint_state_and_no_report(joint_state_s, report_s):
    assert now_ns(True, 6.0, joint_state_s, report_s) == max(6.0, joint_state_s, report_s)


class Watched:
    """As much of the node as its watchdog looks at."""

    def __init__(self):
        self.spec = SimpleNamespace(staleness=SimpleNamespace(joint_state_s=0.05))
        self.guardrail = SimpleNamespace(silence=lambda now_ns: "a brake", armed=True)
        self.silent, self.overdue_ticks, self.told = False, 0, []
        self.publish, self.sense_ns = self.told.append, lambda: 0

    def tick(self, quiet_s):
        self.heard_s = time.monotonic() - quiet_s
        GuardrailNode.on_watchdog(self)


def test_a_guardrail_that_was_busy_itself_reads_the_waiting_joint_states_before_it_calls_them_silent():
    node = Watched()
    node.tick(quiet_s=0.001)
    node.tick(quiet_s=0.051)  # it was arming, for example
    assert node.told == []
    node.tick(quiet_s=0.0)
    node.tick(quiet_s=0.051)
    assert node.told == []


def test_joint_states_are_silent_when_they_are_overdue_at_two_ticks_in_a_row_and_while_armed_that_is_said_again():
    node = Watched()
    node.tick(quiet_s=0.051)
    node.tick(quiet_s=0.061)
    assert node.told == ["a brake"]
    node.tick(quiet_s=0.071)
    node.guardrail.armed = False
    node.tick(quiet_s=0.081)
    node.tick(quiet_s=0.091)
    assert len(node.told) == 3
