"""A block is brought to where it is wanted, with the hand wherever that takes it."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import START, BoxMask, LinearWorld
from planner_cases import KINDS, SlopingWorld, make

from ami_robot.actor.analytic import StraightLine, StraightLineSettings
from ami_robot.actor.arrival import Arrival, ArrivalSettings
from ami_robot.actor.imagination import Imagination
from ami_robot.configurator.configurator import CostSettings, build_cost
from ami_robot.cost.block import BlockDistance
from ami_robot.cost.cost import CostError, WeightedSum
from ami_robot.types import Goal, Plan, Refusal

SETTINGS = ArrivalSettings(0.01, 0.02, leave_factor=2.0, most_steps=5, block_distance_m=0.03)
WEIGHTS = CostSettings(0.3, 1.0, 1.0, 0.0, 0.0, block_distance=1.0)


class Held:
    """A head in the linear world: the block is 10 cm in front of the hand, whose place the latent is."""

    ahead = np.array([0.1, 0.0, 0.0])

    def decode(self, latents):
        return latents + self.ahead

    def differentiate(self, latents):
        return self.decode(latents), lambda slopes: slopes


def block(*off):
    """The block is to be so far from where it is at the start."""
    return Goal(None, block_position=START + Held.ahead + np.array(off))


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_moves_the_hand_so_that_the_block_comes_there(kind, belief):
    planner = make(kind, SlopingWorld(), straight_line_candidate=True)
    planner.imagination.cost = build_cost(WEIGHTS, Held())
    plan = planner.plan(belief, block(0.06, -0.04, 0.0))
    assert isinstance(plan, Plan) and set(plan.cost_terms) == {"block_distance"}
    assert np.linalg.norm(plan.imagined_tool_path[-1] - (START + np.array([0.06, -0.04, 0.0]))) < 0.025


def test_what_cannot_judge_or_pursue_it_says_so(belief):
    with pytest.raises(CostError, match="none of the costs"):
        build_cost(CostSettings(0.3, 1.0, 1.0, 0.0, 0.0)).for_goal(block(0.0, 0.0, 0.0))
    straight = StraightLine(StraightLineSettings(6, 0.5, 0.04), BoxMask())
    assert straight.plan(belief, block(0.1, 0.0, 0.0)).guardrail == "goal"
    planner = make("icem")
    refusal = planner.plan(belief, replace(block(0, 0, 0), block_position=np.full(3, np.nan)))
    assert "goal's block position is not finite" in refusal.reason


class Asked:
    def reset(self):
        pass

    def plan(self, belief, goal, deadline_s=None):
        return Refusal("asked", "", 0.0)


def stays(belief, goal, head, settings=SETTINGS):
    cost = WeightedSum({**build_cost(WEIGHTS)._terms, BlockDistance(0.3, Held()): 1.0})
    planner = Arrival(settings, Asked(), Imagination(BoxMask(), LinearWorld(), cost), head)
    return isinstance(planner.plan(belief, goal), Plan)


@pytest.mark.parametrize(("off", "there"), [(0.029, True), (0.031, False)])
def test_it_stays_where_the_block_is_near_enough(belief, off, there):
    assert stays(belief, block(0.0, off, 0.0), Held()) is there


def test_hand_and_block_both_have_to_be_there_where_both_are_asked_for(belief):
    goal = block(0.0, 0.0, 0.0)
    assert stays(belief, replace(goal, tool_position=START + 0.01), Held())
    assert not stays(belief, replace(goal, tool_position=START + 0.1), Held())
    assert not stays(belief, replace(block(0.1, 0.0, 0.0), tool_position=START), Held())


def test_a_picture_is_judged_by_where_the_block_is_in_both_and_by_latents_only_without_a_head(belief):
    pictured = replace(block(0.0, 0.0, 0.0), tool_position=START + 9.0, image_latent=START + 0.5)
    assert stays(belief, pictured, Held()), "the hand is elsewhere in the picture, the block is not"
    assert not stays(belief, pictured, None)
    assert not stays(belief, pictured, Held(), replace(SETTINGS, block_distance_m=0.0))
    moved = replace(block(0.1, 0.0, 0.0), tool_position=START, image_latent=START)
    assert not stays(belief, moved, Held()) and stays(belief, moved, None)


def test_what_cannot_be_judged_has_not_been_reached(belief):
    assert not stays(belief, block(0.0, 0.0, 0.0), None)
