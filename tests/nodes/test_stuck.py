"""A node that is stopped for a moment, in the graph that plans on pictures: the arm rests before anybody notices."""

import time

import pytest

from ami_nodes.graph_client import image_goal
from ami_robot.perception.camera import load_camera
from ami_sim.scene import Scene
from ami_sim.world import render_goal_image
from tests.nodes.graph import LAUNCH_FILE, REST_RAD_PER_S, assert_rests, launched, pursuing, wait_for

pytestmark = pytest.mark.graph

SEED = 1000


@pytest.fixture(scope="module")
def seeing(client):
    """The whole graph with the shipped world model."""
    with launched(LAUNCH_FILE, config="reach") as launch:
        client.wait_until_active(60.0)
        yield launch


@pytest.fixture(scope="module")
def picture():
    scene, camera = Scene.from_seed(SEED), load_camera()
    return image_goal(render_goal_image(scene, camera), camera)


def test_the_world_model_plans_in_time_and_breaks_nothing(client, seeing, picture):
    client.begin_episode(SEED)
    result = client.pursue(picture, 2.5)
    assert result.outcome == "done" and result.steps >= 10 and result.refusals < result.steps / 2
    assert list(client.judge().violations) == []


@pytest.mark.parametrize("victim", ["world_model", "encoder", "camera", "planner", "guardrail"])
def test_a_node_that_is_stuck_leaves_the_arm_at_rest_within_the_tail(client, seeing, picture, victim):
    client.begin_episode(SEED)
    with pursuing(client, picture, 60.0) as handle:
        process = seeing.node(victim)
        try:
            assert wait_for(lambda: client.ear.speed() > 5 * REST_RAD_PER_S, 15)
            process.suspend()
            assert_rests(client.ear, time.monotonic())
        finally:
            process.resume()
    client.finish(handle, 10.0)
