"""What the simulated camera draws is the arm's world, people and held tool included."""

import numpy as np
import pytest
from ami_interfaces.msg import SimState

from ami_nodes.arm import TIP_M
from ami_nodes.sim_state import fill_sim_state
from ami_nodes.simulated_camera import SimulatedCameraNode
from ami_robot.perception.camera import load_camera
from ami_sim.arm import SimulatedArm
from ami_sim.people_scripts import SCRIPTS
from ami_sim.scene import Scene
from ami_sim.walks import walking

WALKS = (walking(np.array([0.0, 0.6]), np.array([0.2, 0.5]), 0.5),)  # in view of the camera
SUBSTEPS = 120  # half a second: on the way


@pytest.fixture
def arm():
    arm = SimulatedArm(Scene.from_seed(1000), load_camera())
    yield arm
    arm.close()


@pytest.fixture
def camera(ros):
    node = SimulatedCameraNode("camera")
    node.build()
    pictures = []
    node.image_publisher.publish = pictures.append
    yield node, pictures
    node.discard()
    node.destroy_node()


def drawn(camera, message):
    node, pictures = camera
    node.on_state(message)
    return np.asarray(pictures[-1].data, np.uint8)


def test_people_and_the_held_tool_are_drawn_where_they_are_and_gone_in_another_scene(arm, camera, monkeypatch):
    monkeypatch.setitem(SCRIPTS, "near", WALKS)
    alone = drawn(camera, fill_sim_state(SimState(task="reach", people="none"), arm))
    np.testing.assert_array_equal(alone, arm.world.render().ravel())
    arm.world.add_people(WALKS)
    arm.world.hold_tool("edge", TIP_M)
    arm.advance(SUBSTEPS)
    seen = drawn(camera, fill_sim_state(SimState(task="reach", people="near"), arm))
    np.testing.assert_array_equal(seen, arm.world.render().ravel())
    assert (seen != alone).mean() > 0.02
    arm.reset(Scene.from_seed(1000))
    np.testing.assert_array_equal(drawn(camera, fill_sim_state(SimState(task="reach", people="none"), arm)), alone)
