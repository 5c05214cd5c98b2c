"""What holds for every planner that searches, whatever it makes of what it sees."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import START, BoxMask
from planner_cases import KINDS, DoubtfulWorld, GraspingWorld, SlopingWorld, make

from ami_robot.actor.planner import PathMask
from ami_robot.configurator.configurator import CostSettings
from ami_robot.cost.cost import CostError
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import GRIPPER_WIDTH, TOOL_POSITION, TOOL_TARGET, Belief, Goal, Outcomes, Plan, Refusal
from ami_robot.world_model.kinematic import KinematicModel

pytestmark = pytest.mark.parametrize("kind", KINDS)

SPEC, KINEMATICS = load_spec(), Kinematics()
POSE = Goal(START + np.array([0.10, -0.08, 0.06]))
FAR = Goal(START + np.array([0.3, 0.0, 0.0]), START + np.array([0.3, 0.0, 0.0]))


def test_it_reaches_a_pose_through_the_guardrail_file_and_stays_there(kind):
    planner = make(kind, KinematicModel(), PathMask(SPEC, KINEMATICS))
    tool, joints = START, KINEMATICS.inverse(START)[0]
    for _ in range(25):
        plan = planner.plan(Belief(0, np.zeros(2), np.concatenate([tool, np.zeros(3), tool, [0.04]]), joints), POSE)
        assert isinstance(plan, Plan), plan
        assert np.linalg.norm(plan.actions[:, :3], axis=1).max() <= SPEC.tool_displacement.max_m_per_step + 1e-9
        assert np.all(plan.actions[:, 3] == 0.04)
        tool, joints = tool + plan.actions[0, :3], plan.joint_path[0]
    assert np.linalg.norm(tool - POSE.tool_position) < 0.005


def test_it_never_imagines_nor_chooses_what_a_guardrail_forbids(kind, belief):
    world, mask = SlopingWorld(), BoxMask(lower=(0.4, -0.05, 0.15), upper=(0.55, 0.05, 0.25))
    plan = make(kind, world, mask).plan(belief, FAR)
    targets = START + np.concatenate(world.seen)[..., :3].cumsum(1)
    assert np.all(targets >= mask.lower) and np.all(targets <= mask.upper)
    assert plan.masked > 0 and plan.margin >= 0
    assert plan.candidates == plan.masked + len(targets)
    assert plan.imagined_tool_path[-1, 0] > START[0] + 0.02, "it goes as far as it may"


def test_an_imagined_outcome_that_breaks_a_guardrail_is_not_chosen(kind, belief):
    plan = make(kind, mask=BoxMask(imagined=(-9, START + np.array([0.03, 9, 9])))).plan(belief, FAR)
    assert plan.imagined_tool_path[:, 0].max() <= START[0] + 0.03


def test_where_nothing_but_holding_is_safe_it_holds_and_where_not_even_that_it_refuses(kind, belief):
    plan = make(kind, mask=BoxMask(lower=START, upper=START)).plan(belief, FAR)
    assert np.all(plan.actions[:, :3] == 0)
    world = SlopingWorld()
    refusal = make(kind, world, BoxMask(lower=START + 0.01)).plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "workspace"
    assert refusal.margin == pytest.approx(-0.01) and world.seen == []


def test_no_time_is_still_a_plan_and_more_time_no_worse(kind, belief):
    short = make(kind).plan(belief, FAR, deadline_s=0.0)
    long = make(kind).plan(belief, FAR, deadline_s=60.0)
    assert short.iterations == 1 < long.iterations
    assert short.searched and long.searched
    assert long.cost < short.cost


def test_the_same_seed_plans_the_same_and_reset_starts_it_again(kind, belief):
    planner = make(kind)
    first, second = planner.plan(belief, FAR), planner.plan(belief, FAR)
    planner.reset()
    np.testing.assert_array_equal(planner.plan(belief, FAR).actions, first.actions)
    np.testing.assert_array_equal(planner.plan(belief, FAR).actions, second.actions)


def test_a_warm_start_makes_a_short_search_better(kind, belief):
    cold = make(kind, iterations=1).plan(belief, FAR).cost
    planner = make(kind, iterations=1)
    for _ in range(5):
        warm = planner.plan(belief, FAR).cost
    assert warm < cold


class NotANumber(SlopingWorld):
    def predict(self, *args):
        outcomes = super().predict(*args)
        outcomes.proprio[:, -1, 0] = np.nan
        return outcomes


def test_what_is_not_finite_is_refused(kind, belief):
    refusal = make(kind, NotANumber()).plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "imagination"
    refusal = make(kind).plan(replace(belief, image_latent=np.full(3, np.nan)), FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "unknown_state"


def test_to_lift_it_closes_the_gripper_only_where_that_is_searched(kind, belief):
    above = Goal(START, START + np.array([0.0, 0.0, 0.1]))
    open_hand = replace(belief, proprio=np.concatenate([START, np.zeros(3), START, [0.08]]))
    cost, options = CostSettings(0.3, 1.0, 0.0, 0.0, 0.0), {"approach_gain": 1.0, "min_step_limit_m": 0.04}
    plan = make(kind, GraspingWorld(), cost=cost, gripper="search", **options).plan(open_hand, above)
    assert plan.actions[-1, 3] == 0.0 and plan.actions[:, 2].sum() > 0.05
    assert set(plan.actions[:, 3]) <= {0.08, 0.0}
    held = make(kind, GraspingWorld(), cost=cost, gripper="hold", **options).plan(open_hand, above)
    assert np.all(held.actions[:, 3] == 0.08)
    assert plan.cost < held.cost


def test_a_change_of_the_gripper_that_was_planned_for_later_comes_one_step_sooner_in_the_next_plan(kind, belief):
    planner = make(kind, gripper="search", iterations=1)
    planner.last_schedule = 1 + 2 * 3  # to close at step 3
    world = planner.imagination.world_model
    planner.plan(belief, FAR)
    np.testing.assert_array_equal(world.seen[0][1, :, 3], [0.04, 0.04, 0.0, 0.0, 0.0, 0.0])


def test_the_spread_is_in_the_plan_and_what_the_model_is_not_sure_of_is_not_chosen(kind, belief):
    assert np.isnan(make(kind).plan(belief, FAR).spread)
    plan = make(kind, DoubtfulWorld()).plan(belief, FAR)
    assert plan.spread == pytest.approx(np.linalg.norm(plan.imagined_tool_path - START, axis=1).max())
    careful = make(kind, DoubtfulWorld(), max_spread=0.05).plan(belief, FAR)
    assert 0.02 < careful.spread <= 0.05 < plan.spread
    refusal = make(kind, DoubtfulWorld(), max_spread=-1.0).plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "model_error" and refusal.margin == pytest.approx(-1.0)


def test_a_model_that_gives_no_spread_is_never_sure_enough_where_one_is_asked_for(kind, belief):
    refusal = make(kind, max_spread=0.05).plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "model_error"


def test_spread_in_the_cost_keeps_it_where_the_model_is_sure(kind, belief):
    without = make(kind, DoubtfulWorld()).plan(belief, FAR)
    weighed = make(kind, DoubtfulWorld(), cost=CostSettings(0.3, 1.0, 1.0, 0.0, 0.0, spread=5.0)).plan(belief, FAR)
    assert weighed.spread < 0.3 * without.spread
    assert "spread" in weighed.cost_terms
    with pytest.raises(CostError, match="block head or several networks"):
        make(kind, cost=CostSettings(0.3, 1.0, 1.0, 0.0, 0.0, spread=5.0)).plan(belief, FAR)


class Oracle:
    """A guide that knows the way, and says so to whoever asks."""

    def __init__(self, residual, applies=True):
        self.residual, self._applies = residual, applies

    def applies_to(self, goal):
        return self._applies

    def mean(self, query, horizon):
        return np.tile([query.limit_m, 0.0, 0.0, 0.0], (horizon, 1))

    def proposals(self, query, rng, horizon):
        return np.tile(self.mean(query, horizon), (2, 1, 1))

    def added(self, query, residuals):
        moves = np.clip(residuals + np.array([query.limit_m, 0, 0]), -query.limit_m, query.limit_m)
        return np.concatenate([moves, np.zeros((*moves.shape[:2], 1))], axis=-1)


def test_what_a_guide_proposes_is_tried_in_the_first_iteration(kind, belief):
    plan = make(kind, guide=Oracle(residual=False)).plan(belief, FAR, deadline_s=0.0)
    np.testing.assert_allclose(plan.actions, np.tile([0.04, 0.0, 0.0, 0.04], (6, 1)))
    free = make(kind, guide=Oracle(residual=False, applies=False)).plan(belief, FAR, deadline_s=0.0)
    np.testing.assert_array_equal(free.actions, make(kind).plan(belief, FAR, deadline_s=0.0).actions)


def test_a_searched_gripper_takes_over_when_the_guide_would_close_it(kind, belief):
    world = SlopingWorld()
    make(kind, world, guide=Oracle(residual=False), gripper="search", iterations=1).plan(belief, FAR)
    assert sum(np.all(a == [0.04, 0.0, 0.0, 0.0]) for a in world.seen[0]) == 2


def test_the_plan_is_what_the_world_model_says_of_its_actions(kind, belief):
    plan = make(kind).plan(belief, FAR)
    outcomes: Outcomes = SlopingWorld().predict(belief.image_latent, belief.proprio, plan.actions[None])
    np.testing.assert_allclose(outcomes.proprio[0, :, TOOL_POSITION], plan.imagined_tool_path)
    targets = belief.proprio[TOOL_TARGET] + plan.actions[:, :3].cumsum(0)
    np.testing.assert_allclose(plan.joint_path[:, :3], targets)
    assert np.all(plan.actions[:, 3:] == belief.proprio[GRIPPER_WIDTH])
