"""How far is the world model off? Collect fresh rollouts, solve for the bound, validate it on others, write it down.

One score from each episode: at a moment drawn at random the model imagines the step under way and the planner's
horizon, with the actions that were then carried out, and the greatest error over these steps counts. A fifth of the
episodes fits how the latents' error grows with motion, two fifths calibrate, two fifths validate; all are disjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

import numpy as np

from ami_calibration.errors import CalibrationError
from ami_calibration.rollouts import Rollout
from ami_robot.memory.command_memory import InFlight
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import (
    DriftLimit,
    ModelErrorBound,
    conformal_bound,
    decoded_errors,
    log_features,
    rms,
)
from ami_robot.safety.monitor import Monitor, drift_of
from ami_robot.safety.spec import Spec
from ami_robot.statistics import clopper_pearson
from ami_robot.types import MODEL_STEP_S, TOOL_POSITION, TOOL_TARGET, TOOL_VELOCITY, Array, Belief, Latent
from ami_robot.world_model.protocol import WorldModel
from ami_robot.world_model.roll_forward import roll_forward

FALSE_TRIPS = 0.05
"""In this share of the agent's episodes the monitor may stop a model that is as good as ever. A choice: fewer false
trips make it slower to see a real one."""

SHIFT = 1.5  # of all errors, in the trial of the monitor
SHIFT_BEGINS = (6, 10, 14)  # steps into an episode
SEEN_WITHIN = 5  # steps

LEFT_OUT = {"object": "no head of the model says where the blocks are, and its latents hardly tell"}

_FIT, _CALIBRATE = (0,), (1, 2)  # of five consecutive groups of three episodes; the other two validate
_STEP_NS = round(MODEL_STEP_S * 1e9)


@dataclass(frozen=True, eq=False)
class _Imagined:
    """What the model imagined of one episode."""

    rollout: Rollout
    errors_m: dict[str, float]  # greatest over the horizon, by quantity
    steps: tuple[Belief, ...]  # (T,), one model step from each frame


def fewest_episodes(spec: Spec) -> int:
    """With fewer the bound or the monitor's limit would be infinite."""
    by_agent = ceil(2.0 / FALSE_TRIPS)  # two of three episodes, two of five to calibrate
    return max(ceil(by_agent * 15 / 4), ceil(2.0 / spec.model_error.miscoverage * 5 / 2)) + 15


def calibrate(
    rollouts: Sequence[Rollout],
    world_model: WorldModel,
    checkpoint_sha256: str,
    horizon: int,
    spec: Spec,
    kinematics: Kinematics,
    seed: int,
    on_episode: Callable[[int], object] = lambda n: None,
) -> ModelErrorBound:
    """The bound over the step under way and `horizon` planned ones; its record says how it did on other episodes.

    Raises CalibrationError when there are too few rollouts, or when what was imagined is not finite.
    """
    if len(rollouts) < fewest_episodes(spec):
        raise CalibrationError(
            f"{len(rollouts)} episodes are too few for a bound; at least {fewest_episodes(spec)} are needed."
        )
    rng, imagined = np.random.default_rng(seed), []
    for rollout in rollouts:
        imagined.append(_imagine(rollout, world_model, horizon, kinematics, rng))
        on_episode(1)
    part = np.arange(len(imagined)) // 3 % 5
    fitting, calibrating, validating = (
        [item for item, of in zip(imagined, part, strict=True) if of in parts] for parts in (_FIT, _CALIBRATE, (3, 4))
    )
    delta = spec.model_error.miscoverage
    scores = {name: np.array([item.errors_m[name] for item in calibrating]) for name in calibrating[0].errors_m}
    joint = np.max(list(scores.values()), axis=0)
    bound = ModelErrorBound(
        checkpoint_sha256=checkpoint_sha256,
        miscoverage=delta,
        horizon=horizon + 1,
        bound_m=conformal_bound(joint, delta),
        quantities_m={name: conformal_bound(values, delta) for name, values in scores.items()},
        left_out=LEFT_OUT,
        drift=_drift_limit(fitting, calibrating, int(spec.model_error.window)),
        record={},
    )
    if not (isfinite(bound.bound_m) and isfinite(bound.drift.limit)):
        raise CalibrationError("what the world model imagined is not finite in too many episodes; train a better one.")
    record = {
        "episodes": {"fitting": len(fitting), "calibration": len(calibrating), "validation": len(validating)},
        "guardrails_sha256": spec.sha256,
        "seed": seed,
        "validation": _validate(bound, validating, spec),
    }
    rounded = {name: round(value, 5) for name, value in bound.quantities_m.items()}
    return ModelErrorBound(**{**vars(bound), "quantities_m": rounded, "record": record})


def _imagine(
    rollout: Rollout, world_model: WorldModel, horizon: int, kinematics: Kinematics, rng: np.random.Generator
) -> _Imagined:
    """Imagine a whole plan from one moment, as the planner would have, and a single step from each."""
    begins = int(rng.integers(len(rollout.actions) - horizon))
    steps = tuple(
        roll_forward(world_model, _belief(rollout, at), InFlight(action, np.zeros(7)))
        for at, action in enumerate(rollout.actions)
    )
    future = steps[begins]
    planned = rollout.actions[begins + 1 : begins + 1 + horizon]
    outcomes = world_model.predict(future.image_latent, future.proprio, planned[None])
    tool = np.concatenate([future.proprio[None, TOOL_POSITION], outcomes.proprio[0, :, TOOL_POSITION]])
    seen = slice(begins + 1, begins + 2 + horizon)
    errors = decoded_errors(kinematics, tool, rollout.proprio[seen, TOOL_POSITION], rollout.joint_positions[seen])
    return _Imagined(rollout, {name: float(values.max()) for name, values in errors.items()}, steps)


def _belief(rollout: Rollout, at: int) -> Belief:
    return Belief(at * _STEP_NS, rollout.image_latents[at], rollout.proprio[at], np.zeros(7))


def _drift_limit(fitting: Sequence[_Imagined], calibrating: Sequence[_Imagined], window: int) -> DriftLimit:
    """Expected errors by least squares; the limit by the worst window of each of the agent's episodes.

    The monitor runs beside the agent alone, so its limit is that of the agent's own motions.
    """
    own = [item for item in fitting if item.rollout.by_agent]
    features = np.concatenate(
        [log_features(item.rollout.image_latents[:-1], item.rollout.image_latents[1:]) for item in own]
    )
    errors = np.concatenate([rms(_latents(item) - item.rollout.image_latents[1:]) for item in own])
    coefficients, *_ = np.linalg.lstsq(features, np.log(errors), rcond=None)
    expected = DriftLimit(tuple(round(float(value), 5) for value in coefficients), float("inf"))  # type: ignore[arg-type]
    worst = []
    for item in calibrating:
        if item.rollout.by_agent:
            seen = item.rollout.image_latents
            excess = expected.excess(seen[:-1], _latents(item), seen[1:])
            windows = np.lib.stride_tricks.sliding_window_view(excess, window)
            worst.append(float(np.max(drift_of(windows))))
    return DriftLimit(expected.log_error, conformal_bound(np.array(worst), FALSE_TRIPS))


def _latents(item: _Imagined) -> Array:
    """(T, D), imagined one step ahead."""
    return np.array([step.image_latent for step in item.steps])


def _validate(bound: ModelErrorBound, validating: Sequence[_Imagined], spec: Spec) -> dict[str, Any]:
    own = [item for item in validating if item.rollout.by_agent]
    other = [item for item in validating if not item.rollout.by_agent]
    joint = {
        "all": validating,
        "agent": own,
        "random_actions": other,
    }
    seen = [_steps_until_trip(bound, item, spec, begins) for item in own for begins in SHIFT_BEGINS]
    shifted = [steps for steps in seen if steps is not None]
    tripped = [steps for steps in shifted if steps <= SEEN_WITHIN]
    return {
        "coverage": {
            name: _rate(sum(max(item.errors_m.values()) <= bound.bound_m for item in items), len(items))
            for name, items in joint.items()
        },
        "coverage_by_quantity": {
            name: _rate(sum(item.errors_m[name] <= limit_m for item in validating), len(validating))
            for name, limit_m in bound.quantities_m.items()
        },
        "false_trips": {
            "steps_per_episode": len(validating[0].rollout.actions),
            "agent": _rate(sum(_trips(bound, item, spec) for item in own), len(own)),
            "random_actions": _rate(sum(_trips(bound, item, spec) for item in other), len(other)),
        },
        "shift": {
            "scale": SHIFT,
            "trips_within_steps": SEEN_WITHIN,
            "detected": _rate(len(tripped), len(shifted)),
            "steps_median": float(np.median(shifted)) if shifted else float("inf"),
        },
    }


def _rate(events: int, trials: int) -> dict[str, Any]:
    low, high = clopper_pearson(events, trials)
    return {
        "events": events,
        "of": trials,
        "rate": round(events / max(trials, 1), 4),
        "interval_95": [round(low, 4), round(high, 4)],
    }


def _trips(bound: ModelErrorBound, item: _Imagined, spec: Spec) -> bool:
    return _watch(bound, item, spec, len(item.steps)) is not None


def _steps_until_trip(bound: ModelErrorBound, item: _Imagined, spec: Spec, begins: int) -> float | None:
    """How many steps the monitor needs once all errors grow; None when it had tripped before, inf for never."""
    tripped = _watch(bound, item, spec, begins)
    if tripped is None:
        return float("inf")
    return None if tripped < begins else tripped - begins + 1.0


def _watch(bound: ModelErrorBound, item: _Imagined, spec: Spec, shift_begins: int) -> int | None:
    """In which step of the episode the monitor trips, None for never; errors grow from step `shift_begins` on."""
    monitor = Monitor(bound, int(spec.model_error.window), int(spec.model_error.trips))
    rollout = item.rollout
    for number, step in enumerate(item.steps):
        scale = SHIFT if number >= shift_begins else 1.0
        proprio, latent = rollout.proprio[number + 1], rollout.image_latents[number + 1]
        moved = np.array(step.proprio)
        moved[TOOL_POSITION] = proprio[TOOL_POSITION] + scale * (step.proprio - proprio)[TOOL_POSITION]
        imagined = Belief(step.stamp_ns, latent + scale * (step.image_latent - latent), moved, np.zeros(7))
        monitor.expect(rollout.image_latents[number], imagined)
        monitor.observe(
            Latent(step.stamp_ns, latent, proprio[TOOL_POSITION], proprio[TOOL_VELOCITY], 0.0, "", ""),
            moved[TOOL_TARGET],
        )
        if monitor.refusal() is not None:
            return number
    return None
