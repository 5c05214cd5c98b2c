"""iCEM against a world whose optimum is known, and against worlds that are broken."""

import numpy as np
import pytest
from actor_doubles import START, BoxMask, LinearWorld

from ami_robot.actor.planner import straight_steps
from ami_robot.types import TOOL_TARGET, Goal, Outcomes, Plan, Refusal

NEAR = Goal(START + np.array([0.06, -0.05, 0.04]))
FAR = Goal(START + np.array([0.3, 0.0, 0.0]), START + np.array([0.3, 0.0, 0.0]))


def test_finds_the_optimum_of_a_known_cost(belief, make_icem):
    planner = make_icem(candidates=512, iterations=8, approach_gain=1.0)
    best = straight_steps(NEAR.tool_position - START, 0.04, 1.0, 6)
    ways = START + np.cumsum(best, axis=0)
    weights = np.array([0.3] * 5 + [1.0])
    optimum = np.linalg.norm(ways - NEAR.tool_position, axis=1) @ weights / weights.sum()
    plan = planner.plan(belief, NEAR)
    assert plan.cost < optimum + 0.006
    assert np.linalg.norm(plan.imagined_tool_path[-1] - NEAR.tool_position) < 0.008


def test_goes_full_speed_towards_a_far_latent_goal(belief, make_icem):
    plan = make_icem(iterations=5).plan(belief, FAR)
    assert plan.imagined_tool_path[-1][0] - START[0] > 0.9 * 6 * 0.04


def test_every_displacement_respects_the_maximum_and_the_gripper_holds(belief, make_icem):
    world = LinearWorld()
    make_icem(world).plan(belief, FAR)
    actions = np.concatenate(world.seen)
    assert np.linalg.norm(actions[..., :3], axis=-1).max() <= 0.04 + 1e-12
    assert np.all(actions[..., 3] == 0.04)


def test_steps_get_shorter_near_the_goal(belief, make_icem):
    world = LinearWorld()
    make_icem(world, approach_gain=0.5).plan(belief, Goal(START + np.array([0.02, 0, 0])))
    assert np.linalg.norm(np.concatenate(world.seen)[..., :3], axis=-1).max() <= 0.01 + 1e-12


def test_hold_and_the_shifted_previous_plan_are_always_candidates(belief, make_icem):
    world = LinearWorld()
    planner = make_icem(world)
    first = planner.plan(belief, FAR)
    world.seen.clear()
    planner.plan(belief, FAR)
    assert np.all(world.seen[0][0, :, :3] == 0)
    np.testing.assert_allclose(world.seen[0][1, :-1], first.actions[1:])
    assert np.all(world.seen[0][1, -1, :3] == 0)


def test_the_mean_of_the_elites_is_a_candidate_of_the_next_iteration(belief, make_icem):
    world = LinearWorld()
    make_icem(world, momentum=0.0, elites=1, kept_elites=1, iterations=2).plan(belief, FAR)
    first = np.linalg.norm(world.seen[0][..., :3].cumsum(1) + START - FAR.tool_position, axis=-1)
    weights = np.array([0.3] * 5 + [1.0])
    latent = np.sqrt(((world.seen[0][..., :3].cumsum(1) + START - FAR.image_latent) ** 2).mean(-1))
    elite = np.argmin((first + latent) @ weights)
    np.testing.assert_allclose(world.seen[1][0], world.seen[0][elite])


def test_the_straight_line_is_a_candidate_only_when_asked_for(belief, make_icem):
    line = straight_steps(FAR.tool_position - START, 0.04, 1.0, 6)
    for asked in (False, True):
        world = LinearWorld()
        make_icem(world, straight_line_candidate=asked).plan(belief, FAR)
        assert any(np.allclose(a[:, :3], line) for a in world.seen[0]) == asked


def test_a_candidate_that_breaks_a_guardrail_is_never_imagined(belief, make_icem):
    world, mask = LinearWorld(), BoxMask(lower=(0.4, -0.05, 0.15), upper=(0.55, 0.05, 0.25))
    plan = make_icem(world, mask).plan(belief, FAR)
    imagined = np.concatenate(world.seen)
    targets = START + imagined[..., :3].cumsum(1)
    assert np.all(targets >= mask.lower) and np.all(targets <= mask.upper)
    assert plan.masked > 0
    assert plan.candidates == mask.checked == plan.masked + len(imagined)
    assert plan.margin >= 0
    np.testing.assert_allclose(plan.joint_path[:, :3], belief.proprio[TOOL_TARGET] + plan.actions[:, :3].cumsum(0))


def test_it_looks_again_nearby_when_few_candidates_are_feasible(belief, make_icem):
    mask = BoxMask(lower=START - 1e-3, upper=START + 1e-3)
    plan = make_icem(mask=mask, iterations=1).plan(belief, FAR)
    assert isinstance(plan, Plan)
    assert mask.checked > 128
    assert np.all(np.abs(plan.actions[:, :3].cumsum(0)) <= 1e-3)


def test_it_holds_when_nothing_else_is_feasible(belief, make_icem):
    plan = make_icem(mask=BoxMask(lower=START, upper=START)).plan(belief, FAR)
    assert np.all(plan.actions[:, :3] == 0)


def test_when_even_holding_breaks_a_guardrail_there_is_a_refusal_and_no_imagination(belief, make_icem):
    world = LinearWorld()
    refusal = make_icem(world, BoxMask(lower=START + 0.01)).plan(belief, FAR)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "workspace" and refusal.margin == pytest.approx(-0.01)
    assert world.seen == []


class BrokenWorld(LinearWorld):
    """NaN for the candidates that move, or for all."""

    def __init__(self, field, everything):
        super().__init__()
        self.field, self.everything = field, everything

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        moving = np.any(actions[..., :3] != 0, axis=(1, 2))
        getattr(outcomes, self.field)[moving | self.everything, -1, 0] = np.nan
        return outcomes


@pytest.mark.parametrize("field", ["image_latents", "proprio"])
def test_outcomes_with_nan_are_dropped_and_all_nan_is_a_refusal(belief, make_icem, field):
    pose = Goal(FAR.tool_position)  # also when the NaN is in a part that no cost looks at
    plan = make_icem(BrokenWorld(field, everything=False)).plan(belief, pose)
    assert np.all(plan.actions[:, :3] == 0)
    refusal = make_icem(BrokenWorld(field, everything=True)).plan(belief, pose)
    assert isinstance(refusal, Refusal) and "no finite outcome" in refusal.reason


@pytest.mark.parametrize("broken", ["belief", "goal", "goal latent"])
def test_a_start_or_goal_with_nan_is_refused_before_anything_is_imagined(belief, make_icem, broken):
    world, goal = LinearWorld(), FAR
    if broken == "belief":
        belief.proprio[4] = np.nan
    else:
        nan = np.full(3, np.nan)
        goal = Goal(nan, FAR.image_latent) if broken == "goal" else Goal(FAR.tool_position, nan)
    refusal = make_icem(world).plan(belief, goal)
    assert isinstance(refusal, Refusal) and "not finite" in refusal.reason
    assert world.seen == []


def test_the_best_candidate_seen_is_returned_and_not_the_mean(belief, make_icem):
    class Costs(LinearWorld):
        def predict(self, image_latent, proprio, actions):
            outcomes = super().predict(image_latent, proprio, actions)
            if self.seen[1:]:  # later iterations are all worse than the first one
                outcomes.proprio[..., :3] += 5.0
            return outcomes

    world = Costs()
    plan = make_icem(world).plan(belief, Goal(FAR.tool_position))
    distance = np.linalg.norm(START + world.seen[0][..., :3].cumsum(1) - FAR.tool_position, axis=-1)
    best = np.argmin(distance @ np.array([0.3] * 5 + [1.0]))
    np.testing.assert_allclose(plan.actions, world.seen[0][best])


def test_cost_terms_sum_to_the_cost(belief, make_icem):
    plan = make_icem().plan(belief, FAR)
    assert set(plan.cost_terms) == {"latent_distance", "tool_distance"}
    assert sum(plan.cost_terms.values()) == pytest.approx(plan.cost)


def test_a_pose_goal_leaves_the_latent_term_out(belief, make_icem):
    assert set(make_icem().plan(belief, NEAR).cost_terms) == {"tool_distance"}


def test_the_same_seed_plans_the_same_and_reset_starts_it_again(belief, make_icem):
    planner = make_icem()
    first, second = planner.plan(belief, FAR), planner.plan(belief, FAR)
    planner.reset()
    np.testing.assert_array_equal(planner.plan(belief, FAR).actions, first.actions)
    np.testing.assert_array_equal(planner.plan(belief, FAR).actions, second.actions)
    assert not np.array_equal(make_icem(seed=1).plan(belief, FAR).actions, first.actions)


def test_a_warm_start_makes_one_iteration_as_good_as_several(belief, make_icem):
    cold = make_icem(iterations=1).plan(belief, FAR).cost
    planner = make_icem(iterations=1)
    for _ in range(5):
        warm = planner.plan(belief, FAR).cost
    assert warm < cold


def test_a_short_deadline_ends_after_one_iteration_with_a_plan(belief, make_icem):
    world = LinearWorld()
    assert isinstance(make_icem(world).plan(belief, FAR, deadline_s=0.0), Plan)
    assert len(world.seen) == 1
    make_icem(world).plan(belief, FAR, deadline_s=60.0)
    assert len(world.seen) == 4


def test_outcomes_may_be_float32(belief, make_icem):
    class Single(LinearWorld):
        def predict(self, *args):
            outcomes = super().predict(*args)
            return Outcomes(outcomes.image_latents.astype(np.float32), outcomes.proprio.astype(np.float32))

    assert isinstance(make_icem(Single()).plan(belief, FAR), Plan)


def test_a_candidate_whose_imagined_outcome_breaks_a_guardrail_is_not_chosen(belief, make_icem):
    mask = BoxMask(imagined=(-9, START + np.array([0.03, 9, 9])))
    plan = make_icem(mask=mask).plan(belief, FAR)
    assert plan.imagined_tool_path[:, 0].max() <= START[0] + 0.03
    assert 0 <= plan.margin <= 0.03


def test_when_every_imagined_outcome_breaks_a_guardrail_there_is_a_refusal_with_the_row(belief, make_icem):
    refusal = make_icem(mask=BoxMask(imagined=(START + 0.5, 9))).plan(belief, FAR)
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "workspace" and refusal.margin < 0
