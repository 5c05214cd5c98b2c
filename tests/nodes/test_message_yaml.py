"""Messages as YAML and back, with every kind of field that there is."""

import pytest
import yaml
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import ProposedCommand
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseWithCovariance
from rcl_interfaces.msg import ParameterValue
from sensor_msgs.msg import JointState
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Byte, Empty, UInt8
from std_srvs.srv import Trigger

from ami_nodes.interfaces import interface_class
from ami_nodes.message_yaml import LONGEST_ARRAY, MessageError, from_yaml, to_yaml


def test_lists_of_messages_bytes_and_words_are_shown():
    status = DiagnosticStatus(level=DiagnosticStatus.WARN, name="arm: left", values=[KeyValue(key="hz", value="3")])
    (shown,) = yaml.safe_load(to_yaml(DiagnosticArray(status=[status])))["status"]
    assert shown["level"] == 1 and shown["name"] == "arm: left" and shown["values"] == [{"key": "hz", "value": "3"}]


def test_numbers_stand_side_by_side_and_only_long_rows_are_counted():
    state = JointState(position=[0.5] * LONGEST_ARRAY, velocity=[0.5] * (LONGEST_ARRAY + 1), name=["a"] * 65)
    lines = to_yaml(state).splitlines()
    assert f"position: [{', '.join(['0.5'] * LONGEST_ARRAY)}]" in lines
    assert "velocity: <float64 array, 65 elements>" in lines
    assert "name: <string array, 65 elements>" in lines


@pytest.mark.parametrize("kind", [Empty, Trigger.Request])
def test_a_message_without_fields_is_an_empty_mapping(kind):
    assert to_yaml(kind()) == "{}\n"
    assert from_yaml(kind, "") == kind()
    with pytest.raises(MessageError, match=r"no field 'data'; it takes \{\}"):
        from_yaml(kind, "data: 1")


@pytest.mark.parametrize(
    "message",
    [
        JointState(name=["a", "b"], position=[1.0, float("inf")]),
        PoseWithCovariance(covariance=[float(number) for number in range(36)]),
        ParameterValue(byte_array_value=[b"\x00", b"\xff"], bool_array_value=[True, False], integer_array_value=[-1]),
        ProposedCommand(source="teleop"),
        Byte(data=b"\xff"),
        SolidPrimitive(dimensions=[0.1, 0.2, 0.3]),
    ],
)
def test_what_is_shown_is_read_back(message):
    assert from_yaml(type(message), to_yaml(message)) == message


@pytest.mark.parametrize("text", ["1", "1.0", "1e0", "'1'"])
def test_a_float_may_be_written_in_every_way(text):
    assert from_yaml(JointState, f"position: [{text}]").position[0] == 1.0


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (UInt8, "data: 256", "data takes uint8, not 256"),
        (UInt8, "data: -1", "data takes uint8, not -1"),
        (UInt8, "data: true", "data takes uint8, not True"),
        (Byte, "data: 256", "data takes byte, not 256"),
        (JointState, "name: arm", r"name takes string\[\], a list, not 'arm'"),
        (JointState, "name: [arm, 7]", r"name\[1\] takes string, not 7"),
        (JointState, "position: [fast]", r"position\[0\] takes float64, not 'fast'"),
        (JointState, "header: {stamp: {sec: 0.5}}", r"header\.stamp\.sec takes int32, not 0\.5"),
        (JointState, "header: {stamp: now}", r"header\.stamp takes \{sec: int32, nanosec: uint32\}, not 'now'"),
        (DiagnosticArray, "status: [{}, {nam: x}]", r"status\[1\] has no field 'nam'; it takes \{level: byte"),
        (PoseWithCovariance, "covariance: [1.0]", r"covariance takes float64\[36\], a list"),
        (SolidPrimitive, "dimensions: [1, 2, 3, 4]", r"dimensions takes float64\[<=3\], a list"),
    ],
)
def test_what_does_not_fit_is_named(kind, text, said):
    with pytest.raises(MessageError, match=said):
        from_yaml(kind, text)


def test_the_feedback_of_an_action_has_a_class():
    assert interface_class("ami_interfaces/action/PursueGoal_FeedbackMessage") is PursueGoal.Impl.FeedbackMessage
