"""`ami step`: nothing moves without Enter, and one step for each."""

import subprocess
import sys
import time

import numpy as np
import pytest

from ami_embedded import finder

finder.install()

from ami_nodes.graph_client import GraphClient, position_goal  # noqa: E402
from ami_robot.types import MODEL_STEP_S  # noqa: E402
from tests.nodes.graph import DOMAIN, ENVIRONMENT, LAUNCH_FILE, launched, wait_for  # noqa: E402

pytestmark = pytest.mark.graph
BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
BLIND = {"arm": "loopback", "vision": "false", "config": "analytic"}
STEP = [sys.executable, "-m", "ami_robot.cli.main", "step"]


def run(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(STEP, input=words, env=ENVIRONMENT, capture_output=True, text=True, timeout=60.0)


@pytest.fixture
def client(monkeypatch):
    import rclpy
    from ami_interfaces.msg import GuardrailReport

    from ami_nodes import qos

    monkeypatch.setenv("ROS_DOMAIN_ID", DOMAIN)
    rclpy.init()
    try:
        with GraphClient("step_test") as client:
            client.sent = []
            client.node.create_subscription(
                GuardrailReport, "guardrail_report", lambda m: client.sent.append(m) if m.sequence else None, qos.EVENTS
            )
            yield client
    finally:
        rclpy.try_shutdown()


def test_an_arm_takes_as_many_steps_as_enter_is_pressed(client):
    with launched(BRINGUP, **BLIND, step_by_step="true") as launch:
        client.wait_until_active()
        client.arm(True)
        handle = client.start(position_goal(np.array([0.45, 0.2, 0.15])), 60.0)
        time.sleep(5 * MODEL_STEP_S)
        assert client.sent == []
        done = run("\n\n\nq\n")
        assert done.returncode == 0, done.stderr + launch.output()
        assert done.stdout.count("accepted") == 3, done.stdout
        assert done.stdout.count("cm to the goal; next the tool by (") == 4
        time.sleep(5 * MODEL_STEP_S)
        assert [report.decision for report in client.sent] == ["accepted"] * 3
        client.cancel(handle)
        client.arm(False)
        assert launch.interrupt() == 0


def test_without_a_goal_or_the_service_it_says_so(client):
    with launched(BRINGUP, **BLIND) as launch:
        client.wait_until_active()
        nothing = run("\n")
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert "no plan came within 10 s: is a goal pursued?" in nothing.stderr
        client.arm(True)
        handle = client.start(position_goal(np.array([0.45, 0.2, 0.15])), 60.0)
        assert wait_for(lambda: len(client.sent) > 1, 10.0)
        unasked = run("\n")
        assert unasked.returncode == 1
        assert "launch with step_by_step:=true" in unasked.stderr
        client.cancel(handle)
        client.arm(False)
        assert launch.interrupt() == 0
