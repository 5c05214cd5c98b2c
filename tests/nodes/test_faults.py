"""What a user or a fault does to the graph: wrong parameters, killed nodes."""

import time
from xml.etree import ElementTree

import numpy as np
import pytest

from ami_nodes.graph_client import position_goal
from ami_sim.scene import Scene
from tests.nodes.graph import LAUNCH_FILE, REST_RAD_PER_S, Process, assert_rests, launched, wait_for

pytestmark = pytest.mark.graph

SEED = 1000


@pytest.mark.parametrize(
    ("node", "parameter", "words"),
    [
        ("planner", "horizn:=3", ["horizn", "answer_timeout_s"]),
        ("guardrail", "source:=3", ["source has to be a str"]),
        ("planner", "answer_timeout_s:=0.0", ["between 0.01 and 10"]),
    ],
)
def test_a_wrong_parameter_ends_a_node_with_2_and_one_sentence(node, parameter, words):
    process = Process("ami_embedded.run", f"ami_nodes.{node}", "--ros-args", "-p", parameter)
    try:
        assert process.popen.wait(20) == 2
        lines = process.output().strip().splitlines()
        assert len(lines) == 1 and all(word in lines[0] for word in words), lines
    finally:
        process.end()


def test_a_node_that_cannot_be_configured_ends_the_launch_with_its_name_and_reason(ros):
    with launched(LAUNCH_FILE, config="no_such_task", vision="false") as launch:
        assert wait_for(lambda: not launch.running(), 40)
        assert launch.popen.returncode == 1
        assert "planner did not configure" in launch.output() and "no_such_task.yaml" in launch.output()


def test_a_killed_arm_ends_the_launch_with_its_name(client):
    with launched(LAUNCH_FILE, config="analytic", vision="false") as launch:
        client.wait_until_active(40.0)
        launch.node("arm").kill()
        assert wait_for(lambda: not launch.running(), 10)
        assert launch.popen.returncode == 1
        assert "[arm] ended with signal SIGKILL" in launch.output()


@pytest.fixture(scope="module")
def arm(client):
    """An arm that outlives the launches, as a real one does, brought up by a manager of its own."""
    names = ["--ros-args", "-r", "__node:=arm_manager", "-p", "node_names:=[arm]"]
    arm = Process("ami_embedded.run", "ami_nodes.arm")
    manager = Process("ami_embedded.run", "ami_nodes.lifecycle_manager", *names)
    assert wait_for(lambda: client.ear.speed() == client.ear.speed(), 20)  # not NaN: it is heard
    yield manager
    manager.end()
    arm.end()


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A launch file for all nodes but the arm."""
    tree = ElementTree.parse(LAUNCH_FILE.with_name("bringup.launch.xml"))
    root = tree.getroot()
    (group,) = (group for group in root.iter("group") if group.find("node[@exec='arm']") is not None)
    group.remove(group.find("node[@exec='arm']"))
    for let in root.findall("let"):
        let.set("value", let.get("value", "").replace(" arm,", ""))
    tree.write(path := tmp_path_factory.mktemp("launch") / "others.launch.xml")
    return path


MORE = [pytest.param(name, marks=pytest.mark.slow) for name in ("lifecycle_manager", "camera", "world_model")]


@pytest.mark.parametrize("victim", ["guardrail", "planner", "encoder", *MORE])
def test_a_killed_node_ends_the_launch_with_its_name_and_the_arm_comes_to_rest(client, arm, others, checkpoint, victim):
    sees = str(victim in ("camera", "encoder", "world_model")).lower()
    with launched(others, config="analytic", vision=sees, checkpoint=checkpoint) as launch:
        client.wait_until_active(40.0)
        client.begin_episode(SEED)
        client.start(position_goal(Scene.from_seed(SEED).goal_position), 8.0)
        assert wait_for(lambda: client.ear.speed() > 5 * REST_RAD_PER_S, 5)
        launch.node(victim).kill()
        killed_s = time.monotonic()
        assert wait_for(lambda: not launch.running(), 20)
        assert launch.popen.returncode == 1
        assert f"[{victim}] ended with signal SIGKILL" in launch.output()
    assert_rests(client.ear, killed_s)


def test_nodes_that_were_brought_down_in_order_come_up_again(client, arm, others):
    for _ in range(2):
        with launched(others, config="analytic", vision="false") as launch:
            client.wait_until_active(40.0)
            assert launch.interrupt() == 0
    assert arm.interrupt() == 0  # its manager deactivates the arm
    assert "did not" not in arm.output()
    assert wait_for(lambda: client.ear.speed() != client.ear.speed(), 2)  # NaN: silent
    heard = len(client.ear.clock_ns)
    manager = Process("ami_embedded.run", "ami_nodes.lifecycle_manager", "--ros-args", "-p", "node_names:=[arm]")
    try:
        assert wait_for(lambda: len(client.ear.clock_ns) > heard + 20, 20)
        assert (np.diff(client.ear.clock_ns[heard - 20 :]) > 0).all()
    finally:
        manager.end()
