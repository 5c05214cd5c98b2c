"""The policy alone: its actions go through the same mask, and are taken back step by step where that forbids them."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import START, BoxMask, LinearWorld
from planner_cases import make

from ami_robot.actor.imagination import Query
from ami_robot.actor.mode_switch import ModeSwitch
from ami_robot.actor.planner import clip_norm
from ami_robot.actor.policy import Policy, PolicySettings
from ami_robot.configurator.configurator import CostSettings, build_cost
from ami_robot.types import Goal, Plan, Refusal

SETTINGS = PolicySettings(
    checkpoint="none",
    horizon=6,
    steps_left=8,
    gripper="hold",
    proposals=16,
    temperature=1.0,
    residual=False,
    alone_below_quantile=0.9,
)
FAR = Goal(START + np.array([0.3, 0.0, 0.0]), START + np.array([0.3, 0.0, 0.0]))
STD_M = 0.005


class Straight:
    """Says: the whole way to the goal's latent, which is a position in these worlds, and close the gripper."""

    def __init__(self, sign=1.0):
        self.sign, self.asked = sign, []

    def act(self, latents, proprio, goal_latent, steps_left):
        self.asked.append(steps_left)
        mean = np.concatenate([self.sign * clip_norm(goal_latent - latents, 0.03), np.zeros((len(latents), 1))], axis=1)
        return mean, np.full_like(mean, STD_M)


def policy(mask=None, world=None, network=None, **changes):
    cost = build_cost(CostSettings(0.3, 1.0, 1.0, 0.0, 0.0))
    settings = replace(SETTINGS, **changes)
    return Policy(settings, network or Straight(), mask or BoxMask(), world or LinearWorld(), cost)


def test_it_goes_where_the_network_says_and_counts_the_steps_that_are_left(belief):
    network = Straight()
    plan = policy(network=network, horizon=10).plan(belief, FAR)
    np.testing.assert_allclose(plan.actions[:, :3], np.tile([0.03, 0, 0], (10, 1)), atol=1e-12)
    assert network.asked == [8, 7, 6, 5, 4, 3, 2, 1, 1, 1]
    assert np.all(plan.actions[:, 3] == 0.04)


def test_it_sees_in_imagination_where_it_has_come_to(belief):
    goal = Goal(START + np.array([0.05, 0, 0]), START + np.array([0.05, 0, 0]))
    plan = policy().plan(belief, goal)
    np.testing.assert_allclose(plan.actions[:, 0], [0.03, 0.02, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(plan.imagined_tool_path[-1], goal.tool_position)


def test_the_gripper_follows_the_network_only_where_the_task_says_so(belief):
    assert np.all(policy(gripper="policy").plan(belief, FAR).actions[:, 3] == 0.0)


def test_no_step_is_longer_than_the_mask_allows(belief):
    mask = BoxMask()
    mask.max_displacement_m = 0.01
    assert np.linalg.norm(policy(mask).plan(belief, FAR).actions[:, :3], axis=1).max() <= 0.01 + 1e-12


@pytest.mark.parametrize(("room_m", "moves"), [(0.05, [0.03, 0.0]), (0.02, [0.015, 0.0]), (0.01, [0.0075, 0.0])])
def test_what_a_guardrail_forbids_is_cut_to_the_first_step_and_then_shortened(belief, room_m, moves):
    mask = BoxMask(upper=START + np.array([room_m, 9, 9]))
    plan = policy(mask).plan(belief, FAR)
    np.testing.assert_allclose(plan.actions[:2, 0], moves, atol=1e-12)
    assert plan.margin >= 0 and plan.masked > 0


def test_an_imagined_outcome_that_breaks_a_guardrail_is_shortened_too(belief):
    mask = BoxMask(imagined=(-9, START + np.array([0.1, 9, 9])))
    plan = policy(mask).plan(belief, FAR)
    np.testing.assert_allclose(plan.actions[:, 0], [0.03, 0, 0, 0, 0, 0], atol=1e-12)


def test_it_holds_where_nothing_else_is_safe_and_refuses_where_that_is_not(belief):
    held = policy(BoxMask(lower=START, upper=START), gripper="policy").plan(belief, FAR)
    assert np.all(held.actions[:, :3] == 0) and np.all(held.actions[:, 3] == 0.04), "the gripper holds as well"
    refusal = policy(BoxMask(lower=START + 0.01)).plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "workspace"
    assert refusal.margin == pytest.approx(-0.01)


def test_nan_and_goals_without_a_picture_are_refused(belief):
    assert policy().plan(replace(belief, image_latent=np.full(3, np.nan)), FAR).guardrail == "unknown_state"
    refusal = policy().plan(belief, Goal(FAR.tool_position))
    assert refusal.guardrail == "goal" and "picture" in refusal.reason

    class Confused(Straight):
        def act(self, *args):
            mean, std = super().act(*args)
            return mean * np.nan, std

    plan = policy(network=Confused()).plan(belief, FAR)
    assert np.all(plan.actions[:, :3] == 0), "what the network says is not finite: to hold is what is left"


def query(belief, planner):
    return Query(belief, FAR, planner._imagination.cost, 0.04)


def test_proposals_spread_as_the_policy_is_unsure_and_come_back_to_it(belief):
    planner = policy(proposals=400)
    proposed = planner.proposals(query(belief, planner), np.random.default_rng(0), 5)
    assert proposed.shape == (400, 5, 4)
    first = proposed[:, 0, :3] - [0.03, 0, 0]
    np.testing.assert_allclose(first.std(axis=0), STD_M, rtol=0.15)
    reached = proposed[..., :3].sum(axis=1)
    assert reached[:, 1].std() < 0.85 * np.sqrt(5) * STD_M, "each step sees what the last one did and makes up for it"


def test_what_a_search_adds_is_seen_by_the_next_step(belief):
    planner = policy()
    residuals = np.zeros((2, 3, 3))
    residuals[1, 0, 1] = 0.01
    actions = planner.added(query(belief, planner), residuals)
    np.testing.assert_allclose(actions[0, :, :3], np.tile([0.03, 0, 0], (3, 1)), atol=1e-12)
    assert actions[1, 0, 1] == pytest.approx(0.01)
    assert actions[1, 1, 1] < 0, "it goes back to its way"


class Familiar:
    """Novelty as it is told, its quantiles the numbers themselves."""

    def __init__(self, score):
        self._score = score

    def score(self, latent):
        return self._score

    def level(self, quantile):
        return quantile


class Searching:
    """A search that says who it is."""

    def __init__(self):
        self.left_s = []

    def reset(self):
        pass

    def plan(self, belief, goal, deadline_s=None):
        self.left_s.append(deadline_s)
        return Refusal("searched", "", 0.0)


def switched(belief, score=0.5, goal=FAR, **parts):
    search = Searching()
    answer = ModeSwitch(policy(**parts), search, Familiar(score)).plan(belief, goal, 1.0)
    return answer, search


def test_in_a_familiar_situation_the_policy_answers_without_a_search(belief):
    answer, search = switched(belief)
    assert isinstance(answer, Plan) and search.left_s == []
    assert not answer.searched


@pytest.mark.parametrize(
    "why",
    [
        {"score": 0.95},
        {"score": np.nan},
        {"goal": Goal(FAR.tool_position)},
        {"network": Straight(-1.0)},
        {"mask": BoxMask(upper=START + np.array([0.05, 9, 9]))},
    ],
    ids=["new", "unknown", "no picture", "imagined to lead away", "a guardrail is in the way"],
)
def test_else_a_search_does_with_the_time_that_is_left(belief, why):
    answer, search = switched(belief, **why)
    assert answer.reason == "searched"
    assert 0.5 < search.left_s[0] <= 1.0


def test_a_residual_search_begins_with_the_policy_and_is_no_worse(belief):
    guide = policy(residual=True, proposals=0, network=Straight(0.5))
    alone = guide.plan(belief, FAR)
    for kind in ("icem", "mppi"):
        world = LinearWorld()
        plan = make(kind, world, guide=guide).plan(belief, FAR)
        assert any(np.allclose(a[:, :3], alone.actions[:, :3]) for a in world.seen[0])
        assert plan.cost < alone.cost
