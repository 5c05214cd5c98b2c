"""One guardrail file for all nodes that reckon with limits; one that cannot be used keeps a node from configuring."""

import hashlib
from xml.etree import ElementTree

import pytest
from ami_interfaces.msg import GuardrailReport
from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleState

from ami_nodes.arm import ArmNode
from ami_nodes.encoder import EncoderNode
from ami_nodes.graph_client import position_goal
from ami_nodes.guardrail import GuardrailNode
from ami_nodes.planner import PlannerNode
from ami_robot.safety.spec import DEFAULT_SPEC
from ami_robot.types import Goal
from tests.nodes.graph import LAUNCH_FILE


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


UNCONFIGURED = LifecycleState("unconfigured", State.PRIMARY_STATE_UNCONFIGURED)
NODES = {"arm": ArmNode, "encoder": EncoderNode, "planner": PlannerNode, "guardrail": GuardrailNode}


@pytest.fixture
def node(ros, request):
    node = NODES[request.param](request.param)
    yield node
    node.destroy_node()


@pytest.mark.parametrize("node", NODES, indirect=True)
def test_a_file_that_is_not_there_keeps_the_node_from_configuring(node, tmp_path, capfd):
    node.settings.guardrail_file = str(tmp_path / "missing.yaml")
    node.on_configure(UNCONFIGURED)
    said = capfd.readouterr().err
    assert f"{node.get_name()} cannot configure: " in said and "missing.yaml" in said and "Traceback" not in said


@pytest.mark.parametrize("node", NODES, indirect=True)
def test_the_shipped_file_is_the_default_and_another_is_read(node, tmp_path):
    assert node.load_spec().sha256 == sha256(DEFAULT_SPEC)
    copy = tmp_path / "cell.yaml"
    copy.write_text(DEFAULT_SPEC.read_text() + "# another cell\n")
    node.settings.guardrail_file = str(copy)
    assert node.load_spec().sha256 == sha256(copy) != sha256(DEFAULT_SPEC)


def test_the_launch_file_gives_one_file_to_every_node_that_takes_one():
    values = {}
    for node in ElementTree.parse(LAUNCH_FILE.with_name("bringup.launch.xml")).getroot().iter("node"):
        for param in node.findall("param[@name='guardrail_file']"):
            values[node.get("name")] = param.get("value")
    assert values == dict.fromkeys(NODES, "$(var guardrail_file)")


@pytest.mark.parametrize("node", ["planner"], indirect=True)
def test_a_planner_pursues_nothing_while_the_guardrail_decides_by_another_file(node, tmp_path):
    node.settings.config = "analytic"
    node.on_configure(UNCONFIGURED)
    request = position_goal([0.5, 0.0, 0.2])
    assert isinstance(node.goal_of(request), Goal), "nothing was heard of a guardrail yet"
    target = {"target_joint_positions": [0.0] * 7}
    node.on_report(GuardrailReport(spec_sha256=sha256(DEFAULT_SPEC), **target))
    assert isinstance(node.goal_of(request), Goal)
    node.on_report(GuardrailReport(spec_sha256="0123456789abcdef", **target))
    refusal = node.goal_of(request)
    assert refusal.guardrail == "guardrail_file"
    assert "by the file 0123456789ab, the planner plans with " + sha256(DEFAULT_SPEC)[:12] in refusal.reason
