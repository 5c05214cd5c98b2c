"""Have the world model's errors grown by half? A likelihood ratio over the last steps, and the numbers it needs.

How large a latent's error is: the mean magnitude of its whitened components. Whitened, because there are many small and
nearly independent ones among them, whose mean hardly varies from step to step; unwhitened, a few large ones rule.
How large it should be: linear in the picture, in what has changed in it, and in how far the arm had to go.

What is left of its logarithm, the log excess, is modelled as a Gaussian process over pictures: steps with nearly the
same picture share most of their excess (an arm at rest repeats its error exactly), others do not. Against "nothing has
changed" stands "all errors are SHIFT times as large since one of the last steps": the generalised likelihood ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.types import Array

SHIFT = 1.5
"""By this much errors grow in the case that is tested for."""

MOTION_FEATURES = 6
"""Of `features`, the last ones, the first of which is constant; two for each latent component come before."""

_COMMON = 1.0 / 3.0  # of the excess' variance is common to steps with the same picture
_ALIKE = 0.1  # RMS distance at which pictures cease to be the same; latents have unit variance, a moving arm makes 0.5
_SMALLEST = 1e-6  # an error of nothing has no logarithm


@dataclass(frozen=True, eq=False)
class DriftTest:
    """What `ami calibrate model-error` found out about a model's errors in latent space, one step ahead."""

    whitening: Array  # (D, D), float32: errors (..., D) times this have uncorrelated components
    expected: Array  # (F,), float32: coefficients of `features` in the log size of the error
    limit: float  # of the evidence

    def log_excess(self, before: Array, to_go_m: Array | float, predicted: Array, seen: Array) -> Array:
        """Log of the size of the error over the expected one, (...,); NaN for NaN.

        Args:
            before: (..., D), the latent that the step began with.
            to_go_m: (...,), m, how far the tool was from its target in this step.
            predicted: (..., D), imagined of the end of the step.
            seen: (..., D), seen then.
        """
        return log_size((predicted - seen) @ self.whitening) - features(before, to_go_m, seen) @ self.expected


@dataclass(frozen=True)
class Drift:
    """What the last steps say."""

    evidence: float  # likelihood ratio, log, in a unit of its own: greater for a shift
    scale: float  # by which the errors seem to have grown since the step that says so most clearly


def find_drift(log_excess: Array, seen: Array, window: int) -> Drift:
    """Has the log excess (n,), of steps that ended with latents (n, D), grown within the last `window` steps?"""
    steps = np.arange(len(log_excess))
    apart = rms(seen[:, None] - seen[None])
    covariance = _COMMON * np.exp(-apart / _ALIKE) + (1.0 - _COMMON) * np.eye(len(steps))
    since = (steps[:, None] >= steps[-window:]).astype(np.float64)  # (n, cases): in which steps the errors have grown
    weights = np.linalg.solve(covariance, since)
    total, size = log_excess @ weights, (since * weights).sum(axis=0)
    evidence = total - np.log(SHIFT) / 2.0 * size
    clearest = int(np.argmax(evidence))  # the first NaN, if there is one
    return Drift(float(evidence[clearest]), float(np.exp(total[clearest] / size[clearest])))


def steps_kept(window: int) -> int:
    """How many of the last steps a drift is looked for in: those of the window, and as many to compare them with."""
    return 2 * window


def features(before: Array, to_go_m: Array | float, seen: Array) -> Array:
    """(..., 2 D + 6): what the size of an error is linear in; it is known whatever was imagined.

    The change is the one seen and not the imagined one, or a model gone wild would be expected to err.
    """
    change = np.asarray(seen, np.float64) - before
    moved, to_go = np.log(rms(change) + 3e-3), np.log(to_go_m + 1e-3)
    motion = np.stack([np.ones_like(moved), moved, to_go, moved**2, to_go**2, moved * to_go], axis=-1)
    return np.concatenate([seen, np.abs(change), motion], axis=-1)


def log_size(whitened: Array) -> Array:
    """Log of the mean magnitude over the last axis."""
    return np.log(np.maximum(np.mean(np.abs(whitened), axis=-1), _SMALLEST))


def rms(vectors: Array) -> Array:
    """Root mean square over the last axis."""
    return np.sqrt(np.mean(np.square(np.asarray(vectors, dtype=np.float64)), axis=-1))
