"""The whole graph as processes: it comes up, moves, refuses what it has to, and goes down."""

import time

import numpy as np
import pytest

from ami_nodes.demo_graph import GraphError
from ami_nodes.graph_client import position_goal
from ami_sim.judge import EPISODE_S
from ami_sim.scene import Scene
from tests.nodes.graph import LAUNCH_FILE, REST_RAD_PER_S, launched, pursuing, wait_for

pytestmark = pytest.mark.graph

SEED = 1000


@pytest.fixture(scope="module")
def graph(client, checkpoint):
    """The full graph with the analytic planner, shared by the tests of this file."""
    with launched(LAUNCH_FILE, config="analytic", checkpoint=checkpoint, scene_seed=str(SEED)) as launch:
        client.wait_until_active(60.0)
        yield launch


@pytest.mark.parametrize(("seed", "duration_s"), [(SEED, 8.2), (SEED + 1, 4.0)])
def test_the_analytic_planner_reaches_a_position_without_a_violation(graph, client, seed, duration_s):
    client.begin_episode(seed)
    result = client.pursue(position_goal(Scene.from_seed(seed).goal_position), duration_s)
    verdict = client.judge()
    assert result.outcome == "done" and result.goal_distance < 0.01
    assert list(verdict.violations) == [] and verdict.checked_commands >= 10
    assert verdict.distances[-1] < 0.01
    if duration_s > EPISODE_S:
        assert verdict.message == "reached", f"real-time factor {verdict.real_time_factor:.2f}"


def test_the_clock_never_goes_back_nor_jumps_across_a_reset(graph, client):
    heard = client.ear.clock_ns
    start = len(heard)
    client.arm(False)
    client.reset(SEED)
    client.reset(SEED + 2)
    assert wait_for(lambda: len(heard) > start + 30, 5)
    steps = np.diff(heard[start:])
    assert steps.min() > 0
    np.testing.assert_allclose(client.ear.positions, Scene.from_seed(SEED + 2).start_joint_positions, atol=0.02)


def test_a_reset_is_refused_while_the_guardrail_is_armed(graph, client):
    client.arm(True)
    with pytest.raises(GraphError, match="armed"):
        client.reset(SEED)
    client.arm(False)
    client.reset(SEED)


def test_a_cancelled_goal_lets_the_arm_come_to_rest(graph, client):
    client.begin_episode(SEED)
    handle = client.start(position_goal(Scene.from_seed(SEED).goal_position), 8.0)
    time.sleep(0.8)
    client.cancel(handle)
    result = client.finish(handle, 5.0)
    assert result.outcome == "cancelled" and 1 <= result.steps <= 6
    time.sleep(1.0)
    assert client.ear.speed() < REST_RAD_PER_S


def test_a_goal_outside_the_workspace_is_refused_by_its_guardrail(graph, client):
    client.begin_episode(SEED)
    result = client.pursue(position_goal(np.array([0.9, 0.0, 0.2])), 2.0)
    assert (result.outcome, result.guardrail, result.steps) == ("refused", "workspace", 0)


def test_a_disarmed_guardrail_lets_nothing_move(graph, client):
    client.arm(False)
    client.reset(SEED)
    result = client.pursue(position_goal(Scene.from_seed(SEED).goal_position), 1.0)
    assert result.outcome == "done"
    assert client.judge().checked_commands == 0 and client.ear.speed() < REST_RAD_PER_S


def test_an_arm_that_falls_silent_disarms_the_guardrail_and_ends_the_goal(graph, client):
    client.begin_episode(SEED)
    with pursuing(client, position_goal(Scene.from_seed(SEED).goal_position), 60.0) as handle:
        assert wait_for(lambda: client.ear.speed() > 5 * REST_RAD_PER_S, 5)
        arm = graph.node("arm")
        arm.suspend()
        try:
            result = client.finish(handle, 5.0)
            assert result.outcome == "refused" and "no frame" in result.reason
            assert wait_for(lambda: "No joint states came" in graph.output(), 2)
        finally:
            arm.resume()
    client.reset(SEED)  # refused unless it is disarmed


def test_no_agent_node_subscribes_to_the_simulators_truth(graph, client):
    topics = [name for name, _ in client.node.get_topic_names_and_types() if name.startswith("/sim/")]
    assert topics
    listeners = {
        (info.node_name, topic) for topic in topics for info in client.node.get_subscriptions_info_by_topic(topic)
    }
    assert {name for name, _ in listeners} == {"camera"}


def test_only_the_guardrail_publishes_what_moves_the_arm(graph, client):
    for topic in ("/joint_trajectory_controller/joint_trajectory", "/gripper_controller/command"):
        assert [info.node_name for info in client.node.get_publishers_info_by_topic(topic)] == ["guardrail"]


def test_the_graph_goes_down_cleanly_at_ctrl_c(graph):
    started = time.monotonic()
    assert graph.interrupt() == 0, graph.output()
    assert time.monotonic() - started < 5.0
