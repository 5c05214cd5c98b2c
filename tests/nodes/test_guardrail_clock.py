"""What the guardrail takes for now, on a clock that everybody shares and on one that arrives as messages."""

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
