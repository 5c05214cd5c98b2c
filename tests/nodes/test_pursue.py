"""`ami pursue`: a running graph brings about what a goal file shows, and says what came of it."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from ami_nodes.graph_client import GraphClient
from ami_robot.configurator.configurator import REACH
from ami_robot.episodes.goals import ShownGoal, write_goal
from ami_robot.perception.camera import load_camera
from ami_robot.perception.view import FRONT_VIEW, TrainingView
from ami_robot.safety.kinematics import Kinematics
from ami_sim.scene import Scene
from ami_sim.world import render_goal_image
from tests.nodes.conftest import Ear
from tests.nodes.graph import ENVIRONMENT, LAUNCH_FILE, REST_RAD_PER_S, assert_rests, launched, wait_for

pytestmark = pytest.mark.graph

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
BLIND = {"arm": "loopback", "vision": "false", "config": "analytic"}
PURSUE = [sys.executable, "-m", "ami_robot.cli.main", "pursue"]
PATIENCE_S = 120.0
NEAR, AWAY = (0.45, 0.1, 0.15), (0.55, -0.2, 0.25)
SEED = 1000
ARRIVAL = {"latent_distance": 0.15, "tool_distance_m": 0.03, "leave_factor": 1.5, "most_steps": 20}
KINEMATICS = Kinematics()


@pytest.fixture
def shown(tmp_path):
    """Writes a goal file and names it."""

    def write(preprocessing_id="", **said):
        path, arrays = tmp_path / "goal.npz", {name: np.array(steps) for name, steps in said.items()}
        write_goal(path, ShownGoal(**arrays, preprocessing_id=preprocessing_id))
        return str(path)

    return write


def started(*words):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*PURSUE, *words], env=ENVIRONMENT, **pipes)


def pursued(*words, meanwhile=lambda: None):
    """Exit status, what it printed, what it complained of; `meanwhile` is called every few ms."""
    process, give_up_s = started(*words), time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < give_up_s:
        meanwhile()
        time.sleep(0.02)
    process.kill()
    out, err = process.communicate()
    return process.returncode, out, err


def rearm(client):
    """Whether the guardrail is armed or, on a busy machine, has had to brake since it was."""
    client.arm(False)
    client.arm(True)


def tool(ear):
    return KINEMATICS.tool_position(ear.positions)


def test_what_is_refused_or_finds_nobody_is_one_sentence_with_its_own_exit_status(client, shown):
    pose = shown(tool_positions=[NEAR])
    status, out, err = pursued(pose)
    assert (status, out) == (2, "")
    assert err.startswith("ami: error: no active planner takes goals at /pursue_goal: ") and err.count("\n") == 1
    with launched(BRINGUP, **BLIND) as launch:
        client.wait_until_active()
        status, out, err = pursued(pose)
        assert (status, out) == (1, "") and "the guardrail is disarmed, nothing would move" in err
        status, _, err = pursued(pose, "--namespace", "cell1")
        assert status == 2 and "at /cell1/pursue_goal" in err
        for said, sentence in (
            ({"tool_positions": [NEAR, AWAY]}, "a task that goes through them has the section arrival"),
            ({"block_positions": [NEAR]}, "says where the block is to be, and none of the costs (tool_distance)"),
            ({"tool_positions": [NEAR], "block_positions": [NEAR]}, "says where the block is to be"),
            ({"tool_positions": [(0.9, 0.0, 0.2)]}, "is outside the tool's workspace"),
            (
                {"pictures": np.zeros((1, 64, 64, 3), np.uint8), "preprocessing_id": FRONT_VIEW},
                "the picture cannot be encoded: is the encoder active?",
            ),
        ):
            rearm(client)
            status, out, err = pursued(shown(**said))
            assert status == 1 and out.startswith("refused: ") and sentence in out, out + err
        client.arm(False)
        assert launch.interrupt() == 0


def test_the_tool_comes_to_a_position_in_a_namespace_and_ctrl_c_brings_it_to_rest(ros, shown):
    with launched(BRINGUP, **BLIND, namespace="/cell1") as launch, GraphClient("owner", namespace="cell1") as client:
        ear = Ear(client.node)
        client.wait_until_active()
        client.arm(True)
        status, out, err = pursued(shown(tool_positions=[NEAR]), "--duration", "4", "--namespace", "cell1")
        assert status == 0, out + err + launch.output()
        first, *_, last = out.splitlines()
        assert first.startswith("step 1: ") and " cm to the goal, cost " in first
        assert last.startswith("done: ") and last.endswith(" 0 of them refused, 0.0 cm from the goal")
        assert np.linalg.norm(tool(ear) - NEAR) < 0.005
        rearm(client)
        process = started(shown(tool_positions=[AWAY]), "--duration", "60", "--namespace", "/cell1")
        assert wait_for(lambda: ear.speed() > 5 * REST_RAD_PER_S, 15.0)
        process.send_signal(signal.SIGINT)
        assert_rests(ear, time.monotonic())
        out, err = process.communicate(timeout=20.0)
        assert (process.returncode, err) == (130, "ami: interrupted\n")
        assert out.splitlines()[-1].startswith("cancelled: ")
        client.arm(False)
        assert launch.interrupt() == 0


@pytest.fixture(scope="module")
def arriving(client, tmp_path_factory):
    """The graph with the shipped model, in the planner's process, and a task that goes through goals on the way."""
    task = tmp_path_factory.mktemp("task") / "arrival.yaml"
    task.write_text(yaml.safe_dump({**yaml.safe_load(REACH.read_text()), "arrival": ARRIVAL}))
    with launched(BRINGUP, composed="true", config=str(task)) as launch:
        client.wait_until_active()
        yield launch


@pytest.mark.slow
def test_positions_are_gone_through_one_after_the_other(client, arriving, shown):
    client.begin_episode(SEED)
    path = []
    status, out, err = pursued(
        shown(tool_positions=[AWAY, NEAR]), "--duration", "12", meanwhile=lambda: path.append(tool(client.ear))
    )
    assert status == 0, out + err + arriving.output()
    from_away, from_near = (np.linalg.norm(np.array(path) - place, axis=1) for place in (AWAY, NEAR))
    assert from_away.min() < 0.05, "the first was left out"
    assert out.index(": goal 1 of 2, ") < out.index(": goal 2 of 2, ")
    assert from_near[-1] < 0.04


def test_pictures_of_a_demonstration_are_gone_through_by_way_of_the_encoder(client, arriving, shown):
    camera, scenes = load_camera(), [Scene.from_seed(seed) for seed in (SEED, SEED + 1)]
    view = TrainingView(camera, camera)
    pictures = [view(render_goal_image(scene, camera)) for scene in scenes]
    client.begin_episode(SEED)
    path = []
    goal = shown(pictures=pictures, preprocessing_id=FRONT_VIEW)
    status, out, err = pursued(goal, "--duration", "14", meanwhile=lambda: path.append(tool(client.ear)))
    assert status == 0, out + err + arriving.output()
    first, last = (np.linalg.norm(np.array(path) - scene.goal_position, axis=1) for scene in scenes)
    assert first.min() < 0.05 and last[-1] < 0.05
