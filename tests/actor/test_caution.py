"""Slower in what is new, no further in what is strange."""

import numpy as np
import pytest
from actor_doubles import START, BoxMask
from planner_cases import make

from ami_robot.actor.caution import Caution, CautionSettings
from ami_robot.types import Goal, Plan, Refusal

FAR = Goal(START + np.array([0.3, 0.0, 0.0]))
SETTINGS = CautionSettings(checkpoint="none", slow_above_quantile=0.5, slow_step_share=0.25, refuse_above=3.0)


class Novelty:
    """As it is told; its quantiles are the numbers themselves."""

    def __init__(self, score):
        self.told = score

    def score(self, latent):
        return self.told

    def level(self, quantile):
        return quantile


class SlowMask(BoxMask):
    step_share = 1.0

    @property
    def max_displacement_m(self):
        return 0.04 * self.step_share


def careful(score):
    mask = SlowMask()
    novelty = Novelty(score)
    return Caution(SETTINGS, make("icem", mask=mask), mask, novelty), novelty


def longest_m(plan):
    return np.linalg.norm(plan.actions[:, :3], axis=1).max()


def test_what_is_familiar_is_planned_as_ever_and_says_how_new_it_was(belief):
    plan = careful(0.4)[0].plan(belief, FAR)
    assert plan.novelty == 0.4
    np.testing.assert_array_equal(plan.actions, make("icem").plan(belief, FAR).actions)


def test_what_is_new_is_planned_with_shorter_steps_until_it_is_familiar_again(belief):
    planner, novelty = careful(0.6)
    assert longest_m(planner.plan(belief, FAR)) <= 0.01 + 1e-12
    novelty.told = 0.4
    assert longest_m(planner.plan(belief, FAR)) > 0.02


@pytest.mark.parametrize("score", [1.51, np.nan, np.inf])
def test_what_is_too_new_or_unknown_is_refused(belief, score):
    refusal = careful(score)[0].plan(belief, FAR)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "model_error"
    assert "at most 1.50" in refusal.reason
    assert refusal.margin == pytest.approx(1.5 - score, nan_ok=True)


def test_a_refusal_of_the_planner_stays_what_it_is(belief):
    mask = SlowMask(lower=START + 0.01)
    refusal = Caution(SETTINGS, make("icem", mask=mask), mask, Novelty(0.0)).plan(belief, FAR)
    assert not isinstance(refusal, Plan) and refusal.guardrail == "workspace"
