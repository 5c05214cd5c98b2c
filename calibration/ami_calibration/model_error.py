"""How far is the world model off? Collect fresh rollouts, solve for the bound, validate it on others, write it down.

One score from each episode: at a moment drawn at random the model imagines the step under way and the planner's
horizon, with the actions that were then carried out, and the greatest error over these steps counts. Three fifths of
the episodes calibrate the bound and the drift test, the other two fifths validate.

Margins widen by the bound of what the arm may hit something with, tip and elbow at once. A block has a bound of its own
where the checkpoint has a head for it: no margin is about what is there to be pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import Any

import numpy as np

from ami_calibration.drift import Steps, fit_drift_test, most_evidence
from ami_calibration.errors import CalibrationError
from ami_calibration.rollouts import Rollout
from ami_robot.memory.command_memory import InFlight
from ami_robot.perception.block_head import BlockHead
from ami_robot.safety.drift import SHIFT, DriftTest, steps_kept
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import ModelErrorBound, conformal_bound, decoded_errors
from ami_robot.safety.monitor import Monitor
from ami_robot.safety.spec import Spec
from ami_robot.statistics import clopper_pearson
from ami_robot.types import MODEL_STEP_S, TOOL_POSITION, TOOL_TARGET, TOOL_VELOCITY, Array, Belief, Latent
from ami_robot.world_model.protocol import WorldModel
from ami_robot.world_model.roll_forward import roll_forward

FALSE_TRIPS = 0.05
"""In this share of the agent's episodes the monitor may see a drift of a model that is as good as ever. A choice: fewer
false trips make it slower to see a real one."""

SEEN_WITHIN = 5  # steps after the trial's shift began
_BEGINS_AFTER = 5  # steps at the earliest

ARM, OBJECT = ("tip", "elbow"), "object"
_NO_HEAD = "no head of the model says where the blocks are, and its latents hardly tell"

_VALIDATE = (3, 4)  # of five consecutive groups of three episodes; the others calibrate
_FOLDS = 5
_STEP_NS = round(MODEL_STEP_S * 1e9)


@dataclass(frozen=True, eq=False)
class _Imagined:
    """What the model imagined of one episode."""

    rollout: Rollout
    errors_m: dict[str, float]  # greatest over the horizon, by quantity
    steps: tuple[Belief, ...]  # (T,), one model step from each frame

    @property
    def arm_error_m(self) -> float:
        """Of tip and elbow at once."""
        return float(np.max([self.errors_m[name] for name in ARM]))


def fewest_episodes(spec: Spec) -> int:
    """With fewer the bound or the monitor's limit would be infinite."""
    by_agent = ceil(2.0 / FALSE_TRIPS)  # two of three episodes, three of five to calibrate
    return max(ceil(by_agent * 5 / 2), ceil(2.0 / spec.model_error.miscoverage * 5 / 3)) + 15


def fewest_steps(horizon: int) -> int:
    """Of an episode: a plan is imagined in it, and the monitor's trial takes place."""
    return max(horizon + 1, _BEGINS_AFTER + SEEN_WITHIN)


def calibrate(
    rollouts: Sequence[Rollout],
    world_model: WorldModel,
    checkpoint_sha256: str,
    horizon: int,
    spec: Spec,
    kinematics: Kinematics,
    seed: int,
    suites: Sequence[str],
    block_head: BlockHead | None = None,
    on_episode: Callable[[int], object] = lambda n: None,
) -> ModelErrorBound:
    """The bound over the step under way and `horizon` planned ones; its record says how it did on other episodes.

    `suites` are what the rollouts are of, for the record. `block_head` is the checkpoint's, if it has one.

    Raises CalibrationError when there are too few rollouts, or when what was imagined is not finite.
    """
    if len(rollouts) < fewest_episodes(spec):
        raise CalibrationError(
            f"{len(rollouts)} episodes are too few for a bound; at least {fewest_episodes(spec)} are needed."
        )
    rng, imagined = np.random.default_rng(seed), []
    for rollout in rollouts:
        imagined.append(_imagine(rollout, world_model, horizon, kinematics, block_head, rng))
        on_episode(1)
    part = np.arange(len(imagined)) // 3 % 5
    calibrating = [item for item, of in zip(imagined, part, strict=True) if of not in _VALIDATE]
    validating = [item for item, of in zip(imagined, part, strict=True) if of in _VALIDATE]
    delta = spec.model_error.miscoverage
    left_out = {} if block_head is not None else {OBJECT: _NO_HEAD}
    shown, needed = len(_scores(calibrating, OBJECT)), ceil(2.0 / delta)
    if block_head is not None and shown < needed:
        left_out = {OBJECT: f"{shown} of the calibrating episodes show a single block; it takes {needed}"}
    quantities = [name for name in (*ARM, OBJECT) if name not in left_out]
    bound = ModelErrorBound(
        checkpoint_sha256=checkpoint_sha256,
        miscoverage=delta,
        horizon=horizon + 1,
        bound_m=conformal_bound(np.array([item.arm_error_m for item in calibrating]), delta),
        quantities_m={name: conformal_bound(_scores(calibrating, name), delta) for name in quantities},
        left_out=left_out,
        record={},
        drift=_drift_test(calibrating, int(spec.model_error.window)),
    )
    if not all(map(isfinite, (bound.bound_m, bound.drift.limit, *bound.quantities_m.values()))):
        raise CalibrationError("what the world model imagined is not finite in too many episodes; train a better one.")
    record = {
        "episodes": {"calibration": len(calibrating), "validation": len(validating)},
        "guardrails_sha256": spec.sha256,
        "seed": seed,
        "suites": list(suites),
        "validation": _validate(bound, validating, spec, rng),
    }
    rounded = {name: round(value, 5) for name, value in bound.quantities_m.items()}
    return ModelErrorBound(**{**vars(bound), "quantities_m": rounded, "record": record})


def _scores(items: Sequence[_Imagined], name: str) -> Array:
    """Of the episodes in which it was imagined."""
    return np.array([item.errors_m[name] for item in items if name in item.errors_m])


def _imagine(
    rollout: Rollout,
    world_model: WorldModel,
    horizon: int,
    kinematics: Kinematics,
    block_head: BlockHead | None,
    rng: np.random.Generator,
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
    if block_head is not None and rollout.block is not None:
        block = block_head.decode(np.concatenate([future.image_latent[None], outcomes.image_latents[0]]))
        errors[OBJECT] = np.linalg.norm(block - rollout.block[seen], axis=-1)
    return _Imagined(rollout, {name: float(values.max()) for name, values in errors.items()}, steps)


def _belief(rollout: Rollout, at: int) -> Belief:
    return Belief(at * _STEP_NS, rollout.image_latents[at], rollout.proprio[at], np.zeros(7))


def _drift_test(calibrating: Sequence[_Imagined], window: int) -> DriftTest:
    """Fitted to all; the limit by the clearest evidence in each, by tests fitted to the others (cross-conformal).

    The monitor runs beside the agent alone, so both are of the agent's episodes.
    """
    episodes = [_steps(item) for item in calibrating if item.rollout.by_agent]
    most, kept = [], steps_kept(window)
    for fold in range(_FOLDS):
        test = fit_drift_test([steps for number, steps in enumerate(episodes) if number % _FOLDS != fold])
        most += [most_evidence(test, steps, window, kept) for steps in episodes[fold::_FOLDS]]
    return replace(fit_drift_test(episodes), limit=conformal_bound(np.array(most), FALSE_TRIPS))


def _steps(item: _Imagined) -> Steps:
    latents, tools = item.rollout.image_latents, item.rollout.proprio[:-1, TOOL_POSITION]
    targets = np.array([step.proprio[TOOL_TARGET] for step in item.steps])
    predicted = np.array([step.image_latent for step in item.steps])
    return Steps(latents[:-1], np.linalg.norm(targets - tools, axis=-1), predicted, latents[1:])


def _validate(
    bound: ModelErrorBound, validating: Sequence[_Imagined], spec: Spec, rng: np.random.Generator
) -> dict[str, Any]:
    own = [item for item in validating if item.rollout.by_agent]
    other = [item for item in validating if not item.rollout.by_agent]
    groups = {"agent": own, "random_actions": other}
    return {
        "coverage": {
            name: _rate(sum(item.arm_error_m <= bound.bound_m for item in items), len(items))
            for name, items in {"all": validating, **groups}.items()
        },
        "coverage_by_quantity": {
            name: _rate(int((scores <= bound.quantities_m[name]).sum()), len(scores))
            for name, scores in ((name, _scores(validating, name)) for name in bound.quantities_m)
        },
        "false_trips": {
            "steps_per_episode": round(float(np.mean([len(item.steps) for item in validating])), 2),
            **{
                name: _rate(sum(_trips(bound, item, spec) for item in items), len(items))
                for name, items in groups.items()
            },
        },
        "shift": {
            "scale": SHIFT,
            "trips_within_steps": SEEN_WITHIN,
            **{name: _seen(bound, items, spec, rng, False) for name, items in groups.items()},
            "agent_in_pictures": _seen(bound, own, spec, rng, True),
        },
    }


def _seen(
    bound: ModelErrorBound, items: Sequence[_Imagined], spec: Spec, rng: np.random.Generator, in_pictures: bool
) -> dict[str, Any]:
    """How often a shift is seen in time; one in each episode, from a step drawn at random, without false trips."""
    last = np.array([len(item.steps) for item in items]) - SEEN_WITHIN
    begins = rng.integers(_BEGINS_AFTER, last + 1)
    steps = [_steps_until_trip(bound, item, spec, int(at), in_pictures) for item, at in zip(items, begins, strict=True)]
    shifted = [number for number in steps if number is not None]
    median = float(np.median(shifted)) if shifted else float("inf")
    return {**_rate(sum(number <= SEEN_WITHIN for number in shifted), len(shifted)), "steps_median": median}


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


def _steps_until_trip(
    bound: ModelErrorBound, item: _Imagined, spec: Spec, begins: int, in_pictures: bool
) -> float | None:
    """How many steps the monitor needs once all errors grow; None when it had tripped before, inf for never."""
    tripped = _watch(bound, item, spec, begins, in_pictures)
    if tripped is None:
        return float("inf")
    return None if tripped < begins else tripped - begins + 1.0


def _watch(
    bound: ModelErrorBound, item: _Imagined, spec: Spec, shift_begins: int, in_pictures: bool = False
) -> int | None:
    """In which step of the episode the monitor trips, None for never; errors grow from step `shift_begins` on.

    What is moved, away from the other, is what was imagined or, `in_pictures`, what is seen.
    """
    monitor = Monitor(bound, int(spec.model_error.window), int(spec.model_error.trips))
    rollout, before = item.rollout, _belief(item.rollout, 0)
    for number, step in enumerate(item.steps):
        seen, imagined = _belief(rollout, number + 1), step
        if number >= shift_begins and in_pictures:
            seen = _further_off(seen, imagined)
        elif number >= shift_begins:
            imagined = _further_off(imagined, seen)
        monitor.expect(before, imagined)
        tool, velocity = seen.proprio[TOOL_POSITION], seen.proprio[TOOL_VELOCITY]
        latent = Latent(step.stamp_ns, seen.image_latent, tool, velocity, 0.0, "", "")
        monitor.observe(latent, imagined.proprio[TOOL_TARGET])
        if monitor.growth > 1.0 or monitor.refusal() is not None:
            return number
        before = seen
    return None


def _further_off(moved: Belief, other: Belief) -> Belief:
    """One of imagined and seen, SHIFT times as far from the other as it was."""
    proprio = np.array(moved.proprio)
    away = (moved.proprio - other.proprio)[TOOL_POSITION]
    proprio[TOOL_POSITION] = other.proprio[TOOL_POSITION] + SHIFT * away
    latent = other.image_latent + SHIFT * (moved.image_latent - other.image_latent)
    return replace(moved, image_latent=latent, proprio=proprio)
