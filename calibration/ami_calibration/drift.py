"""How large a world model's one-step errors are: their covariance, and the regression of their size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_calibration.errors import CalibrationError
from ami_robot.safety.drift import MOTION_FEATURES, DriftTest, features, find_drift, log_size, rms
from ami_robot.types import Array

_RIDGE = 0.03  # of the 2 D coefficients of latents, in units of the number of steps; for unit variance
_SMALL_RIDGE = 1e-4  # of the others, which are few


@dataclass(frozen=True, eq=False)
class Steps:
    """One episode of T steps as the drift test sees it; shapes as in `DriftTest.log_excess`."""

    before: Array  # (T, D)
    to_go_m: Array  # (T,)
    predicted: Array  # (T, D)
    seen: Array  # (T, D)


def fit_drift_test(episodes: list[Steps]) -> DriftTest:
    """Covariance and regression over all steps of the episodes; no limit yet.

    Raises CalibrationError when there are too few steps for a covariance of full rank.
    """
    before, to_go_m, predicted, seen = (
        np.concatenate([getattr(steps, name) for steps in episodes]).astype(np.float64)
        for name in ("before", "to_go_m", "predicted", "seen")
    )
    errors = predicted - seen
    if not np.isfinite(errors).all():
        raise CalibrationError("what the world model imagined is not finite; train a better one.")
    if len(errors) < 2 * errors.shape[-1]:
        raise CalibrationError(f"{len(errors)} steps are too few for the covariance of {errors.shape[-1]} latents.")
    whitening = _whitening(errors / rms(errors)[:, None]).astype(np.float32)
    sizes = log_size(errors @ whitening)
    return DriftTest(whitening, _ridge(features(before, to_go_m, seen), sizes).astype(np.float32), float("inf"))


def most_evidence(test: DriftTest, steps: Steps, window: int, kept: int) -> float:
    """The greatest evidence of a drift in an episode, as a monitor that keeps `kept` steps would see it."""
    excess = test.log_excess(steps.before, steps.to_go_m, steps.predicted, steps.seen)
    ends = range(1, len(excess) + 1)
    return max(
        find_drift(excess[max(0, n - kept) : n], steps.seen[max(0, n - kept) : n], window).evidence for n in ends
    )


def _whitening(errors: Array) -> Array:
    """(D, D), from errors (n, D): onto their principal axes, in units of the spread along each."""
    variances, axes = np.linalg.eigh(errors.T @ errors / len(errors))
    if not variances[0] > 1e-9 * variances[-1]:
        raise CalibrationError(
            "the errors of the latents span less than all of their dimensions; collect more episodes."
        )
    return axes / np.sqrt(variances)


def _ridge(columns: Array, values: Array) -> Array:
    """Coefficients (F,) of the columns (n, F); those of motion have next to no penalty, the constant has none."""
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    constant = columns.shape[1] - MOTION_FEATURES
    mean[constant], spread[constant] = 0.0, 1.0
    unit = (columns - mean) / np.maximum(spread, 1e-9)
    penalty = np.full(columns.shape[1], _RIDGE)
    penalty[constant:] = _SMALL_RIDGE
    penalty[constant] = 0.0
    scaled = np.linalg.solve(unit.T @ unit + len(unit) * np.diag(penalty), unit.T @ values) / np.maximum(spread, 1e-9)
    scaled[constant] -= mean @ scaled
    return scaled
