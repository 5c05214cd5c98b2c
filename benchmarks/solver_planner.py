"""Planners of another library, `stable-worldmodel`, behind our `Planner` protocol: the same question, another search.

Their solvers ask a model what sequences of actions cost; what answers is our world model and our cost, from the same
belief towards the same goal, over the same horizon. An action is a share of the longest displacement that our search
would try there, [-1, 1] in each of three components, and what is longer than that displacement is shortened to it, as
ours is. The gripper is held. As in their own receding loop with a step at a time, a search begins from the rest of the
last plan with zeros at its end, and the answer is the mean of what is left of the distribution.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from ami_robot.actor.imagination import Imagination, Query
from ami_robot.actor.planner import CheckedPaths, PathMask, clip_norm, unusable
from ami_robot.actor.search import SearchSettings
from ami_robot.cost.cost import Imagined
from ami_robot.safety.masks import PathCheck
from ami_robot.types import ACTION_DIM, GRIPPER_WIDTH, TOOL_POSITION, Array, Belief, Goal, Plan, Refusal
from ami_sim.evaluation.suites import EvaluationError

DISTRIBUTION, PACKAGE, LOG = "stable-worldmodel", "stable_worldmodel", "loguru"
CLASSES = {"cem": "CEMSolver", "icem": "ICEMSolver"}
RECEDING = {"receding_horizon": 1, "action_block": 1, "warm_start": True}
"""How plans follow each other, in their words: after each step a new search, which begins from the rest of the last."""

HOW_TO = "docs/how-to/evaluate.md shows how to make an environment that has it"


def solver_class(name: str) -> Callable[..., Any]:
    """Their class, unchanged, of one of CLASSES.

    The package's front page imports data formats and films, with torchvision and more, which no solver needs: so it
    is left out, and what lies behind it is imported alone.

    Raises:
        EvaluationError: it is not in this environment.
    """
    if PACKAGE not in sys.modules:
        spec = find_spec(PACKAGE)
        if spec is None or find_spec(LOG) is None:
            missing = DISTRIBUTION if spec is None else LOG
            raise EvaluationError(f"{missing} is not in the environment of {sys.executable}; {HOW_TO}.")
        sys.modules[PACKAGE] = module_from_spec(spec)
    solver: Callable[..., Any] = getattr(import_module(f"{PACKAGE}.solver"), CLASSES[name])
    return solver


class NoMask(PathMask):
    """Lets every candidate through and looks at none: what a search costs without guardrails of its own."""

    def check(self, belief: Belief, displacements: Array) -> CheckedPaths:
        """All feasible; there are no joint paths, so they are NaN."""
        count, steps = displacements.shape[:2]
        joint_paths = np.full((count, steps, len(belief.target_joint_positions)), np.nan)
        return CheckedPaths(joint_paths, *_anything_goes(count))

    def check_outcomes(self, belief: Belief, tool_paths: Array) -> PathCheck:
        """The same."""
        return PathCheck(*_anything_goes(len(tool_paths)))


def _anything_goes(count: int) -> tuple[Array, Array, Array]:
    return np.ones(count, bool), np.full(count, np.nan), np.full(count, "", object)


class ImaginedCost:
    """Their `Costable`: what candidates cost, by our rollout from one belief. Set `query` before a search."""

    query: Query

    def __init__(self, imagination: Imagination) -> None:
        self._imagination = imagination
        self.looked_at = self.masked = 0

    def get_cost(self, _: dict[str, Any], candidates: torch.Tensor) -> torch.Tensor:
        """(1, N, H, 3) -> (1, N); infinite for what the mask forbids and for what has no finite cost."""
        query, mask = self.query, self._imagination.mask
        displacements = in_metres(candidates[0], query.limit_m)
        costs = np.full(len(displacements), np.inf)
        feasible = np.flatnonzero(mask.check(query.belief, displacements).feasible)
        self.looked_at += len(displacements)
        self.masked += len(displacements) - len(feasible)
        if feasible.size:
            belief, actions = query.belief, with_gripper(query.belief, displacements[feasible])
            outcomes = self._imagination.world_model.predict(belief.image_latent, belief.proprio, actions)
            terms = query.cost.terms(Imagined(belief, query.goal, actions, outcomes))
            tool_paths = np.asarray(outcomes.proprio[..., TOOL_POSITION], dtype=np.float64)
            total, kept = terms.sum(axis=1), mask.check_outcomes(belief, tool_paths).feasible
            costs[feasible] = np.where(kept & np.isfinite(total), total, np.inf)
        return torch.from_numpy(costs).to(candidates.dtype)[None]


class SolverPlanner:
    """One of their solvers. Implements `Planner`."""

    def __init__(self, make: Callable[[Any], Any], settings: SearchSettings, imagination: Imagination) -> None:
        """Put together from its parts.

        Args:
            make: a solver of what tells costs; a new one for each goal, so that its random numbers begin again.
            settings: horizon and step limits, those of our search.
            imagination: mask, world model and cost, those of our search.
        """
        self._make, self._settings, self._imagination = make, settings, imagination
        self.reset()

    def reset(self) -> None:
        """Forget the last plan and start the noise again from the seed."""
        self._costs = ImaginedCost(self._imagination)
        self._solver = self._make(self._costs)
        box = Box(-1.0, 1.0, (1, 3))
        shape = SimpleNamespace(horizon=self._settings.horizon, **RECEDING)
        self._solver.configure(action_space=box, n_envs=1, config=shape)
        self._rest: Array | None = None

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """What the solver answers, whatever time it takes: it knows no `deadline_s`.

        Joint path and margin are those of the mask; the imagined path is NaN, since nobody asks for it again.
        """
        if refusal := unusable(belief, goal):
            return refusal
        mask = self._imagination.mask
        limit_m = self._settings.step_limit_m(belief, goal, mask.max_displacement_m)
        self._costs.query = Query(belief, goal, self._imagination.cost.for_goal(goal), limit_m)
        self._costs.looked_at = self._costs.masked = 0
        start = None
        if self._rest is not None:
            start = torch.from_numpy(clip_norm(self._rest, limit_m) / limit_m).float()[None]
        with redirect_stdout(io.StringIO()):  # they print how long it took
            found = self._solver.solve({"environment": torch.zeros(1, 1)}, init_action=start)
        displacements = in_metres(found["actions"], limit_m)
        paths = mask.check(belief, displacements)
        if not paths.feasible[0]:
            row, margin = str(paths.row[0]), float(paths.margin[0])
            return Refusal(f"what the solver found breaks guardrail {row}", row, margin)
        self._rest = displacements[0, 1:]
        cost = float(found["costs"][0])
        return Plan(
            actions=with_gripper(belief, displacements)[0],
            joint_path=paths.joint_paths[0],
            imagined_tool_path=np.full((self._settings.horizon, 3), np.nan),
            cost=cost,
            cost_terms={"mean of the elites": cost},
            candidates=self._costs.looked_at,
            masked=self._costs.masked,
            margin=float(paths.margin[0]),
        )


def in_metres(actions: torch.Tensor, limit_m: float) -> Array:
    """(N, H, 3) shares of the limit -> displacements, m, none longer than it."""
    return clip_norm(actions.numpy().astype(np.float64) * limit_m, limit_m)


def with_gripper(belief: Belief, displacements: Array) -> Array:
    """(N, H, 3), m -> (N, H, ACTION_DIM), the gripper staying as it is."""
    actions = np.empty((*displacements.shape[:2], ACTION_DIM))
    actions[..., :3], actions[..., 3:] = displacements, belief.proprio[GRIPPER_WIDTH]
    return actions
