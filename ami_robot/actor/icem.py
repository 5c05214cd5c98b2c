"""iCEM: the cross-entropy method with coloured noise, kept elites and a warm start (Pinneri et al., CoRL 2020)."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ami_robot.actor.coloured_noise import coloured_noise
from ami_robot.actor.planner import PathMask, clip_norm, straight_steps, unusable
from ami_robot.cost.cost import Imagined, WeightedSum
from ami_robot.types import GRIPPER_WIDTH, TOOL_POSITION, TOOL_TARGET, Array, Belief, Goal, Plan, Refusal
from ami_robot.world_model.protocol import WorldModel


@dataclass(frozen=True)
class ICEMSettings:
    """Everything that can be set; the values are in the configurator's YAML."""

    candidates: int  # drawn in each iteration
    horizon: int  # model steps
    iterations: int
    elites: int
    kept_elites: int  # carried over into the next iteration with the cost they have
    noise_beta: float  # 0 white, 2 Brownian over time
    momentum: float  # share of the old mean and standard deviation
    initial_std: float  # of a displacement component, in units of the step limit
    std_floor: float  # in the same unit
    approach_gain: float  # near the goal a step is at most this share of the distance that is left ...
    min_step_limit_m: float  # ... and never limited below this
    straight_line_candidate: bool  # offer the straight line to the goal's position as a candidate
    gripper: str  # hold: the gripper stays as it is
    seed: int

    def __post_init__(self) -> None:
        if self.gripper != "hold":
            raise ValueError(f"icem.gripper is {self.gripper!r}; the one choice so far is 'hold'")
        if not 0 <= self.kept_elites <= self.elites <= self.candidates:
            raise ValueError("icem needs 0 <= kept_elites <= elites <= candidates")
        if min(self.elites, self.horizon, self.iterations) < 1:
            raise ValueError("icem needs at least one elite, one step of horizon and one iteration")


Rows = TypeVar("Rows", bound="_Rows")


@dataclass(frozen=True)
class _Rows:
    """Arrays with one row for each candidate, selected and joined together."""

    def take(self: Rows, rows: NDArray[np.integer | np.bool_]) -> Rows:
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def joined(self: Rows, other: Rows) -> Rows:
        return type(self)(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


@dataclass(frozen=True)
class _Candidates(_Rows):
    """Drawn candidates and what the guardrails say of them."""

    displacements: Array  # (N, H, 3), m
    joint_paths: Array  # (N, H, 7), rad
    feasible: NDArray[np.bool_]  # (N,)
    margin: Array  # (N,)
    row: NDArray[np.object_]  # (N,)


@dataclass(frozen=True)
class _Pool(_Rows):
    """Candidates that passed the mask and were imagined."""

    actions: Array  # (N, H, ACTION_DIM), m
    joint_paths: Array  # (N, H, 7), rad
    margin: Array  # (N,)
    tool_paths: Array  # (N, H, 3), m
    terms: Array  # (N, number of cost terms)

    def best(self, count: int) -> _Pool:
        return self.take(np.argsort(self.terms.sum(axis=1), kind="stable")[:count])


class ICEM:
    """Samples action sequences, masks those that break a guardrail, imagines the rest, and tightens round the best."""

    last: Array
    """(H, 3), m: the displacements of the last plan, shifted by a step the centre of the next search."""

    def __init__(self, settings: ICEMSettings, mask: PathMask, world_model: WorldModel, cost: WeightedSum) -> None:
        self.settings = settings
        self._mask = mask
        self._world_model = world_model
        self._cost = cost
        self.reset()

    def reset(self) -> None:
        """Forget the last plan and start the noise again from the seed."""
        self._rng = np.random.default_rng(self.settings.seed)
        self.last = np.zeros((self.settings.horizon, 3))

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """The cheapest feasible candidate seen, or why there is none.

        Args:
            belief: where the arm will be when the plan begins.
            goal: with a latent for a picture, without for a pose.
            deadline_s: no iteration is begun that would, by the last one's duration, end later than this.

        Raises:
            CostError: no cost term can judge the goal.
        """
        started = time.perf_counter()
        if refusal := unusable(belief, goal):
            return refusal
        cost = self._cost.for_goal(goal)
        limit_m = self._step_limit_m(belief, goal)
        mean: Array = clip_norm(np.concatenate([self.last[1:], np.zeros((1, 3))]), limit_m)
        std: Array = np.full(mean.shape, self.settings.initial_std * limit_m)
        anchors = self._first_anchors(belief, goal, mean, limit_m)
        elites: _Pool | None = None
        looked_at = masked = 0
        for iteration in range(self.settings.iterations):
            begun = time.perf_counter()
            candidates = self._draw(belief, mean, std, limit_m, anchors)
            if iteration == 0 and not candidates.feasible[0]:
                return _hold_refused(candidates)
            if candidates.feasible.sum() < self.settings.elites:  # look again, round holding: that is known to be safe
                hold = np.zeros_like(mean)
                candidates = candidates.joined(self._draw(belief, hold, std / 2, limit_m, [hold]))
            looked_at += len(candidates.feasible)
            masked += int((~candidates.feasible).sum())
            pool = self._imagine(belief, goal, cost, candidates.take(candidates.feasible))
            if elites is not None:
                kept = elites.best(max(1, self.settings.kept_elites))
                pool = kept if isinstance(pool, Refusal) else pool.joined(kept)
            if isinstance(pool, Refusal):
                return pool
            elites = pool.best(self.settings.elites)
            mean, std = self._refit(mean, std, elites.actions[..., :3], limit_m)
            anchors = [mean]
            now = time.perf_counter()
            if deadline_s is not None and (now - started) + (now - begun) > deadline_s:
                break
        assert elites is not None  # at least one iteration ran
        best = elites.best(1)
        self.last = best.actions[0, :, :3]
        return _as_plan(best, cost.names, looked_at, masked, iteration + 1)

    def _step_limit_m(self, belief: Belief, goal: Goal) -> float:
        """Shorter steps near the goal: the arm settles there and does not swing round it."""
        distance_m = float(np.linalg.norm(goal.tool_position - belief.proprio[TOOL_POSITION]))
        near_m = max(self.settings.approach_gain * distance_m, self.settings.min_step_limit_m)
        return min(near_m, self._mask.max_displacement_m)

    def _first_anchors(self, belief: Belief, goal: Goal, mean: Array, limit_m: float) -> list[Array]:
        """Candidates that are there whatever is drawn: hold first, the shifted last plan, the line where asked for."""
        anchors = [np.zeros_like(mean), mean]
        if self.settings.straight_line_candidate:
            gap = goal.tool_position - belief.proprio[TOOL_TARGET]
            anchors.append(straight_steps(gap, limit_m, 1.0, len(mean)))
        return anchors

    def _draw(self, belief: Belief, mean: Array, std: Array, limit_m: float, anchors: list[Array]) -> _Candidates:
        """The anchors first, then samples round the mean; all checked against the guardrails."""
        shape = (self.settings.candidates - len(anchors), *mean.shape)
        samples = mean + std * coloured_noise(self._rng, shape, self.settings.noise_beta)
        displacements = np.concatenate([np.stack(anchors), clip_norm(samples, limit_m)])
        paths = self._mask.check(belief, displacements)
        return _Candidates(displacements, paths.joint_paths, paths.feasible, paths.margin, paths.row)

    def _imagine(self, belief: Belief, goal: Goal, cost: WeightedSum, safe: _Candidates) -> _Pool | Refusal:
        """Roll the feasible candidates out and leave out those whose outcome or cost is not finite, and those whose
        outcome breaks a guardrail; the refusal says why none is left.
        """
        widths = np.full((*safe.displacements.shape[:2], 1), belief.proprio[GRIPPER_WIDTH])
        actions = np.concatenate([safe.displacements, widths], axis=-1)
        outcomes = self._world_model.predict(belief.image_latent, belief.proprio, actions)
        terms = cost.terms(Imagined(belief, goal, actions, outcomes))
        tool_paths = np.asarray(outcomes.proprio[..., TOOL_POSITION], dtype=np.float64)
        parts = (terms, outcomes.proprio.sum(axis=-1), outcomes.image_latents.sum(axis=-1))
        finite = np.isfinite(np.concatenate(parts, axis=1)).all(axis=1)
        if not finite.any():
            return Refusal("the world model has no finite outcome for any candidate", "imagination", float("nan"))
        outcome = self._mask.check_outcomes(belief, tool_paths)
        usable = np.flatnonzero(finite & outcome.feasible)
        if not usable.size:
            return _outcomes_refused(outcome.margin[finite], outcome.row[finite])
        margin = np.minimum(safe.margin, outcome.margin)
        return _Pool(actions, safe.joint_paths, margin, tool_paths, terms).take(usable)

    def _refit(self, mean: Array, std: Array, elites: Array, limit_m: float) -> tuple[Array, Array]:
        """Mean and standard deviation of the elites, with momentum and a floor."""
        keep, floor_m = self.settings.momentum, self.settings.std_floor * limit_m
        new_std = keep * std + (1 - keep) * elites.std(axis=0)
        return keep * mean + (1 - keep) * elites.mean(axis=0), np.maximum(new_std, floor_m)


def _as_plan(best: _Pool, names: tuple[str, ...], looked_at: int, masked: int, iterations: int) -> Plan:
    return Plan(
        actions=best.actions[0],
        joint_path=best.joint_paths[0],
        imagined_tool_path=best.tool_paths[0],
        cost=float(best.terms[0].sum()),
        cost_terms={name: float(value) for name, value in zip(names, best.terms[0], strict=True)},
        candidates=looked_at,
        masked=masked,
        margin=float(best.margin[0]),
        iterations=iterations,
    )


def _outcomes_refused(margins: Array, rows: Array) -> Refusal:
    best = int(np.argmax(margins))
    row, margin = str(rows[best]), float(margins[best])
    reason = f"whatever is tried, the world model sees the tool break guardrail {row} (normalised margin {margin:.3f})"
    return Refusal(reason, row, margin)


def _hold_refused(candidates: _Candidates) -> Refusal:
    row, margin = str(candidates.row[0]), float(candidates.margin[0])
    return Refusal(f"even holding still breaks guardrail {row} (normalised margin {margin:.3f})", row, margin)
