"""How far the world model may be wrong, in metres: a conformal bound from held-out rollouts, and its record on disk.

Split conformal prediction: for n exchangeable scores, the ceil((n + 1)(1 - delta))-th smallest is not exceeded by the
next one with probability at least 1 - delta, whatever their distribution (Vovk, Gammerman & Shafer, "Algorithmic
Learning in a Random World", 2005; Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018;
Angelopoulos & Bates, "Conformal Prediction: A Gentle Introduction", 2023). A score is the greatest error over a whole
horizon, so the bound holds for all steps of a plan at once. What it assumes: the plan at hand is exchangeable with the
calibration rollouts (same arm, camera, scene and way of acting), one rollout from each episode, and a model that never
saw them. It says nothing of one particular state, and nothing once the world has changed; that is the monitor's part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ami_robot.safety.drift import MOTION_FEATURES, DriftTest
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, Refusal

GUARDRAIL = "model_error"
CALIBRATE = "`ami calibrate model-error`"
_ELBOW_LINK = 4
_STORED = np.dtype("<f4")


class ModelErrorError(ValueError):
    """A calibration that cannot be used; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True)
class ModelErrorBound:
    """What `ami calibrate model-error` found for one checkpoint. Lengths in m, over `horizon` model steps."""

    checkpoint_sha256: str
    miscoverage: float  # delta: the share of rollouts in which the error may exceed the bound at some step
    horizon: int  # model steps from the frame on: the one under way and those that are planned
    bound_m: float  # of tip and elbow at once: what margins widen by
    quantities_m: Mapping[str, float]  # bound of each decoded quantity by itself
    left_out: Mapping[str, str]  # quantity -> why nothing is said of it
    record: Mapping[str, Any]  # how it was made and what validation found; read by people
    drift: DriftTest


def conformal_bound(scores: Array, miscoverage: float) -> float:
    """The ceil((n + 1)(1 - delta))-th smallest of scores (n,); inf when n < 2 / delta: too little to say anything.

    A score that is NaN counts as infinite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not 0.0 < miscoverage < 1.0 or scores.ndim != 1:
        raise ValueError(f"scores (n,) and a miscoverage between 0 and 1, got {scores.shape} and {miscoverage}")
    if len(scores) < ceil(2.0 / miscoverage):
        return float("inf")
    rank = ceil((len(scores) + 1) * (1.0 - miscoverage))  # at most n, since n >= 2 / delta
    return float(np.sort(np.where(np.isnan(scores), np.inf, scores))[rank - 1])


def decoded_errors(kinematics: Kinematics, imagined_tool: Array, tool: Array, joints: Array) -> dict[str, Array]:
    """Distances (...,), m, between what was imagined and what was measured.

    Args:
        kinematics: of the arm.
        imagined_tool: (..., 3), m: the world model's tool positions.
        tool: (..., 3), m: the measured ones.
        joints: (..., 7), rad: the measured joint positions.

    The model imagines the tool; the elbow (spheres of link 4) is where the arm's posture for that tool position has it.
    """
    posture, missed_m = kinematics.inverse(imagined_tool)
    elbow = kinematics.sphere_links == _ELBOW_LINK
    apart = kinematics.spheres(posture)[..., elbow, :] - kinematics.spheres(joints)[..., elbow, :]
    return {
        "tip": np.linalg.norm(np.asarray(imagined_tool, dtype=np.float64) - tool, axis=-1),
        "elbow": np.linalg.norm(apart, axis=-1).max(axis=-1) + missed_m,
    }


def unusable_bound(bound: ModelErrorBound, spec: Spec, steps: int) -> Refusal | None:
    """Why plans that look `steps` model steps ahead of the frame may not be made under this bound, or None."""
    row = spec.model_error
    if bound.miscoverage != row.miscoverage:
        reason = f"it was calibrated for miscoverage {bound.miscoverage:g}, the guardrail file says {row.miscoverage:g}"
    elif not bound.horizon >= steps:
        reason = f"it was calibrated for {bound.horizon} steps from the frame on, the planner looks {steps} ahead"
    elif not bound.bound_m <= row.max_bound_m:
        reason = f"the model errs by up to {bound.bound_m:.3f} m, at most {row.max_bound_m:g} m is planned with"
        return Refusal(f"{reason}; train a better one", GUARDRAIL, row.max_bound_m - bound.bound_m)
    else:
        return None
    return Refusal(f"the model error is not known: {reason}; run {CALIBRATE}", GUARDRAIL, float("nan"))


def load_model_error(path: Path) -> ModelErrorBound:
    """Read a calibration. Raises ModelErrorError: missing, not YAML, a key too many or too few, not a number."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ModelErrorError(f"{path}: cannot be read ({error.strerror}); make it with {CALIBRATE}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelErrorError(f"{path}: is not YAML ({' '.join(str(error).split())}).") from error
    wanted = {f.name for f in fields(ModelErrorBound)}
    document = _mapping(document, wanted, str(path))
    readers: dict[str, Callable[[Any, str], Any]] = {
        "checkpoint_sha256": _text,
        "miscoverage": _positive,
        "horizon": _count,
        "bound_m": _positive,
        "quantities_m": lambda value, where: {k: _positive(v, where) for k, v in _mapping(value, None, where).items()},
        "left_out": lambda value, where: {k: _text(v, where) for k, v in _mapping(value, None, where).items()},
        "record": lambda value, where: _mapping(value, None, where),
        "drift": _drift_test,
    }
    return ModelErrorBound(**{name: read(document[name], f"{path}: {name}") for name, read in readers.items()})


def dump_model_error(bound: ModelErrorBound) -> str:
    """The YAML that `load_model_error` reads."""
    document = {f.name: getattr(bound, f.name) for f in fields(bound)}
    drift = bound.drift
    arrays = {"expected": drift.expected, "whitening": drift.whitening}
    document["drift"] = {"limit": drift.limit, **{name: a.astype(_STORED).tobytes() for name, a in arrays.items()}}
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _drift_test(value: Any, where: str) -> DriftTest:
    drift = _mapping(value, {"limit", "expected", "whitening"}, where)
    limit = _number(drift["limit"], f"{where}.limit")
    expected, whitening = (_array(drift[name], f"{where}.{name}") for name in ("expected", "whitening"))
    latent_dim = (len(expected) - MOTION_FEATURES) // 2
    if not (latent_dim > 0 and len(expected) == 2 * latent_dim + MOTION_FEATURES and len(whitening) == latent_dim**2):
        sizes = f"{len(expected)} coefficients and {len(whitening)} numbers"
        raise ModelErrorError(f"{where}: {sizes} do not go together; 2 D + {MOTION_FEATURES} and D^2 would.")
    return DriftTest(whitening.reshape(latent_dim, latent_dim), expected, limit)


def _array(value: Any, where: str) -> Array:
    if not isinstance(value, bytes) or len(value) % _STORED.itemsize:
        raise ModelErrorError(f"{where}: expected little-endian float32 numbers as YAML !!binary.")
    numbers = np.frombuffer(value, _STORED)
    if not np.isfinite(numbers).all():
        raise ModelErrorError(f"{where}: holds a number that is not finite.")
    return numbers


def _mapping(value: Any, wanted: set[str] | None, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelErrorError(f"{where} must be a mapping of keys to values.")
    if wanted is not None and set(value) != wanted:
        raise ModelErrorError(f"{where} must have exactly the keys {', '.join(sorted(wanted))}.")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ModelErrorError(f"{where}: expected a finite number, got {value!r}.")
    return float(value)


def _positive(value: Any, where: str) -> float:
    if not _number(value, where) > 0.0:
        raise ModelErrorError(f"{where} must be positive, got {value!r}.")
    return float(value)


def _count(value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise ModelErrorError(f"{where}: expected a whole number above 0, got {value!r}.")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ModelErrorError(f"{where}: expected a text, got {value!r}.")
    return value
