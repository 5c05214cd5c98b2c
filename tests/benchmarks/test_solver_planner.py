"""Solvers of another library behind our protocol, by a double with their call surface; the real ones where they are."""

import importlib.util
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ami_robot.actor.imagination import Imagination
from ami_robot.configurator.configurator import REACH, CostSettings, build_cost, load_task
from ami_robot.cost.cost import Imagined
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import Belief, Goal, Outcomes, Plan, Refusal
from ami_sim.evaluation.suites import EvaluationError
from benchmarks import solver_planner
from benchmarks.solver_planner import CLASSES, NoMask, SolverPlanner, solver_class
from tests.actor.actor_doubles import START, BoxMask, LinearWorld

SETTINGS = replace(load_task(REACH).icem, approach_gain=1.0)
LIMIT_M = BoxMask.max_displacement_m
FAR = Goal(START + np.array([0.3, 0.0, 0.0]), START + np.array([0.3, 0.0, 0.0]))
BELIEF = Belief(0, START.copy(), np.concatenate([START, np.zeros(3), START, [0.04]]), np.zeros(7))


class Drawing:
    """Draws once, wider than allowed, and answers with the cheapest; keeps what it is told."""

    def __init__(self, model, num_samples=200, seed=0):
        self.model, self._count = model, num_samples
        self._generator = torch.Generator().manual_seed(seed)
        self.began_with, self.costs = [], []

    def configure(self, *, action_space, n_envs, config):
        assert action_space.shape == (n_envs, 3)
        self._shape = (n_envs, self._count, config.horizon, 3)

    def solve(self, info_dict, init_action=None):
        assert {len(value) for value in info_dict.values()} == {1}
        self.began_with.append(init_action)
        candidates = 2 * torch.randn(self._shape, generator=self._generator)
        costs = self.model.get_cost(info_dict, candidates)
        assert costs.shape == (1, self._count) and costs.dtype == candidates.dtype
        self.costs.append(costs[0].numpy())
        print("solve time: 0.0 seconds")
        return {"actions": candidates[:, costs[0].argmin()], "costs": [float(costs.min())]}


class Made:
    """Makes a solver and remembers it."""

    def __init__(self, kind=Drawing):
        self._kind, self.solvers = kind, []

    def __call__(self, model):
        self.solvers.append(self._kind(model))
        return self.solvers[-1]


def planner(make, world=None, mask=None, settings=SETTINGS):
    cost = build_cost(CostSettings(0.3, 1.0, 1.0, 0.0, 0.0))
    return SolverPlanner(make, settings, Imagination(mask or BoxMask(), world or LinearWorld(), cost))


def test_its_answer_is_a_plan_in_metres_within_the_step_limit_that_holds_the_gripper(capsys):
    world = LinearWorld()
    plan = planner(Made(), world).plan(BELIEF, FAR)
    assert isinstance(plan, Plan) and plan.actions.shape == (SETTINGS.horizon, 4)
    assert plan.actions[:, 0].sum() > 2 * LIMIT_M
    for actions in (plan.actions, np.concatenate(world.seen)):
        assert np.linalg.norm(actions[..., :3], axis=-1).max() <= LIMIT_M + 1e-9
        assert np.all(actions[..., 3] == 0.04)
    assert (plan.candidates, plan.masked) == (200, 0)
    assert capsys.readouterr().out == ""


def test_what_candidates_cost_is_our_cost_of_our_rollout():
    plan = planner(Made()).plan(BELIEF, FAR)
    actions = plan.actions[None]
    outcomes = LinearWorld().predict(BELIEF.image_latent, BELIEF.proprio, actions)
    cost = build_cost(CostSettings(0.3, 1.0, 1.0, 0.0, 0.0)).for_goal(FAR)
    assert plan.cost == pytest.approx(cost.terms(Imagined(BELIEF, FAR, actions, outcomes)).sum(), rel=1e-5)


def test_near_the_goal_steps_are_as_short_as_in_our_search():
    near = Goal(START + np.array([0.02, 0.0, 0.0]))
    plan = planner(Made(), settings=replace(SETTINGS, approach_gain=0.5)).plan(BELIEF, near)
    assert np.linalg.norm(plan.actions[:, :3], axis=1).max() <= 0.01 + 1e-9


def test_a_search_begins_from_the_rest_of_the_last_plan_until_there_is_a_new_goal():
    made = Made()
    search = planner(made)
    first = search.plan(BELIEF, FAR)
    search.plan(BELIEF, FAR)
    search.reset()
    again = search.plan(BELIEF, FAR)
    nothing, rest = made.solvers[0].began_with if len(made.solvers) == 2 else made.solvers[-2].began_with
    assert nothing is None and made.solvers[-1].began_with == [None]
    np.testing.assert_allclose(rest[0].numpy() * LIMIT_M, first.actions[1:, :3], atol=1e-7)
    np.testing.assert_array_equal(again.actions, first.actions)


def test_a_candidate_that_breaks_a_guardrail_costs_infinitely_much_and_is_never_imagined():
    made, world, mask = Made(), LinearWorld(), BoxMask(lower=START - 0.1, upper=START + 0.1)
    plan = planner(made, world, mask).plan(BELIEF, FAR)
    targets = START + np.concatenate(world.seen)[..., :3].cumsum(axis=1)
    assert np.all(np.abs(targets - START) <= 0.1 + 1e-9)
    assert 0 < plan.masked == np.isinf(made.solvers[-1].costs[0]).sum() < plan.candidates


def test_a_candidate_whose_outcome_breaks_a_guardrail_costs_infinitely_much():
    made, mask = Made(), BoxMask(imagined=(-9, START[0] + 0.1))
    planner(made, mask=mask).plan(BELIEF, FAR)
    assert 0 < np.isinf(made.solvers[-1].costs[0]).sum() < 200


def test_an_answer_that_breaks_a_guardrail_is_a_refusal():
    forbidden = BoxMask(lower=START + 1.0)
    answer = planner(Made(), mask=forbidden).plan(BELIEF, FAR)
    assert isinstance(answer, Refusal) and answer.guardrail == "workspace"


def test_without_masks_nothing_is_forbidden_and_nothing_is_looked_at():
    mask = NoMask(load_spec(), Kinematics())
    below_the_table = Goal(START - np.array([0.0, 0.0, 0.5]))
    plan = planner(Made(), mask=mask).plan(BELIEF, below_the_table)
    assert isinstance(plan, Plan) and plan.masked == 0 and np.isnan(plan.joint_path).all()


def test_what_the_world_model_does_not_know_costs_infinitely_much():
    class Ignorant(LinearWorld):
        def predict(self, *args):
            outcomes = super().predict(*args)
            proprio = outcomes.proprio.copy()
            proprio[1::2] = np.nan
            return Outcomes(outcomes.image_latents, proprio)

    made = Made()
    assert isinstance(planner(made, Ignorant()).plan(BELIEF, FAR), Plan)
    assert np.isinf(made.solvers[-1].costs[0][1::2]).all() and np.isfinite(made.solvers[-1].costs[0][::2]).all()


def test_a_belief_that_is_not_finite_is_refused_before_the_solver_is_asked():
    made = Made()
    unknown = replace(BELIEF, image_latent=START * np.nan)
    assert isinstance(planner(made).plan(unknown, FAR), Refusal)
    assert made.solvers[-1].began_with == []


def test_without_their_package_one_sentence_says_where_to_read(monkeypatch):
    monkeypatch.delitem(sys.modules, solver_planner.PACKAGE, raising=False)
    monkeypatch.setattr(solver_planner, "find_spec", lambda name: None)
    with pytest.raises(EvaluationError, match=r"^stable-worldmodel is not in the environment of .*evaluate.md"):
        solver_class("cem")


@pytest.mark.skipif(
    importlib.util.find_spec(solver_planner.PACKAGE) is None,
    reason="stable-worldmodel is not in this environment (docs/how-to/evaluate.md)",
)
@pytest.mark.parametrize("name", CLASSES)
def test_their_solvers_find_the_way_to_a_goal(name):
    make = partial(solver_class(name), num_samples=200, n_steps=10, topk=20)
    plan = planner(make).plan(BELIEF, FAR)
    assert plan.candidates == 2000
    assert plan.actions[:, 0].sum() > 0.85 * SETTINGS.horizon * LIMIT_M
    assert np.abs(plan.actions[:, 1:3].sum(axis=0)).max() < LIMIT_M
