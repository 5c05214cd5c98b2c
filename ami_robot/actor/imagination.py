"""What becomes of action sequences: first the guardrails on their paths, then the world model, then the cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ami_robot.actor.candidates import Candidates, Pool, Sequences
from ami_robot.actor.planner import PathMask
from ami_robot.cost.cost import Imagined, WeightedSum
from ami_robot.safety.model_error import GUARDRAIL as MODEL_ERROR
from ami_robot.types import ACTION_DIM, GRIPPER_WIDTH, TOOL_POSITION, Array, Belief, Goal, Outcomes, Plan, Refusal
from ami_robot.world_model.protocol import WorldModel

_HOLD_STEPS = 2
"""Of a plan to stay: it is made again in each, and two let the action rate be judged."""


@dataclass(frozen=True)
class Query:
    """What is asked of a planner, once."""

    belief: Belief
    goal: Goal
    cost: WeightedSum  # the terms that can judge the goal
    limit_m: float  # of the displacement of one step


class Imagination:
    """A mask, a world model and a cost: what all planners that search have in common."""

    def __init__(
        self,
        mask: PathMask,
        world_model: WorldModel,
        cost: WeightedSum,
        max_spread: float = np.inf,
        judged_steps: int | None = None,
    ) -> None:
        """Put together from its parts.

        Args:
            mask: what no candidate gets past.
            world_model: imagines those that do.
            cost: judges what it imagines.
            max_spread: what the world model is less sure of than this, at any step, is not chosen.
            judged_steps: of imagined tool paths, the first that the guardrails judge; all without it. What is imagined
                far ahead is wrong by centimetres, and is imagined again before it comes.
        """
        self.mask = mask
        self.world_model = world_model
        self.cost = cost
        self._max_spread = max_spread
        self._judged_steps = judged_steps

    def check(self, belief: Belief, sequences: Sequences) -> Candidates:
        """The guardrails on the paths, by kinematics alone."""
        paths = self.mask.check(belief, sequences.actions[..., :3])
        return Candidates(sequences, paths.joint_paths, paths.feasible, paths.margin, paths.row)

    def imagine(self, query: Query, safe: Candidates, steps: int | None = None) -> Pool | Refusal:
        """Roll feasible candidates out, each for its first `steps` only where given, and leave out those whose outcome
        or cost is not finite, those whose outcome breaks a guardrail and those that the world model is not sure of; the
        refusal says why none is left.
        """
        belief, actions = query.belief, safe.sequences.actions[:, :steps]
        outcomes = self.world_model.predict(belief.image_latent, belief.proprio, actions)
        terms = query.cost.terms(Imagined(belief, query.goal, actions, outcomes))
        tool_paths = np.asarray(outcomes.proprio[..., TOOL_POSITION], dtype=np.float64)
        parts = (terms, outcomes.proprio.sum(axis=-1), outcomes.image_latents.sum(axis=-1))
        finite = np.isfinite(np.concatenate(parts, axis=1)).all(axis=1)
        if not finite.any():
            return Refusal("the world model has no finite outcome for any candidate", "imagination", float("nan"))
        outcome = self.mask.check_outcomes(belief, tool_paths[:, : self._judged_steps])
        usable = finite & outcome.feasible
        if not usable.any():
            return _outcomes_refused(outcome.margin[finite], outcome.row[finite])
        spread = _widest(outcomes)
        if self._max_spread < np.inf and not (usable := usable & (spread <= self._max_spread)).any():
            return _spread_refused(spread[finite], self._max_spread)
        margin = np.minimum(safe.margin, outcome.margin)
        pool = Pool(safe.sequences, safe.joint_paths, margin, tool_paths, spread, terms)
        return pool.take(np.flatnonzero(usable))

    def hold(self, query: Query) -> Plan | Refusal:
        """The plan to stay, or why even that is not safe."""
        actions = np.zeros((1, _HOLD_STEPS, ACTION_DIM))
        actions[..., 3:] = query.belief.proprio[GRIPPER_WIDTH]
        candidates = self.check(query.belief, Sequences(actions[..., :3], np.zeros(1, np.intp), actions))
        if not candidates.feasible[0]:
            return hold_refused(candidates)
        pool = self.imagine(query, candidates)
        return pool if isinstance(pool, Refusal) else replace(pool.plan(query.cost.names, 1, 0, 1), searched=False)


def hold_refused(candidates: Candidates) -> Refusal:
    """Why nothing can be done at all, where the first candidate is to hold still."""
    row, margin = str(candidates.row[0]), float(candidates.margin[0])
    return Refusal(f"even holding still breaks guardrail {row} (normalised margin {margin:.3f})", row, margin)


def _widest(outcomes: Outcomes) -> Array:
    """(N,)."""
    if outcomes.spread is None:
        return np.full(len(outcomes.proprio), np.nan)
    return np.asarray(outcomes.spread, dtype=np.float64).max(axis=1)


def _outcomes_refused(margins: Array, rows: Array) -> Refusal:
    best = int(np.argmax(margins))
    row, margin = str(rows[best]), float(margins[best])
    reason = f"whatever is tried, the world model sees the tool break guardrail {row} (normalised margin {margin:.3f})"
    return Refusal(reason, row, margin)


def _spread_refused(spread: Array, max_spread: float) -> Refusal:
    least = float(spread.min())
    reason = f"whatever is tried, the world model is unsure by {least:.3g}; at most {max_spread:.3g} is allowed"
    return Refusal(reason, MODEL_ERROR, max_spread - least)
