"""The bringup with other arms and cameras than the demo's."""

import numpy as np
import pytest

from ami_nodes.graph_client import position_goal
from ami_robot.safety.kinematics import Kinematics
from tests.nodes.graph import LAUNCH_FILE, launched

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")


def test_commands_that_only_come_back_bring_the_tool_to_its_goal(client):
    goal = np.array([0.45, 0.1, 0.15])
    with launched(BRINGUP, arm="loopback", vision="false", config="analytic") as launch:
        client.wait_until_active()
        client.arm(True)
        result = client.pursue(position_goal(goal), 4.0)
        assert (result.outcome, result.refusals) == ("done", 0), launch.output()
        reached = Kinematics().tool_position(client.ear.positions)
        assert np.linalg.norm(reached - goal) < 0.005
        client.arm(False)
        assert launch.interrupt() == 0
        assert "rejected" not in launch.output()


@pytest.mark.parametrize("name", ["arm", "camera"])
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(name):
    with launched(BRINGUP, **{name: "none"}) as launch:
        assert launch.popen.wait(10.0) == 2
        assert f"{name}:=none is not one of " in launch.output()
