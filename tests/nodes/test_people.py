"""A cell without a fence in the whole graph: simulated people, told late and wrong, and an arm that gives way."""

import numpy as np
import pytest
from ami_interfaces.msg import GuardrailReport

from ami_nodes import qos
from ami_nodes.graph_client import position_goal
from ami_robot.safety.spec import DEFAULT_SPEC
from tests.nodes.graph import LAUNCH_FILE, launched

pytestmark = pytest.mark.graph

SEED = 1000
GOAL_M = np.array([0.45, 0.25, 0.15])  # towards the person


@pytest.fixture(scope="module")
def reports(client):
    heard = []
    subscription = client.node.create_subscription(GuardrailReport, "guardrail_report", heard.append, qos.EVENTS)
    yield heard
    client.node.destroy_subscription(subscription)


@pytest.fixture(scope="module")
def graph(client, tmp_path_factory):
    """A hand reaches into the workspace two seconds after the scene's start, and goes back."""
    path = tmp_path_factory.mktemp("cell") / "people.yaml"
    path.write_text(DEFAULT_SPEC.read_text().replace("none_fenced_cell   #", "topic   #"))
    arguments = {"config": "analytic", "vision": "false", "people": "hand", "guardrail_file": str(path)}
    with launched(LAUNCH_FILE, scene_seed=str(SEED), **arguments) as launch:
        client.wait_until_active(60.0)
        yield launch


def test_the_arm_gives_way_to_a_hand_and_goes_on_when_it_is_gone(graph, client, reports):
    client.begin_episode(SEED)
    del reports[:]
    result = client.pursue(position_goal(GOAL_M), 15.0)
    verdict = client.judge()
    assert result.outcome == "done" and result.goal_distance < 0.01
    assert result.refusals > 0  # while the hand was there
    let_through = [report for report in reports if report.decision in ("accepted", "modified")]
    assert len(let_through) > 10
    assert all(report.people_known and len(report.people.persons) > 1 for report in let_through)
    assert not verdict.person_distance <= 0.2 and verdict.person_contact_speed == 0.0  # NaN: never within 0.5 m
    assert list(verdict.violations) == []


def test_only_the_stand_in_for_a_detector_looks_at_the_truth_about_people(graph, client):
    listeners = client.node.get_subscriptions_info_by_topic("/sim/people")
    assert [listener.node_name for listener in listeners] == ["people"]
