"""Opening and closing as a choice among schedules."""

import numpy as np
import pytest

from ami_robot.actor.gripper import HOLD, Gripper

H = 4
GRIPPER = Gripper("search", (0.0, 0.08), H)
HELD = Gripper("hold", (0.0, 0.08), H)


def test_a_schedule_changes_once_to_one_of_two_widths_or_never():
    every = np.arange(1 + 2 * H)
    widths = GRIPPER.widths(every, 0.03)
    assert np.all(widths[HOLD] == 0.03)
    np.testing.assert_array_equal(widths[1], [0.0] * 4)
    np.testing.assert_array_equal(widths[2], [0.08] * 4)
    np.testing.assert_array_equal(widths[5], [0.03, 0.03, 0.0, 0.0])
    np.testing.assert_array_equal(widths[8], [0.03, 0.03, 0.03, 0.08])
    assert len(np.unique(widths, axis=0)) == len(every) == len(GRIPPER.shares())


@pytest.mark.parametrize("present", [0.0, 0.03, 0.08])
def test_the_schedule_nearest_to_the_widths_of_a_schedule_does_the_same(present):
    widths = GRIPPER.widths(np.arange(1 + 2 * H), present)
    again = GRIPPER.widths(GRIPPER.nearest(widths, present), present)
    np.testing.assert_array_equal(again, widths)


def test_widths_that_are_a_little_off_are_taken_for_the_level_they_are_near():
    assert GRIPPER.nearest(np.array([[0.078, 0.07, 0.012, 0.005]]), 0.08)[0] == 1 + 2 * 2
    assert HELD.nearest(np.array([[0.078, 0.07, 0.012, 0.005]]), 0.08)[0] == HOLD


def test_one_step_later_a_change_is_one_step_sooner_and_then_no_change():
    assert [GRIPPER.later(schedule) for schedule in range(7)] == [HOLD, HOLD, HOLD, 1, 2, 3, 4]


def test_before_anything_is_learnt_half_of_the_draws_hold_and_all_else_is_as_frequent():
    counts = np.bincount(GRIPPER.draw(np.random.default_rng(0), GRIPPER.shares(), 20000), minlength=9) / 20000
    np.testing.assert_allclose(counts, [0.5, *[0.0625] * 8], atol=0.01)


def test_a_gripper_that_is_not_searched_costs_no_random_number():
    rng = np.random.default_rng(0)
    assert np.all(HELD.draw(rng, HELD.shares(), 5) == HOLD)
    assert rng.random() == np.random.default_rng(0).random()


def test_shares_follow_the_weights_of_the_chosen_and_never_lose_a_schedule():
    shares = GRIPPER.refit(GRIPPER.shares(), np.array([3, 3, 5]), np.array([1.0, 1.0, 2.0]), keep=0.0, floor=0.1)
    assert shares.sum() == pytest.approx(1.0) and shares.min() > 0
    assert shares[3] == shares[5] == pytest.approx(0.9 * 0.5 + 0.1 * 0.0625)
