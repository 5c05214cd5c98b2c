"""The guardrail mask that every planner asks, against what it is made of; and what no plan can start from."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.actor.planner import PathMask, clip_norm, straight_steps, unusable
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.masks import path_margins
from ami_robot.safety.outcomes import outcome_margins
from ami_robot.safety.spec import load_spec
from ami_robot.types import Belief, Goal

SPEC, KINEMATICS = load_spec(), Kinematics()
START, ACTUAL = np.array([0.5, 0.0, 0.2]), np.array([0.49, 0.01, 0.21])
TOLERANCE_M = SPEC.inverse_kinematics.max_error_m


@pytest.fixture
def belief():
    """The tool is a little behind its target."""
    proprio = np.concatenate([ACTUAL, np.zeros(3), START, [0.04]])
    return Belief(0, np.ones(4), proprio, KINEMATICS.inverse(START)[0])


@pytest.fixture
def mask():
    return PathMask(SPEC, KINEMATICS)


def test_the_joint_path_is_that_of_the_targets_summed_up(belief, mask):
    displacements = np.random.default_rng(0).uniform(-0.02, 0.02, (5, 3, 3))
    checked = mask.check(belief, displacements)
    paths = KINEMATICS.inverse(START + np.cumsum(displacements, axis=1))[0]
    expected = path_margins(SPEC, KINEMATICS, paths, belief.target_joint_positions)
    np.testing.assert_array_equal(checked.joint_paths, paths)
    np.testing.assert_array_equal(checked.feasible, expected.feasible)
    np.testing.assert_array_equal(checked.margin, expected.margin)
    assert list(checked.row) == list(expected.row)
    assert mask.max_displacement_m == SPEC.tool_displacement.max_m_per_step


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_path_with_one_point_out_of_reach_has_no_joint_path_to_speak_of(belief, mask, step):
    displacements = np.zeros((2, 3, 3))
    displacements[0, step] = [1.0, 0.0, 0.0]
    displacements[0, step + 1 :] = [-1.0 / max(1, 2 - step), 0.0, 0.0]
    checked = mask.check(belief, displacements)
    missed_m = KINEMATICS.inverse(START + np.cumsum(displacements[0], axis=0))[1].max()
    assert missed_m > 0.1
    assert list(checked.feasible) == [False, True]
    assert checked.row[0] == "inverse_kinematics"
    assert checked.row[1] != "inverse_kinematics"
    assert checked.margin[0] == pytest.approx(1.0 - missed_m / TOLERANCE_M)


def test_what_is_missed_by_less_than_the_guardrail_file_allows_is_reached(belief):
    displacement = np.array([[[0.4, 0.0, 0.0]]])
    missed_m = float(KINEMATICS.inverse(START + displacement)[1].max())
    for allowed_m, reached in ((missed_m, True), (0.999 * missed_m, False)):
        spec = replace(SPEC, inverse_kinematics=replace(SPEC.inverse_kinematics, max_error_m=allowed_m))
        row = PathMask(spec, KINEMATICS).check(belief, displacement).row[0]
        assert (row != "inverse_kinematics") is reached


def test_imagined_outcomes_are_held_against_the_guardrails_from_where_the_tool_is(belief, mask):
    paths = START + np.random.default_rng(1).uniform(-0.3, 0.3, (20, 3, 3))
    mask.widen_m = 0.02
    found, expected = mask.check_outcomes(belief, paths), outcome_margins(SPEC, ACTUAL, paths, 0.02)
    np.testing.assert_array_equal(found.margin, expected.margin)
    np.testing.assert_array_equal(found.feasible, expected.feasible)
    assert 0 < found.feasible.sum() < 20


def test_without_being_told_of_a_model_error_nothing_is_widened(mask):
    assert (mask.widen_m, mask.people) == (0.0, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["image_latent", "proprio", "target_joint_positions", "tool_position", "goal_latent"])
def test_nothing_is_planned_from_or_towards_what_is_not_finite(belief, field, bad):
    goal = Goal(START, np.ones(4))
    assert unusable(belief, goal) is None
    assert unusable(belief, Goal(START)) is None, "a goal without a picture"
    if field in ("tool_position", "goal_latent"):
        name = field.removeprefix("goal_").replace("latent", "image_latent")
        values = np.array(getattr(goal, name))
        values[-1] = bad
        goal = replace(goal, **{name: values})
    else:
        values = np.array(getattr(belief, field))
        values[-1] = bad
        belief = replace(belief, **{field: values})
    refusal = unusable(belief, goal)
    assert refusal.guardrail == "unknown_state"
    assert "is not finite" in refusal.reason
    assert np.isnan(refusal.margin)


def test_long_vectors_are_shortened_and_short_ones_left_alone():
    vectors = np.array([[[0.0, 3.0, 4.0], [0.1, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, -2.0]]])
    expected = np.array([[[0.0, 0.6, 0.8], [0.1, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, -1.0]]])
    np.testing.assert_allclose(clip_norm(vectors, 1.0), expected)


def test_straight_steps_close_a_share_of_what_is_left_each():
    np.testing.assert_allclose(
        straight_steps(np.array([0.0, 0.1, 0.0]), 0.04, 0.5, 4)[:, 1], [0.04, 0.03, 0.015, 0.0075]
    )
    assert straight_steps(np.zeros(3), 0.04, 0.5, 2).shape == (2, 3)
