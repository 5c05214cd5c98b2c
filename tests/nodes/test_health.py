"""What nodes say of themselves on /diagnostics."""

import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleState

from ami_nodes import qos
from ami_nodes.graph_client import position_goal
from ami_nodes.health import Meter
from ami_nodes.loopback_arm import LoopbackArmNode
from tests.nodes.graph import LAUNCH_FILE, launched, wait_for


def test_a_meter_gives_rates_and_times_since_it_was_last_read():
    meter = Meter("plans")
    for _ in range(3):
        with meter.timed():
            time.sleep(0.01)
    meter.tick()
    figures = meter.read()
    assert figures["plans_hz"] > 20.0
    assert figures["plans_ms_worst"] >= figures["plans_ms_median"] >= 10.0
    time.sleep(0.05)
    assert meter.read() == {"plans_hz": 0.0}


def test_a_mistake_in_building_is_said_before_rclpy_makes_an_error_of_it(ros, monkeypatch, capfd):
    def build(_):
        raise AssertionError("odd")

    monkeypatch.setattr(LoopbackArmNode, "build", build)
    node = LoopbackArmNode("arm")
    try:
        with pytest.raises(AssertionError, match="odd"):
            node.on_configure(LifecycleState("unconfigured", State.PRIMARY_STATE_UNCONFIGURED))
    finally:
        node.destroy_node()
    assert "arm cannot configure: AssertionError: odd" in capfd.readouterr().err


@pytest.fixture
def said(client):
    """node -> its statuses."""
    heard = {}

    def on_diagnostics(message):
        for status in message.status:
            heard.setdefault(status.name, []).append(status)

    subscription = client.node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, qos.EVENTS)
    yield heard
    client.node.destroy_subscription(subscription)


def test_every_node_tells_its_figures_once_a_second_and_what_is_wrong(client, said):
    bringup = LAUNCH_FILE.with_name("bringup.launch.xml")
    with launched(bringup, arm="loopback", vision="false", config="analytic") as launch:
        client.wait_until_active()
        client.arm(True)
        assert client.pursue(position_goal([0.45, 0.1, 0.15]), 2.5).outcome == "done"
        last = {name: {value.key: value.value for value in statuses[-1].values} for name, statuses in said.items()}
        manager = said.pop("/lifecycle_manager")[-1]
        assert (manager.level, manager.message) == (DiagnosticStatus.OK, "all nodes are active")
        assert last.pop("/lifecycle_manager") == {"arm": "up", "guardrail": "up", "planner": "up"}
        assert last.keys() == {"/arm", "/guardrail", "/planner"}
        assert 90.0 < float(last["/guardrail"]["joint_states_hz"]) < 110.0
        assert last["/guardrail"]["armed"] == "True"
        assert int(last["/guardrail"]["reports accepted"]) > 1
        assert 3.0 < float(last["/planner"]["plans_hz"]) < 7.0
        assert all(statuses[-1].level == DiagnosticStatus.OK for statuses in said.values())
        assert {statuses[-1].message for statuses in said.values()} == {"active"}
        client.arm(False)
        launch.node("arm").suspend()
        try:
            silent = wait_for(lambda: said["/guardrail"][-1].message == "no joint states", 5.0)
            assert silent and said["/guardrail"][-1].level == DiagnosticStatus.WARN
        finally:
            launch.node("arm").resume()
