"""The whole graph handles a block, from its camera to the gripper: shown where it is to be, it brings it there."""

import pytest

from ami_nodes.graph_client import image_goal
from ami_robot.perception.camera import CLOSE_CAMERA, load_camera
from ami_robot.types import MODEL_STEP_S
from ami_sim.tasks import TASKS
from tests.nodes.graph import LAUNCH_FILE, launched

pytestmark = pytest.mark.graph


@pytest.mark.parametrize(("name", "config"), [("push", "push"), ("pick_lift", "carry")])
def test_two_of_three_blocks_are_brought_to_where_a_picture_shows_them(client, name, config):
    camera, reached = load_camera(CLOSE_CAMERA), []
    with launched(LAUNCH_FILE, config=config, checkpoint="manipulation", camera_file="close", scenes=name):
        client.wait_until_active(60.0)
        for seed in range(3):
            task = TASKS[name](seed)
            client.begin_episode(seed)
            client.pursue(image_goal(task.goal_image(camera), camera), task.steps * MODEL_STEP_S + 0.2)
            verdict = client.judge()
            assert list(verdict.violations) == []
            assert len(verdict.times) == len(verdict.distances)
            reached.append(verdict.message == "reached")
            assert reached[-1] == (max(verdict.distances[-240:]) <= task.tolerance_m)
    assert sum(reached) >= 2, reached
