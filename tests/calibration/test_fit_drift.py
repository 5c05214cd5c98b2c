"""The drift test is fitted to how large errors are and to how they hang together, and too little data is refused."""

import numpy as np
import pytest

from ami_calibration.drift import Steps, fit_drift_test, most_evidence
from ami_calibration.errors import CalibrationError
from ami_robot.safety.drift import find_drift

DIM, T = 12, 24
MIX = np.random.default_rng(7).normal(size=(DIM, DIM)) * np.logspace(-1.5, 0, DIM)  # a few directions rule


def episode(rng, scale=1.0):
    """Errors grow with the square root of the change in the picture, and are correlated across latents."""
    seen = np.cumsum(rng.normal(size=(T + 1, DIM)) * rng.uniform(0.02, 0.5, (T + 1, 1)), axis=0)
    change = np.sqrt(np.mean(np.diff(seen, axis=0) ** 2, axis=-1, keepdims=True))
    errors = 0.05 * scale * np.sqrt(change) * (rng.normal(size=(T, DIM)) @ MIX)
    return Steps(seen[:-1], rng.uniform(0, 0.04, T), seen[1:] + errors, seen[1:])


@pytest.fixture(scope="module")
def episodes():
    rng = np.random.default_rng(0)
    return [episode(rng) for _ in range(120)]


@pytest.fixture(scope="module")
def fitted(episodes):
    return fit_drift_test(episodes)


def test_whitened_errors_are_uncorrelated(fitted):
    rng = np.random.default_rng(1)
    fresh = [episode(rng) for _ in range(100)]
    errors = np.concatenate([s.predicted - s.seen for s in fresh])
    errors /= np.sqrt(np.mean(errors**2, axis=-1, keepdims=True))  # the fit is to directions, not to sizes
    covariance = np.cov((errors @ fitted.whitening).T)
    np.testing.assert_allclose(covariance, np.eye(DIM), atol=0.15)


def test_the_excess_of_fresh_episodes_has_no_bias_and_is_the_log_of_how_much_errors_have_grown(fitted):
    excess = []
    for scale in (1.0, 1.5):
        rng = np.random.default_rng(2)
        fresh = [episode(rng, scale) for _ in range(100)]
        excess.append(np.mean([fitted.log_excess(s.before, s.to_go_m, s.predicted, s.seen) for s in fresh]))
    assert excess[0] == pytest.approx(0.0, abs=0.02)
    assert excess[1] - excess[0] == pytest.approx(np.log(1.5), abs=1e-4)


def test_size_is_expected_to_grow_with_the_change(fitted):
    rng = np.random.default_rng(3)
    fresh = [episode(rng) for _ in range(100)]
    excess = np.concatenate([fitted.log_excess(s.before, s.to_go_m, s.predicted, s.seen) for s in fresh])
    change = np.concatenate([np.log(np.mean((s.seen - s.before) ** 2, axis=-1)) for s in fresh])
    sizes = np.concatenate([np.log(np.mean(np.abs(s.predicted - s.seen), axis=-1)) for s in fresh])
    assert np.corrcoef(sizes, change)[0, 1] > 0.5
    assert abs(np.corrcoef(excess, change)[0, 1]) < 0.05


def test_the_most_evidence_is_that_of_the_clearest_moment_of_a_monitor(fitted):
    steps = episode(np.random.default_rng(4))
    excess = fitted.log_excess(steps.before, steps.to_go_m, steps.predicted, steps.seen)
    moments = [find_drift(excess[max(0, n - 10) : n], steps.seen[max(0, n - 10) : n], 5) for n in range(1, T + 1)]
    assert most_evidence(fitted, steps, window=5, kept=10) == max(drift.evidence for drift in moments)


def test_too_few_steps_or_errors_in_too_few_directions_are_refused(episodes):
    with pytest.raises(CalibrationError, match="too few for the covariance of 12"):
        short = episodes[0]
        fit_drift_test([Steps(short.before[:20], short.to_go_m[:20], short.predicted[:20], short.seen[:20])])
    flat = [Steps(s.before, s.to_go_m, s.seen + 0.1 * np.eye(DIM)[0], s.seen) for s in episodes]
    with pytest.raises(CalibrationError, match="less than all of their dimensions"):
        fit_drift_test(flat)


def test_errors_that_are_not_finite_are_refused(episodes):
    broken = Steps(episodes[0].before, episodes[0].to_go_m, episodes[0].predicted * np.nan, episodes[0].seen)
    with pytest.raises(CalibrationError, match="not finite"):
        fit_drift_test([*episodes, broken])
