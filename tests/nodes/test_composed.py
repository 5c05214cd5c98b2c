"""The graph with the world model in the planner's process: it plans, and nobody misses the node world_model."""

import numpy as np
import pytest
from ami_interfaces.msg import Plan

from ami_nodes.graph_client import position_goal
from ami_nodes.planner_with_model import OwnWorldModel
from ami_nodes.world_model_client import NoAnswerError
from ami_robot.types import ACTION_DIM, PROPRIO_DIM
from ami_robot.world_model.protocol import LocalWorldModel
from tests.nodes.graph import LAUNCH_FILE, launched, listening

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")


@pytest.mark.graph
def test_the_shipped_model_plans_in_one_process_with_the_planner(client):
    plans = []
    with listening(client, (Plan, "plan", plans.append)), launched(BRINGUP, composed="true") as launch:
        client.wait_until_active(60.0)
        assert "world_model" not in dict(client.node.get_node_names_and_namespaces())
        client.arm(True)
        client.pursue(position_goal(np.array([0.45, 0.1, 0.15])), 3.0)
        assert len(plans) > 5, launch.output()
        assert all(not plan.refused for plan in plans), [plan.reason for plan in plans if plan.refused]
        client.arm(False)
        assert launch.interrupt() == 0


def test_latents_of_another_checkpoint_are_not_imagined_from(checkpoint):
    model = OwnWorldModel(checkpoint)
    latent, proprio = np.zeros(32, np.float32), np.zeros(PROPRIO_DIM, np.float32)
    actions = np.zeros((2, 3, ACTION_DIM), np.float32)
    assert model.predict(latent, proprio, actions).image_latents.shape[:2] == (2, 3)
    assert isinstance(model, LocalWorldModel), "what policies and the gradient planner need"
    model.expected_sha256 = "another"
    with pytest.raises(NoAnswerError, match="the encoder another; start both with one"):
        model.predict(latent, proprio, actions)
