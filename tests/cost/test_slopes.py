"""What a gradient planner is told of each cost, against differences of that cost."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.cost.cost import CostError, Imagined, WeightedSum
from ami_robot.cost.distance import LatentDistance, ToolDistance
from ami_robot.cost.motion import ActionRate
from ami_robot.cost.spread import Spread
from ami_robot.types import PROPRIO_DIM, Belief, Goal, Outcomes

BELIEF = Belief(0, np.zeros(2), np.zeros(PROPRIO_DIM), np.zeros(7))
PICTURE, POSE = Goal(np.array([0.5, 0.0, 0.1]), np.array([1.0, 3.0])), Goal(np.array([0.5, 0.0, 0.1]))
STEP = 1e-6


def imagined(goal):
    rng = np.random.default_rng(0)
    outcomes = Outcomes(
        rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, PROPRIO_DIM)), spread=rng.uniform(size=(2, 3))
    )
    return Imagined(BELIEF, goal, rng.normal(size=(2, 3, 4)), outcomes)


def difference(cost, case, name):
    """(N, H, .): central differences of the cost in one of the three arrays."""
    values = case.actions if name == "actions" else getattr(case.outcomes, name)
    slopes = np.empty_like(values)
    for index in np.ndindex(*values.shape):
        ends = []
        for sign in (-1, 1):
            moved = values.copy()
            moved[index] += sign * STEP
            if name == "actions":
                ends.append(cost(replace(case, actions=moved))[index[0]])
            else:
                ends.append(cost(replace(case, outcomes=replace(case.outcomes, **{name: moved})))[index[0]])
        slopes[index] = (ends[1] - ends[0]) / (2 * STEP)
    return slopes


@pytest.mark.parametrize("name", ["actions", "image_latents", "proprio"])
@pytest.mark.parametrize(
    ("term", "goal"),
    [
        (LatentDistance(0.3), PICTURE),
        (ToolDistance(0.3, 0.05), PICTURE),
        (ToolDistance(0.3, 0.05), POSE),
        (ToolDistance(0.3, 1.2), PICTURE),
        (ActionRate(), PICTURE),
    ],
    ids=["latent", "tool, picture", "tool, pose", "tool, near", "action rate"],
)
def test_slopes_are_the_derivatives_of_the_cost(term, goal, name):
    case = imagined(goal)
    np.testing.assert_allclose(getattr(term.slopes(case), name), difference(term, case, name), atol=1e-7)


def test_a_sum_has_the_weighted_slopes_of_its_terms():
    case = imagined(PICTURE)
    total = WeightedSum({LatentDistance(0.3): 2.0, ToolDistance(0.3, 0.0): 3.0, ActionRate(): 0.5, Spread(0.3): 1.0})
    slopes = total.slopes(case)
    for name in ("actions", "image_latents", "proprio"):
        np.testing.assert_allclose(
            getattr(slopes, name), difference(lambda c: total.terms(c).sum(axis=1), case, name), atol=1e-7
        )


def test_at_the_goal_and_for_a_constant_action_there_is_no_slope_and_no_nan():
    case = imagined(PICTURE)
    case.outcomes.image_latents[:] = PICTURE.image_latent
    case.outcomes.proprio[..., :3] = PICTURE.tool_position
    case.actions[:] = 0.01
    slopes = WeightedSum({LatentDistance(0.3): 1.0, ToolDistance(0.3, 0.0): 1.0, ActionRate(): 1.0}).slopes(case)
    assert not (slopes.actions.any() or slopes.image_latents.any() or slopes.proprio.any())


def test_spread_weighs_the_last_step_most_and_needs_a_model_that_has_one():
    case = imagined(PICTURE)
    np.testing.assert_allclose(Spread(0.3)(case), case.outcomes.spread @ np.array([0.3, 0.3, 1.0]) / 1.6)
    with pytest.raises(CostError, match="block head or several networks"):
        Spread(0.3)(replace(case, outcomes=replace(case.outcomes, spread=None)))
