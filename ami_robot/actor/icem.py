"""iCEM: the cross-entropy method with coloured noise, kept elites and a warm start (Pinneri et al., CoRL 2020)."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields

import numpy as np

from ami_robot.actor.coloured_noise import coloured_noise
from ami_robot.actor.planner import CheckedPaths, PathMask, clip_norm, straight_steps, unusable
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


@dataclass(frozen=True)
class _Pool:
    """Candidates that passed the mask and were imagined. Every field has one row for each."""

    actions: Array  # (N, H, ACTION_DIM), m
    joint_paths: Array  # (N, H, 7), rad
    margin: Array  # (N,)
    tool_paths: Array  # (N, H, 3), m
    terms: Array  # (N, number of cost terms)

    def best(self, count: int) -> _Pool:
        order = np.argsort(self.terms.sum(axis=1), kind="stable")[:count]
        return _Pool(*(getattr(self, f.name)[order] for f in fields(self)))

    def joined(self, other: _Pool) -> _Pool:
        return _Pool(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class ICEM:
    """Samples action sequences, masks those that break a guardrail, imagines the rest, and tightens round the best."""

    def __init__(self, settings: ICEMSettings, mask: PathMask, world_model: WorldModel, cost: WeightedSum) -> None:
        self.settings = settings
        self._mask = mask
        self._world_model = world_model
        self._cost = cost
        self.reset()

    def reset(self) -> None:
        """Forget the last plan and start the noise again from the seed."""
        self._rng = np.random.default_rng(self.settings.seed)
        self._last = np.zeros((self.settings.horizon, 3))

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
        mean = clip_norm(np.concatenate([self._last[1:], np.zeros((1, 3))]), limit_m)
        std = np.full_like(mean, self.settings.initial_std * limit_m)
        anchors = [np.zeros_like(mean), mean]
        if self.settings.straight_line_candidate:
            gap = goal.tool_position - belief.proprio[TOOL_TARGET]
            anchors.append(straight_steps(gap, limit_m, 1.0, len(mean)))
        elites: _Pool | None = None
        looked_at = masked = 0
        for iteration in range(self.settings.iterations):
            begun = time.perf_counter()
            displacements = self._draw(mean, std, limit_m, anchors)
            paths = self._mask.check(belief, displacements)
            if iteration == 0 and not paths.feasible[0]:
                return _hold_refused(paths)
            if paths.feasible.sum() < self.settings.elites:  # look again, closer to where holding is known to be safe
                looked_at, masked = looked_at + len(displacements), masked + int((~paths.feasible).sum())
                displacements = self._draw(0.0 * mean, std / 2, limit_m, [0.0 * mean])
                paths = self._mask.check(belief, displacements)
            looked_at, masked = looked_at + len(displacements), masked + int((~paths.feasible).sum())
            pool = self._imagine(belief, goal, cost, displacements, paths)
            if elites is not None:
                pool = pool.joined(elites.best(max(1, self.settings.kept_elites)))
            if len(pool.terms) == 0:
                return Refusal("the world model has no finite outcome for any candidate", "imagination", float("nan"))
            elites = pool.best(self.settings.elites)
            keep = self.settings.momentum
            mean = keep * mean + (1 - keep) * elites.actions[..., :3].mean(axis=0)
            std = keep * std + (1 - keep) * elites.actions[..., :3].std(axis=0)
            std = np.maximum(std, self.settings.std_floor * limit_m)
            anchors = [mean]
            now = time.perf_counter()
            if deadline_s is not None and (now - started) + (now - begun) > deadline_s:
                break
        assert elites is not None  # at least one iteration ran
        best = elites.best(1)
        self._last = best.actions[0, :, :3]
        return Plan(
            actions=best.actions[0],
            joint_path=best.joint_paths[0],
            imagined_tool_path=best.tool_paths[0],
            cost=float(best.terms[0].sum()),
            cost_terms={name: float(value) for name, value in zip(cost.names, best.terms[0], strict=True)},
            candidates=looked_at,
            masked=masked,
            margin=float(best.margin[0]),
        )

    def _step_limit_m(self, belief: Belief, goal: Goal) -> float:
        """Shorter steps near the goal: the arm settles there and does not swing round it."""
        distance_m = float(np.linalg.norm(goal.tool_position - belief.proprio[TOOL_POSITION]))
        near_m = max(self.settings.approach_gain * distance_m, self.settings.min_step_limit_m)
        return min(near_m, self._mask.max_displacement_m)

    def _draw(self, mean: Array, std: Array, limit_m: float, anchors: list[Array]) -> Array:
        """(N, H, 3), m: the anchors first, then samples round the mean."""
        shape = (self.settings.candidates - len(anchors), *mean.shape)
        samples = mean + std * coloured_noise(self._rng, shape, self.settings.noise_beta)
        return np.concatenate([np.stack(anchors), clip_norm(samples, limit_m)])

    def _imagine(
        self, belief: Belief, goal: Goal, cost: WeightedSum, displacements: Array, paths: CheckedPaths
    ) -> _Pool:
        """Roll out the feasible candidates; those with an outcome or a cost that is not finite are left out."""
        safe = paths.feasible
        widths = np.full((*displacements.shape[:2], 1), belief.proprio[GRIPPER_WIDTH])
        actions = np.concatenate([displacements, widths], axis=-1)[safe]
        outcomes = self._world_model.predict(belief.image_latent, belief.proprio, actions)
        terms = cost.terms(Imagined(belief, goal, actions, outcomes))
        tool_paths = np.asarray(outcomes.proprio[..., TOOL_POSITION], dtype=np.float64)
        known = np.isfinite(terms).all(axis=1) & np.isfinite(outcomes.proprio).all(axis=(1, 2))
        known &= np.isfinite(outcomes.image_latents).all(axis=(1, 2))
        return _Pool(
            actions[known], paths.joint_paths[safe][known], paths.margin[safe][known], tool_paths[known], terms[known]
        )


def _hold_refused(paths: CheckedPaths) -> Refusal:
    row, margin = str(paths.row[0]), float(paths.margin[0])
    return Refusal(f"even holding still breaks guardrail {row} (normalised margin {margin:.3f})", row, margin)
