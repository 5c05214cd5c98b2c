"""Two of the stories through the whole graph: somebody comes in at 1.6 m/s, and somebody reaches for the coffee."""

import numpy as np
import pytest

from ami_nodes.graph_client import position_goal
from ami_robot.safety.spec import DEFAULT_SPEC
from ami_sim.scene import Scene
from ami_sim.stories.witness import REST_M_PER_S
from tests.nodes.graph import LAUNCH_FILE, REST_RAD_PER_S, launched

pytestmark = pytest.mark.graph

SEEDS = (1000, 1001, 1002)
BESIDE_THE_HAND = np.array([0.63, 0.17, 0.26])  # the hand of the script comes between


@pytest.fixture
def cell(client, tmp_path, request):
    """The graph in a cell that is not fenced, with the people of one script."""
    path = tmp_path / "people.yaml"
    path.write_text(DEFAULT_SPEC.read_text().replace("none_fenced_cell   #", "topic   #"))
    arguments = {"config": "analytic", "vision": "false", "people": request.param, "guardrail_file": str(path)}
    with launched(LAUNCH_FILE, scene_seed=str(SEEDS[0]), **arguments) as launch:
        client.wait_until_active(60.0)
        yield launch


def pursue(client, seed, goal, seconds):
    client.begin_episode(seed)
    before = len(client.ear.speeds)
    result = client.pursue(position_goal(goal), seconds)
    moved = max(speed for _, speed in client.ear.speeds[before:])
    assert moved > 5 * REST_RAD_PER_S, "the arm never moved, so nothing was shown"
    verdict = client.judge()
    assert list(verdict.violations) == []
    return result, verdict


@pytest.mark.parametrize("cell", ["intruder"], indirect=True)
def test_the_arm_rests_before_an_intruder_touches_it(cell, client):
    for seed in SEEDS:
        result, verdict = pursue(client, seed, Scene.from_seed(seed).goal_position, 4.0)
        assert result.refusals > 0, seed
        assert verdict.person_distance <= 0.0, "nobody came to where the arm is"
        assert verdict.person_contact_speed < REST_M_PER_S, seed


@pytest.mark.parametrize("cell", ["coffee"], indirect=True)
def test_the_arm_waits_for_the_hand_at_the_coffee_and_goes_on(cell, client):
    for seed in SEEDS:
        result, verdict = pursue(client, seed, BESIDE_THE_HAND, 12.0)
        assert result.refusals > 0, seed
        assert verdict.person_contact_speed < REST_M_PER_S, seed
        assert result.goal_distance < 0.01, "it did not go on when the hand was gone"
