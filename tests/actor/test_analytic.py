"""Straight on, by steps that never exceed the cap, behind the same mask."""

import numpy as np
import pytest
from actor_doubles import START, BoxMask

from ami_robot.actor.analytic import StraightLine, StraightLineSettings
from ami_robot.types import Goal, Plan, Refusal


def line(mask=None, gain=1.0, max_step_m=0.04, horizon=6):
    return StraightLine(StraightLineSettings(horizon, gain, max_step_m), mask or BoxMask())


def test_it_goes_straight_and_lands_on_the_goal(belief):
    goal = Goal(START + np.array([0.1, 0.0, 0.0]))
    plan = line().plan(belief, goal)
    np.testing.assert_allclose(plan.actions[:, 0], [0.04, 0.04, 0.02, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(plan.imagined_tool_path[-1], goal.tool_position)
    assert plan.cost == pytest.approx(0.0, abs=1e-12)
    assert np.all(plan.actions[:, 3] == 0.04)
    assert not plan.searched


def test_the_gain_takes_a_share_of_what_is_left(belief):
    plan = line(gain=0.5).plan(belief, Goal(START + np.array([0.0, 0.04, 0.0])))
    np.testing.assert_allclose(plan.actions[:3, 1], [0.02, 0.01, 0.005])


def test_no_step_is_longer_than_the_guardrail_allows(belief):
    plan = line(max_step_m=0.5).plan(belief, Goal(START + np.array([0.3, 0.2, 0.0])))
    assert np.linalg.norm(plan.actions[:, :3], axis=1).max() <= 0.04 + 1e-12


def test_a_line_that_breaks_a_guardrail_is_refused_with_the_row_and_the_margin(belief):
    refusal = line(BoxMask(upper=START + 0.05)).plan(belief, Goal(START + np.array([0.1, 0.0, 0.0])))
    assert isinstance(refusal, Refusal)
    assert refusal.guardrail == "workspace" and refusal.margin == pytest.approx(-0.05)


def test_nan_is_refused(belief):
    assert isinstance(line().plan(belief, Goal(np.full(3, np.nan))), Refusal)


def test_a_goal_already_reached_is_a_plan_to_hold(belief):
    plan = line().plan(belief, Goal(START))
    assert isinstance(plan, Plan) and np.all(plan.actions[:, :3] == 0)
