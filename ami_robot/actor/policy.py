"""The fast policy: answers without a search (mode 1), and guides one (mode 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ami_robot.actor.candidates import Pool, Sequences
from ami_robot.actor.imagination import Imagination, Query, hold_refused
from ami_robot.actor.planner import PathMask, clip_norm, unusable
from ami_robot.cost.cost import WeightedSum
from ami_robot.types import ACTION_DIM, GRIPPER_WIDTH, Array, Belief, Goal, Plan, Refusal
from ami_robot.world_model.protocol import LocalWorldModel

_SHARES = (1.0, 0.5, 0.25)
"""Of the policy's displacements, tried in this order where a guardrail is in the way of the whole."""

Chooser = Callable[[int, Array, Array], Array]
"""(step, mean (N, ACTION_DIM), std (N, ACTION_DIM)) -> actions (N, ACTION_DIM)."""


class GoalConditioned(Protocol):
    """What the policy network is to the rest of the agent."""

    def act(self, latents: Array, proprio: Array, goal_latent: Array, steps_left: int) -> tuple[Array, Array]:
        """Mean and standard deviation (N, ACTION_DIM), m, of the actions in N situations.

        Args:
            latents: (N, D).
            proprio: (N, PROPRIO_DIM).
            goal_latent: (D,).
            steps_left: until the goal is to be reached, at least 1.
        """
        ...


@dataclass(frozen=True)
class PolicySettings:
    """Everything that can be set; the values are in the configurator's YAML."""

    checkpoint: str  # folder below ami_robot/checkpoints, or a whole path; from `ami train-policy`
    horizon: int  # model steps of an answer without search
    steps_left: int  # in how many the policy is asked to be at the goal
    gripper: str  # hold: it stays as it is; policy: as the policy says
    proposals: int  # sequences drawn from the policy for each search
    temperature: float  # of these draws, in units of the policy's own spread
    residual: bool  # search for what to add to the policy's actions
    alone_below_quantile: float  # answers without a search in situations more familiar than this; 0 never, 1 whenever

    def __post_init__(self) -> None:
        if self.gripper not in ("hold", "policy"):
            raise ValueError(f"gripper is {self.gripper!r}; valid are hold, policy")
        if min(self.horizon, self.steps_left) < 1 or self.proposals < 0 or self.temperature < 0:
            raise ValueError("horizon and steps_left must be at least 1, proposals and temperature not negative")
        if not 0 <= self.alone_below_quantile <= 1:
            raise ValueError("alone_below_quantile must be between 0 and 1")


class Policy:
    """A goal-conditioned policy that unrolls in the world model, step by step. Implements `Planner` and `Guide`."""

    def __init__(
        self,
        settings: PolicySettings,
        network: GoalConditioned,
        mask: PathMask,
        world_model: LocalWorldModel,
        cost: WeightedSum,
        max_spread: float = np.inf,
    ) -> None:
        """Put together from its parts, those of `Imagination` and the network."""
        self.settings = settings
        self.residual = settings.residual
        self._network = network
        self._world_model = world_model
        self._imagination = Imagination(mask, world_model, cost, max_spread)

    def reset(self) -> None:
        """Nothing is remembered from one plan to the next."""

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """What the policy does; less of it, or nothing, where a guardrail forbids the whole. No deadline matters.

        Raises:
            CostError: no cost term can judge the goal.
        """
        answer = self.answer(belief, goal)
        return answer if isinstance(answer, Refusal) else answer.plan

    def answer(self, belief: Belief, goal: Goal) -> Answer | Refusal:
        """The same, with what the world model thinks of it."""
        if refusal := unusable(belief, goal):
            return refusal
        if not self.applies_to(goal):
            return Refusal("the policy was taught with pictures; it needs a goal picture", "goal", float("nan"))
        limit_m = self._imagination.mask.max_displacement_m
        query = Query(belief, goal, self._imagination.cost.for_goal(goal), limit_m)
        rungs = self._ladder(query)
        candidates = self._imagination.check(belief, rungs)
        if not candidates.feasible[-1]:
            return hold_refused(candidates.take(np.array([-1])))
        pool = self._imagination.imagine(query, candidates.take(candidates.feasible))
        if isinstance(pool, Refusal):
            return pool
        masked = int((~candidates.feasible).sum())
        plan = replace(pool.plan(query.cost.names, len(candidates.feasible), masked, 1), searched=False)
        whole = bool(np.array_equal(pool.sequences.drawn[0], rungs.drawn[0]))
        return Answer(plan, whole and _cheapest_first(pool))

    def applies_to(self, goal: Goal) -> bool:
        """Only a goal that was given as a picture has a latent."""
        return goal.image_latent is not None

    def proposals(self, query: Query, rng: np.random.Generator, horizon: int) -> Array:
        """See `Guide.proposals`."""
        count = self.settings.proposals
        noise = rng.standard_normal((count, horizon, ACTION_DIM)) * self.settings.temperature
        return self._unroll(query, count, horizon, lambda step, mean, std: mean + std * noise[:, step])

    def mean(self, query: Query, horizon: int) -> Array:
        """See `Guide.mean`."""
        return self._unroll(query, 1, horizon, lambda step, mean, std: mean)[0]

    def added(self, query: Query, residuals: Array) -> Array:
        """See `Guide.added`."""

        def choose(step: int, mean: Array, std: Array) -> Array:
            return np.concatenate([mean[:, :3] + residuals[:, step], mean[:, 3:]], axis=1)

        return self._unroll(query, len(residuals), residuals.shape[1], choose)

    def _ladder(self, query: Query) -> Sequences:
        """What to do in order of preference: all of it, its first step and then nothing, less of these, nothing."""
        whole = self.mean(query, self.settings.horizon)
        first = whole.copy()
        first[1:, :3] = 0.0
        rungs = np.stack([sequence for share in _SHARES for sequence in (_shrunk(whole, share), _shrunk(first, share))])
        hold = np.zeros_like(whole)
        hold[:, 3:] = query.belief.proprio[GRIPPER_WIDTH]
        actions = np.concatenate([rungs, hold[None]])
        return Sequences(actions[..., :3], np.zeros(len(actions), np.intp), actions)

    def _unroll(self, query: Query, count: int, horizon: int, choose: Chooser) -> Array:
        """(N, H, ACTION_DIM): in the world model, each action chosen by what came of those before it."""
        belief, goal_latent = query.belief, query.goal.image_latent
        assert goal_latent is not None  # asked by applies_to
        latents, proprio = (np.broadcast_to(v, (count, len(v))) for v in (belief.image_latent, belief.proprio))
        actions = np.empty((count, horizon, ACTION_DIM))
        for step in range(horizon if count else 0):
            mean, std = self._network.act(latents, proprio, goal_latent, max(1, self.settings.steps_left - step))
            actions[:, step] = self._bounded(choose(step, mean, std), query)
            if step + 1 < horizon:
                latents, proprio = self._world_model.step(latents, proprio, actions[:, step])
        return actions

    def _bounded(self, actions: Array, query: Query) -> Array:
        widths = query.belief.proprio[GRIPPER_WIDTH]
        if self.settings.gripper == "policy":
            widths = np.clip(actions[:, 3:], *self._imagination.mask.gripper_widths_m)
        moves = clip_norm(actions[:, :3], query.limit_m)
        return np.concatenate([moves, np.broadcast_to(widths, (len(actions), 1))], axis=1)


@dataclass(frozen=True)
class Answer:
    """What the policy says, and whether the world model agrees."""

    plan: Plan
    agreed: bool  # the whole sequence passed, and nothing shorter is imagined to cost less


def _shrunk(actions: Array, share: float) -> Array:
    return np.concatenate([share * actions[:, :3], actions[:, 3:]], axis=1)


def _cheapest_first(pool: Pool) -> bool:
    costs = pool.terms.sum(axis=1)
    return bool(costs[0] <= costs.min())
