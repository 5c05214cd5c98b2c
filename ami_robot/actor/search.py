"""The search that every planner with a world model makes: try, mask, imagine, learn from it, as long as time allows."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ami_robot.actor.candidates import Candidates, Pool, Sequences
from ami_robot.actor.gripper import CHOICES, HOLD, Gripper, Schedules
from ami_robot.actor.guide import Guide
from ami_robot.actor.imagination import Imagination, Query, hold_refused
from ami_robot.actor.planner import PathMask, clip_norm, straight_steps, unusable
from ami_robot.cost.cost import WeightedSum
from ami_robot.types import GRIPPER_WIDTH, TOOL_POSITION, TOOL_TARGET, Array, Belief, Goal, Plan, Refusal
from ami_robot.world_model.protocol import WorldModel


@dataclass(frozen=True)
class SearchSettings:
    """What every search needs; the values are in the configurator's YAML."""

    candidates: int  # looked at in each iteration
    horizon: int  # model steps
    iterations: int
    noise_beta: float  # 0 white, 2 Brownian over time
    initial_std: float  # of a displacement component, in units of the step limit
    approach_gain: float  # near the goal a step is at most this share of the distance that is left ...
    min_step_limit_m: float  # ... and never limited below this
    straight_line_candidate: bool  # offer the straight line to the goal's position as a candidate
    gripper: str  # hold: it stays as it is; search: opening and closing are tried too
    seed: int

    def __post_init__(self) -> None:
        if self.gripper not in CHOICES:
            raise ValueError(f"gripper is {self.gripper!r}; valid are {', '.join(CHOICES)}")
        if min(self.candidates, self.horizon, self.iterations) < 1:
            raise ValueError("candidates, horizon and iterations must be at least 1")

    def step_limit_m(self, belief: Belief, goal: Goal, longest_m: float) -> float:
        """Of a displacement: shorter than the longest near the goal, so that the arm settles and does not swing."""
        if goal.tool_position is None:
            return longest_m
        distance_m = float(np.linalg.norm(goal.tool_position - belief.proprio[TOOL_POSITION]))
        return min(max(self.approach_gain * distance_m, self.min_step_limit_m), longest_m)


Settings = TypeVar("Settings", bound=SearchSettings)
State = TypeVar("State")


class Search(ABC, Generic[Settings, State]):
    """The loop; what is tried next and what is learnt from it is the planners' own. Implements `Planner`."""

    last: Array
    """(H, 3), m: the displacements of the last plan, shifted by a step the centre of the next search."""

    last_schedule: int
    """Of the gripper, in the last plan."""

    imagination: Imagination
    """Mask, world model and cost that it searches with."""

    def __init__(
        self,
        settings: Settings,
        mask: PathMask,
        world_model: WorldModel,
        cost: WeightedSum,
        guide: Guide | None = None,
        max_spread: float = np.inf,
    ) -> None:
        """Put together from its parts: those of `Imagination`, and a policy whose sequences are tried as well."""
        self.settings = settings
        self._guide = guide
        self.imagination = Imagination(mask, world_model, cost, max_spread)
        self._gripper = Gripper(settings.gripper, mask.gripper_widths_m, settings.horizon)
        self.reset()

    def reset(self) -> None:
        """Forget the last plan and start the noise again from the seed."""
        self._rng = np.random.default_rng(self.settings.seed)
        self.last = np.zeros((self.settings.horizon, 3))
        self.last_schedule = HOLD

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
        limit_m = self.settings.step_limit_m(belief, goal, self.imagination.mask.max_displacement_m)
        query = Query(belief, goal, self.imagination.cost.for_goal(goal), limit_m)
        state = self.begin(query)
        kept: Pool | None = None
        looked_at = masked = 0
        for iteration in range(self.settings.iterations):
            begun = time.perf_counter()
            candidates = self.imagination.check(belief, self.propose(query, state))
            if iteration == 0 and not candidates.feasible[0]:
                return hold_refused(candidates)
            if candidates.feasible.sum() < self.fewest:
                again = self.propose(query, self.round_hold(state))
                candidates = candidates.joined(self.imagination.check(belief, again))
            looked_at += len(candidates.feasible)
            masked += int((~candidates.feasible).sum())
            pool = self._imagine(query, candidates, kept)
            if isinstance(pool, Refusal):
                return pool
            kept, state = self.learn(query, state, pool)
            now = time.perf_counter()
            if deadline_s is not None and (now - started) + (now - begun) > deadline_s:
                break
        assert kept is not None  # at least one iteration ran
        best = kept.best(1)
        self.last = best.sequences.actions[0, :, :3]
        self.last_schedule = int(best.sequences.schedules[0])
        return best.plan(query.cost.names, looked_at, masked, iteration + 1)

    @property
    @abstractmethod
    def fewest(self) -> int:
        """With fewer feasible candidates than this it looks again, round holding."""

    @abstractmethod
    def begin(self, query: Query) -> State:
        """What is known before anything has been tried."""

    @abstractmethod
    def propose(self, query: Query, state: State) -> Sequences:
        """What to look at next; in the first iteration holding still comes first."""

    @abstractmethod
    def round_hold(self, state: State) -> State:
        """The same with holding still, which is known to be safe, in the middle."""

    @abstractmethod
    def learn(self, query: Query, state: State, pool: Pool) -> tuple[Pool, State]:
        """What to keep of the candidates seen, the best of all among them, and what is known now."""

    def sequences(
        self, query: Query, displacements: Array, schedules: Schedules, drawn: Array | None = None
    ) -> Sequences:
        """Displacements (N, H, 3) and gripper schedules (N,) as sequences, `drawn` where that is something else."""
        widths = self._gripper.widths(schedules, float(query.belief.proprio[GRIPPER_WIDTH][0]))
        actions = np.concatenate([displacements, widths[..., None]], axis=-1)
        return Sequences(displacements if drawn is None else drawn, schedules, actions)

    def anchors(self, query: Query) -> tuple[Array, Schedules]:
        """Displacements (n, H, 3) and schedules (n,) that are tried whatever is drawn: to hold first, then the shifted
        last plan, the straight line where asked for, to hold while the gripper moves where that is searched, and what
        the guide proposes.
        """
        hold, later = np.zeros_like(self.last), self.later(query)
        displacements, schedules = [hold, later], [HOLD, self._gripper.later(self.last_schedule)]
        if self.settings.straight_line_candidate and query.goal.tool_position is not None:
            gap = query.goal.tool_position - query.belief.proprio[TOOL_TARGET]
            displacements.append(straight_steps(gap, query.limit_m, 1.0, len(hold)))
            schedules.append(HOLD)
        for schedule in self._gripper.at_once:
            displacements.append(hold)
            schedules.append(schedule)
        if (guide := self.guide_for(query)) is not None:
            for proposed in guide.proposals(query, self._rng, self.settings.horizon):
                displacements.append(proposed[:, :3])
                schedules.append(int(self.schedules_of(query, proposed[None])[0]))
        return np.stack(displacements), np.array(schedules)

    def guide_for(self, query: Query) -> Guide | None:
        """The guide, if there is one for such a goal."""
        return self._guide if self._guide is not None and self._guide.applies_to(query.goal) else None

    def schedules_of(self, query: Query, guided: Array) -> Schedules:
        """(N,): of the gripper widths in a policy's actions (N, H, ACTION_DIM)."""
        return self._gripper.nearest(guided[..., 3], float(query.belief.proprio[GRIPPER_WIDTH][0]))

    def later(self, query: Query) -> Array:
        """(H, 3), m: the last plan, one step on."""
        return clip_norm(np.concatenate([self.last[1:], np.zeros((1, 3))]), query.limit_m)

    def _imagine(self, query: Query, candidates: Candidates, kept: Pool | None) -> Pool | Refusal:
        """The feasible candidates, with those kept from before; what was good stays good when the rest is not."""
        pool = self.imagination.imagine(query, candidates.take(candidates.feasible))
        if kept is None:
            return pool
        return kept if isinstance(pool, Refusal) else pool.joined(kept)
