"""Goals on the way are gone through in turn, and at the last one the arm stays, judged by the picture."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import START, BoxMask, LinearWorld
from planner_cases import COST

from ami_robot.actor.arrival import Arrival, ArrivalSettings
from ami_robot.actor.imagination import Imagination
from ami_robot.configurator.configurator import build_cost
from ami_robot.types import Goal, Plan, Refusal

SETTINGS = ArrivalSettings(latent_distance=0.01, tool_distance_m=0.02, leave_factor=2.0, most_steps=5)


class Asked:
    """A planner that remembers what it was asked for."""

    def __init__(self):
        self.goals, self.resets = [], 0

    def reset(self):
        self.resets += 1

    def plan(self, belief, goal, deadline_s=None):
        self.goals.append(goal)
        return Refusal("asked", "", 0.0)


def picture(x):
    """Seen from the start: its latent is x off in each number."""
    return Goal(START + 9.0, START + x)


def pose(x):
    return Goal(START + np.array([x, 0, 0]))


def arriving(mask=None):
    inner = Asked()
    return Arrival(SETTINGS, inner, Imagination(mask or BoxMask(), LinearWorld(), build_cost(COST))), inner


def stays(answer):
    return (
        isinstance(answer, Plan)
        and bool(np.all(answer.actions[:, :3] == 0))
        and bool(np.all(answer.actions[:, 3] == 0.04))
        and not answer.searched
    )


@pytest.mark.parametrize(
    ("goal", "there"), [(picture(0.009), True), (picture(0.011), False), (pose(0.019), True), (pose(0.021), False)]
)
def test_it_stays_where_the_picture_or_the_pose_is_near_enough_and_plans_where_not(belief, goal, there):
    planner, inner = arriving()
    assert stays(planner.plan(belief, goal)) is there
    assert len(inner.goals) == (not there)


def test_a_picture_is_judged_by_the_picture_alone(belief):
    planner, _ = arriving()
    elsewhere = Goal(START + 0.5, START)
    assert stays(planner.plan(belief, elsewhere)), "the decoded position is far off, the picture is the same"


def test_once_there_it_takes_more_to_leave_and_then_as_little_to_come_back(belief):
    planner, inner = arriving()
    moved = [replace(belief, image_latent=START + off) for off in (0.015, 0.009, 0.015, 0.025, 0.015)]
    answers = [stays(planner.plan(at, picture(0.0))) for at in moved]
    assert answers == [False, True, True, False, False]
    assert len(inner.goals) == 3


def test_staying_goes_through_the_guardrails(belief):
    planner, _ = arriving(BoxMask(lower=START + 0.01))
    refusal = planner.plan(belief, picture(0.0))
    assert isinstance(refusal, Refusal) and refusal.guardrail == "workspace"


def test_the_way_is_gone_through_in_order_and_what_is_reached_is_passed_at_once(belief):
    way = (picture(0.005), pose(0.3), picture(0.5))
    planner, inner = arriving()
    goal = replace(picture(0.7), way=way)
    planner.plan(belief, goal)
    assert inner.goals[-1] is way[1]
    planner.plan(replace(belief, proprio=belief.proprio + np.array([0.3, *[0] * 9])), goal)
    assert inner.goals[-1] is way[2]
    planner.plan(replace(belief, image_latent=START + 0.5), goal)
    assert inner.goals[-1] is goal
    planner.plan(belief, goal)
    assert inner.goals[-1] is goal, "what has been passed is not gone back to"
    planner.reset()
    planner.plan(belief, goal)
    assert inner.goals[-1] is way[1] and inner.resets == 1


def test_a_goal_on_the_way_that_is_not_reached_is_given_up_after_so_many_plans_but_the_last_is_not(belief):
    way = (picture(0.5),)
    planner, inner = arriving()
    goal = replace(picture(0.7), way=way)
    for _ in range(20):
        planner.plan(belief, goal)
    assert [asked is way[0] for asked in inner.goals] == [True] * 5 + [False] * 15


def test_nan_is_refused_before_it_is_compared(belief):
    planner, inner = arriving()
    assert planner.plan(replace(belief, image_latent=np.full(3, np.nan)), picture(0.0)).guardrail == "unknown_state"
    assert planner.plan(belief, Goal(START, np.full(3, np.nan))).guardrail == "unknown_state"
    assert inner.goals == []


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="leave_factor >= 1"):
        replace(SETTINGS, leave_factor=0.5)
