"""`ami step`: nothing moves without Enter, and one step for each."""

import subprocess
import sys
import time

import numpy as np
import pytest
from ami_interfaces.msg import GuardrailReport

from ami_nodes.graph_client import position_goal
from ami_robot.types import MODEL_STEP_S
from tests.nodes.graph import ENVIRONMENT, LAUNCH_FILE, launched, listening, wait_for

pytestmark = pytest.mark.graph
BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
BLIND = {"arm": "loopback", "vision": "false", "config": "analytic"}
STEP = [sys.executable, "-m", "ami_robot.cli.main", "step"]


def run(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(STEP, input=words, env=ENVIRONMENT, capture_output=True, text=True, timeout=60.0)


@pytest.fixture
def sent(client):
    """Reports on what moved the arm."""
    reports = []
    with listening(client, (GuardrailReport, "guardrail_report", lambda m: reports.append(m) if m.sequence else None)):
        yield reports


def test_an_arm_takes_as_many_steps_as_enter_is_pressed(client, sent):
    with launched(BRINGUP, **BLIND, step_by_step="true") as launch:
        client.wait_until_active()
        client.arm(True)
        handle = client.start(position_goal(np.array([0.45, 0.2, 0.15])), 60.0)
        time.sleep(5 * MODEL_STEP_S)
        assert sent == []
        done = run("\n\n\nq\n")
        assert done.returncode == 0, done.stderr + launch.output()
        assert done.stdout.count("accepted") == 3, done.stdout
        assert done.stdout.count("cm to the goal; next the tool by (") == 4
        time.sleep(5 * MODEL_STEP_S)
        assert [report.decision for report in sent] == ["accepted"] * 3
        client.cancel(handle)
        client.arm(False)
        assert launch.interrupt() == 0


@pytest.mark.slow
def test_without_a_goal_or_the_service_it_says_so(client, sent):
    with launched(BRINGUP, **BLIND) as launch:
        client.wait_until_active()
        nothing = run("\n")
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert "is a goal pursued?) took longer than 10 s" in nothing.stderr
        client.arm(True)
        handle = client.start(position_goal(np.array([0.45, 0.2, 0.15])), 60.0)
        assert wait_for(lambda: len(sent) > 1, 10.0)
        unasked = run("\n")
        assert unasked.returncode == 1
        assert "launch with step_by_step:=true" in unasked.stderr
        client.cancel(handle)
        client.arm(False)
        assert launch.interrupt() == 0
