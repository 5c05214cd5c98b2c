"""Each term against its formula, and which terms judge which goal."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.cost.cost import CostError, Imagined, WeightedSum
from ami_robot.cost.distance import LatentDistance, ToolDistance, mean_over_steps
from ami_robot.cost.motion import ActionRate
from ami_robot.types import PROPRIO_DIM, TOOL_POSITION, Belief, Goal, Outcomes

BELIEF = Belief(0, np.zeros(2), np.zeros(PROPRIO_DIM), np.zeros(7))
IMAGE_GOAL = Goal(np.array([0.5, 0.0, 0.1]), np.array([1.0, 3.0]))
POSE_GOAL = Goal(np.array([0.5, 0.0, 0.1]))


def imagined(goal=IMAGE_GOAL, candidates=3, horizon=2):
    rng = np.random.default_rng(0)
    outcomes = Outcomes(rng.normal(size=(candidates, horizon, 2)), rng.normal(size=(candidates, horizon, PROPRIO_DIM)))
    return Imagined(BELIEF, goal, rng.normal(size=(candidates, horizon, 4)), outcomes)


def test_running_steps_weigh_less_than_the_last():
    np.testing.assert_allclose(mean_over_steps(np.array([[1.0, 0, 0], [0, 0, 1.0]]), 0.3), [0.3 / 1.6, 1 / 1.6])


def test_latent_distance_is_the_root_mean_square():
    case = imagined()
    roots = np.sqrt(((case.outcomes.image_latents - [1.0, 3.0]) ** 2).mean(-1))
    np.testing.assert_allclose(LatentDistance(0.3)(case), (0.3 * roots[:, 0] + roots[:, 1]) / 1.3)


def test_tool_distance_is_in_metres():
    case = imagined()
    metres = np.linalg.norm(case.outcomes.proprio[..., TOOL_POSITION] - IMAGE_GOAL.tool_position, axis=-1)
    np.testing.assert_allclose(ToolDistance(1.0, 0.0)(case), metres.mean(1))


def test_a_decoded_position_is_silent_within_its_slack_and_a_given_one_is_not():
    case = imagined()
    case.outcomes.proprio[0, :, TOOL_POSITION] = IMAGE_GOAL.tool_position + np.array([0.03, 0.0, 0.0])
    case.outcomes.proprio[1, :, TOOL_POSITION] = IMAGE_GOAL.tool_position + np.array([0.0, 0.08, 0.0])
    np.testing.assert_allclose(ToolDistance(0.3, 0.05)(case)[:2], [0.0, 0.03], atol=1e-12)
    pose = Imagined(BELIEF, POSE_GOAL, case.actions, case.outcomes)
    np.testing.assert_allclose(ToolDistance(0.3, 0.05)(pose)[:2], [0.03, 0.08])


def test_action_rate_of_a_single_step_is_zero():
    case = imagined()
    single = replace(case, actions=case.actions[:, :1])
    np.testing.assert_array_equal(ActionRate()(single), 0.0)
    assert not ActionRate().slopes(single).actions.any()


def test_action_rate_is_zero_for_a_constant_action_and_ignores_the_gripper():
    case = imagined()
    case.actions[0, :, :3] = [0.01, 0.02, 0.0]
    case.actions[1, :, :3] = [[0.0, 0, 0], [0.03, 0.04, 0]]
    np.testing.assert_allclose(ActionRate()(case)[:2], [0.0, 0.05])


def test_a_weighted_row_sums_its_terms_in_the_order_of_names():
    case = imagined()
    total = WeightedSum({LatentDistance(0.3): 2.0, ActionRate(): 0.5})
    assert total.names == ("latent_distance", "action_rate")
    np.testing.assert_allclose(
        total.terms(case), np.stack([2 * LatentDistance(0.3)(case), 0.5 * ActionRate()(case)], axis=1)
    )


def test_a_pose_goal_drops_the_latent_term_by_name():
    total = WeightedSum({LatentDistance(0.3): 1.0, ToolDistance(0.3, 0.0): 1.0, ActionRate(): 1.0})
    assert total.for_goal(POSE_GOAL).names == ("tool_distance", "action_rate")
    assert total.for_goal(IMAGE_GOAL).names == ("latent_distance", "tool_distance", "action_rate")


def test_a_pose_goal_that_no_term_measures_is_refused():
    with pytest.raises(CostError, match="latent_distance, action_rate"):
        WeightedSum({LatentDistance(0.3): 1.0, ActionRate(): 1.0}).for_goal(POSE_GOAL)
    with pytest.raises(CostError, match="goal picture"):
        LatentDistance(0.3)(imagined(POSE_GOAL))


@pytest.mark.parametrize("term", [LatentDistance(0.3), ToolDistance(0.3, 0.0)])
def test_nan_in_an_outcome_is_nan_in_the_cost_of_that_candidate_alone(term):
    case = imagined()
    case.outcomes.proprio[1] = np.nan
    case.outcomes.image_latents[1] = np.nan
    assert np.isnan(term(case)).tolist() == [False, True, False]
