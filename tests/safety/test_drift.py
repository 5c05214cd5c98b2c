"""The drift test sees errors that have grown by half, knows an arm at rest, and does not take noise for a drift."""

import numpy as np
import pytest

from ami_robot.safety.drift import MOTION_FEATURES, SHIFT, DriftTest, features, find_drift, log_size, rms, steps_kept

APART = np.eye(10) * 100.0  # ten pictures that have nothing in common
ALIKE = np.zeros((10, 10))


def test_evidence_for_unlike_steps_is_the_sum_of_what_each_exceeds_half_the_shift_by():
    excess = np.array([0.0] * 5 + [0.3] * 5)
    drift = find_drift(excess, APART, window=5)
    assert drift.evidence == pytest.approx(5 * (0.3 - np.log(SHIFT) / 2))
    assert drift.scale == pytest.approx(np.exp(0.3))


def test_the_clearest_beginning_counts():
    excess = np.array([0.0] * 8 + [0.5, 0.5])
    drift = find_drift(excess, APART, window=5)
    assert drift.evidence == pytest.approx(2 * (0.5 - np.log(SHIFT) / 2))
    assert drift.scale == pytest.approx(np.exp(0.5))


def test_a_drift_can_have_begun_only_within_the_window():
    excess = np.full(10, 0.3)
    assert find_drift(excess, APART, window=5).evidence == pytest.approx(5 * (0.3 - np.log(SHIFT) / 2))
    assert find_drift(excess, APART, window=2).evidence == pytest.approx(2 * (0.3 - np.log(SHIFT) / 2))
    assert find_drift(excess[:1], APART[:1], window=5).evidence == pytest.approx(0.3 - np.log(SHIFT) / 2)


def test_a_scene_that_is_always_predicted_badly_is_little_evidence_but_a_change_in_it_is_much():
    always = find_drift(np.full(10, 0.4), ALIKE, window=5).evidence
    changed = find_drift(np.array([0.0] * 5 + [0.4] * 5), ALIKE, window=5)
    elsewhere = find_drift(np.full(10, 0.4), APART, window=5).evidence
    assert always < 0.3 * elsewhere
    assert changed.evidence > 2 * always
    assert changed.scale == pytest.approx(np.exp(0.4), rel=0.05)


def test_steps_with_like_pictures_are_compared_wherever_they_lie_between_others():
    pictures = APART.copy()
    pictures[::2] = 0.0  # to and fro: here every other step, elsewhere in between
    excess = np.array([0.6, 0.0] * 5)
    assert find_drift(excess, pictures, 5).evidence < 0.7 * find_drift(excess, APART, 5).evidence


@pytest.mark.parametrize("at", [0, 4, 9])
def test_nan_makes_the_evidence_nan(at):
    excess = np.zeros(10)
    excess[at] = np.nan
    assert not find_drift(excess, APART, 5).evidence <= 1e9


def test_the_excess_is_the_log_of_the_whitened_error_over_the_expected_one():
    whitening = np.array([[1.0, 0.0], [0.0, 10.0]])
    expected = np.zeros(2 * 2 + MOTION_FEATURES)
    expected[-MOTION_FEATURES] = np.log(0.5)
    test = DriftTest(whitening, expected, 1.0)
    before, seen = np.zeros((3, 2)), np.ones((3, 2))
    error = np.array([0.5, 0.05])  # whitened: 0.5 and 0.5
    excess = test.log_excess(before, np.full(3, 0.02), seen + error, seen)
    np.testing.assert_allclose(excess, 0.0, atol=1e-9)
    shifted = test.log_excess(before, np.full(3, 0.02), seen - SHIFT * error, seen)
    np.testing.assert_allclose(shifted, np.log(SHIFT))
    assert test.log_excess(before[0], 0.02, seen[0] + error, seen[0]) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(test.log_excess(before[0], 0.02, np.full(2, np.nan), seen[0]))
    assert np.isfinite(test.log_excess(before[0], 0.02, seen[0], seen[0])), "an error of nothing is a small one"


def test_features_are_what_is_seen_what_has_changed_and_how_far_there_was_to_go():
    before, seen = np.array([1.0, 2.0]), np.array([1.3, 1.6])
    moved, to_go = np.log(rms(seen - before) + 3e-3), np.log(0.02 + 1e-3)
    motion = [1.0, moved, to_go, moved**2, to_go**2, moved * to_go]
    assert len(motion) == MOTION_FEATURES
    np.testing.assert_allclose(features(before, 0.02, seen), [1.3, 1.6, 0.3, 0.4, *motion])
    assert np.isfinite(features(seen, 0.0, seen)).all()


def test_sizes_are_means_of_magnitudes():
    assert log_size(np.array([1.0, -3.0])) == pytest.approx(np.log(2.0))
    assert rms(np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))


def test_as_many_steps_are_kept_to_compare_with_as_are_judged():
    assert steps_kept(5) == 10


def test_a_third_of_the_variance_is_common_to_equal_pictures_and_fades_with_their_distance():
    """Two steps, the last may have drifted: evidence = (r2 - c r1 - log(1.5) / 2) / (1 - c^2), for a correlation c."""
    for distance, common in ((0.0, 1 / 3), (0.1, 1 / 3 * np.exp(-1.0)), (0.2, 1 / 3 * np.exp(-2.0))):
        pictures = np.array([[0.0, 0.0], [distance, distance]])
        drift = find_drift(np.array([0.2, 0.5]), pictures, window=1)
        assert drift.evidence == pytest.approx((0.5 - common * 0.2 - np.log(1.5) / 2) / (1 - common**2))
        assert drift.scale == pytest.approx(np.exp(0.5 - common * 0.2))
