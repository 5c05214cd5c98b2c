"""A search over contacts: where to touch the block and where to take it, in ways that are imagined to their end.

A search over displacements finds no way round a block, and one that looks at many finds what its world model gets
wrong: a block that comes along with a hand that passes beside it. So a candidate here is a way through a few points,
drawn round those that block and goal suggest:

    push    above the place behind the block, seen from where it is to be; down; through, until the block lies there
    carry   over the block with open fingers; down; closing; up; over the goal; and, where the goal is on the table,
            down, opening and up again

The world model imagines what comes of each, and the cost decides whether another way than the suggested one is worth
taking, or to hold still. Once its first point is passed a way is gone to its end: what is imagined of a touch changes
from one picture to the next, and fingers that open again because of that hold nothing. Seeing decides then: a way is
given up where the block stays behind. While one is under way nothing is chosen, so no more of it is imagined than the
guardrails judge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ami_robot.actor.candidates import Pool, Sequences
from ami_robot.actor.guide import Guide
from ami_robot.actor.imagination import Imagination, Query, hold_refused
from ami_robot.actor.planner import unusable
from ami_robot.actor.ways import Ways
from ami_robot.types import GRIPPER_WIDTH, TOOL_TARGET, Array, Belief, Goal, Plan, Refusal

if TYPE_CHECKING:  # torch stays out of processes that have nothing learned
    from ami_robot.perception.block_head import BlockHead

OVER_M = 0.03
"""From the line above a point, within which the tool comes down from where it is."""

LIFTED_M = 0.03
"""A goal so far above where the tool grips is in the air: the block is held there and not put down."""

CLOSING_M, CLOSING_STEP_M = 0.006, 0.001
"""The tool rises by so much, so slowly, while its fingers move: in 4 steps it comes to rest and they to a block."""

TOUCHED = {"push": 2, "carry": 3}
"""Points of a way after which the block has to come along."""

LOST_VIEWS = 2
"""Pictures in a row that show it elsewhere: one may be read wrong."""


@dataclass(frozen=True)
class ContactSettings:
    """Everything that can be set; the values are in the configurator's YAML."""

    contact: str  # one of TOUCHED
    candidates: int  # ways looked at in each plan
    horizon: int  # model steps that each is planned, and imagined while there is something to choose
    judged_steps: int  # of them, the first whose imagined tool positions the guardrails judge; planned ones all are
    behind_m: float  # push: of the tool from the block's centre where it comes down
    contact_m: float  # push: of the tool from the block's centre in the end
    travel_height_m: float  # of the tool above blocks
    low_height_m: float  # of the tool when it pushes or grips
    push_step_m: float  # the longest while it pushes
    turn_std_rad: float  # push: of the direction, about that to the goal
    place_std_m: float  # of each point
    near_m: float  # of the block from the goal, within which no new way is begun
    lost_m: float  # of the block from the tool that touched it: farther away it has stayed behind
    switch_share: float  # by which another way has to be cheaper than the one without scatter
    seed: int

    iterations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.contact not in TOUCHED:
            raise ValueError(f"contact is {self.contact!r}; valid are {', '.join(TOUCHED)}")
        if self.candidates < 2 or self.horizon < 1 or self.switch_share >= 1.0:
            raise ValueError("contacts needs candidates >= 2 (one is to hold still), horizon >= 1 and switch_share < 1")


class Contacts:
    """Draws ways, masks those that break a guardrail, imagines the rest and chooses. Implements `Planner`."""

    def __init__(
        self, settings: ContactSettings, imagination: Imagination, block_head: BlockHead, guide: Guide | None = None
    ) -> None:
        """Put together from its parts; `block_head` says where the block is, what `guide` proposes is tried, too."""
        self.settings = settings
        self._guide = guide
        self._imagination = imagination
        self._block_head = block_head
        self.reset()

    def reset(self) -> None:
        """Forget the last plan's way and start the draws again from the seed."""
        self._rng = np.random.default_rng(self.settings.seed)
        self._for: Array | None = None  # where the block was to be, (3,), m
        self._last: Ways | None = None  # what is left of it
        self._passed = 0  # of its points
        self._lost = 0  # pictures in a row
        self._views: list[Array] = []  # where the block was seen, (3,), m, since a way was gone

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """What is left of the last plan's way, or a new one; or why there is none. No deadline: there is one iteration.

        Raises:
            CostError: no cost term can judge the goal.
        """
        if refusal := unusable(belief, goal):
            return refusal
        if goal.block_position is None:
            return Refusal("contacts are searched for a block; the goal says of none where to be", "goal", float("nan"))
        imagination, tool = self._imagination, belief.proprio[TOOL_TARGET].astype(np.float64)
        query = Query(belief, goal, imagination.cost.for_goal(goal), imagination.mask.max_displacement_m)
        ways = self._ways(query, tool)
        if ways is None:
            return imagination.hold(query)
        candidates = imagination.check(belief, self._sequences(query, ways, tool))
        if not candidates.feasible[0]:
            return hold_refused(candidates)
        under_way = self._last is not None
        imagined = self.settings.judged_steps if under_way else None
        pool = imagination.imagine(query, candidates.take(candidates.feasible), imagined)
        if isinstance(pool, Refusal):
            self._last = None
            return pool
        chosen = self._chosen(pool, ways.points[1])
        gone = np.flatnonzero((ways.points == chosen.sequences.drawn[0]).all(axis=(1, 2)))[:1]
        moves = gone.size and gone[0] > 0
        self._last, self._passed = ways.take(gone).from_now(tool, query.limit_m) if moves else (None, 0)
        masked = int((~candidates.feasible).sum())
        plan = chosen.plan(query.cost.names, len(candidates.feasible), masked, self.settings.iterations)
        return replace(plan, searched=not under_way)

    def _sequences(self, query: Query, ways: Ways, tool: Array) -> Sequences:
        """Those that go the ways and, while none is under way, those that the guide proposes, which go through none."""
        actions, _ = ways.actions(tool, self.settings.horizon, query.limit_m)
        drawn = ways.points
        if self._guide is not None and self._last is None and self._guide.applies_to(query.goal):
            proposed = self._guide.proposals(query, self._rng, self.settings.horizon)
            actions = np.concatenate([actions, proposed])
            drawn = np.concatenate([drawn, np.full((len(proposed), *drawn.shape[1:]), np.nan)])
        return Sequences(drawn, np.zeros(len(actions), np.intp), actions)

    def _ways(self, query: Query, tool: Array) -> Ways | None:
        """The first holds still; the second is preferred: what is left of the last, or else the one without scatter.

        None where there is nothing left to do.
        """
        goal, width = query.goal.block_position, float(query.belief.proprio[GRIPPER_WIDTH][0])
        assert goal is not None  # plan has looked
        if self._for is None or not np.array_equal(goal, self._for):
            self._for, self._last = goal, None
        block = self._where_block_is(query.belief, tool)
        if self._last is not None:
            return _holding(tool, width, self._last).joined(self._last)
        if np.linalg.norm(block - goal) < self.settings.near_m:
            return None
        scatter = self._rng.standard_normal((self.settings.candidates - 1, 9))
        scatter[0] = 0.0
        if self.settings.contact == "push":
            ways = self._push(tool, block, goal, scatter)
        else:
            ways = self._carry(tool, width, block, goal, scatter)
        return _holding(tool, width, ways).joined(ways)

    def _where_block_is(self, belief: Belief, tool: Array) -> Array:
        """(3,), m: the median of what was seen since the last way was gone; that is given up where the block is lost.

        A hand on its way over the block comes before it in the picture, and what is read then is off by centimetres.
        """
        seen = self._block_head.decode(belief.image_latent)
        if self._last is not None:
            self._views.clear()
            away = self._passed >= TOUCHED[self.settings.contact] and np.linalg.norm(seen - tool) > self.settings.lost_m
            self._lost = self._lost + 1 if away else 0
            if self._lost == LOST_VIEWS:
                self._last, self._lost = None, 0
        self._views.append(seen)
        return np.asarray(np.median(self._views, axis=0))

    def _chosen(self, pool: Pool, preferred: Array) -> Pool:
        """The cheapest (one row), but the preferred way where nothing is cheaper by enough, or where it is under way.

        Of many ways one is cheapest by an error of the world model.
        """
        costs = pool.terms.sum(axis=1)
        best = int(costs.argmin())
        same = np.flatnonzero((pool.sequences.drawn == preferred).all(axis=(1, 2)))
        enough = 1.0 - self.settings.switch_share
        if len(same) and (self._last is not None or costs[best] > enough * costs[same[0]]):
            best = int(same[0])
        return pool.take(np.array([best]))

    def _push(self, tool: Array, block: Array, goal: Array, scatter: Array) -> Ways:
        settings = self.settings
        scatter_m = settings.place_std_m * scatter[..., None]
        gap = (goal - block)[:2]
        turn = np.arctan2(gap[1], gap[0]) + settings.turn_std_rad * scatter[:, 0]
        ahead, across = np.stack([np.cos(turn), np.sin(turn)], 1), np.stack([-np.sin(turn), np.cos(turn)], 1)
        behind = block[:2] - (settings.behind_m + scatter_m[:, 1]) * ahead + scatter_m[:, 2] * across
        through = goal[:2] - (settings.contact_m + scatter_m[:, 3]) * ahead + scatter_m[:, 4] * across
        low = settings.low_height_m
        points = [(behind, self._height(tool, behind)), (behind, low), (through, low)]
        return self._through(points, [0.0, 0.0, 0.0], [np.inf, np.inf, settings.push_step_m])

    def _carry(self, tool: Array, width: float, block: Array, goal: Array, scatter: Array) -> Ways:
        """With the block in the hand already, only what is left to do with it."""
        settings, opened = self.settings, self._imagination.mask.gripper_widths_m[1]
        scatter_m = settings.place_std_m * scatter
        grip, put = block[:2] + scatter_m[:, :2], goal[:2] + scatter_m[:, :2]
        low, high = settings.low_height_m, settings.travel_height_m
        near = np.linalg.norm(block - tool) < settings.lost_m
        held = near and block[2] > low + LIFTED_M and width < opened / 2
        points = [(grip, self._height(tool, grip)), (grip, low), (grip, low + CLOSING_M), (grip, high)]
        widths, steps_m = [opened, opened, 0.0, 0.0], [np.inf, np.inf, CLOSING_STEP_M, np.inf]
        if held:
            put = put + (tool - block)[:2]
            points, widths, steps_m = [], [], []
        if goal[2] > low + LIFTED_M:
            up = tool[2] + goal[2] - block[2] if held else low + goal[2] - block[2]
            return self._through([*points, (put, up)], [*widths, 0.0], [*steps_m, np.inf])
        points += [(put, high), (put, low), (put, low + CLOSING_M), (put, high)]
        return self._through(
            points, [*widths, 0.0, 0.0, opened, opened], [*steps_m, np.inf, np.inf, CLOSING_STEP_M, np.inf]
        )

    def _height(self, tool: Array, place: Array) -> Array:
        """At which the tool comes over a place (N, 2): travelling, or as it is where it is there already."""
        high = self.settings.travel_height_m
        return np.where(np.linalg.norm(place - tool[:2], axis=1) < OVER_M, min(float(tool[2]), high), high)

    def _through(self, points: list[tuple[Array, Any]], widths: list[float], steps_m: list[float]) -> Ways:
        """Through (place (N, 2), height) one after the other, as far as the room reaches."""
        placed = [np.column_stack([place, np.broadcast_to(height, len(place))]) for place, height in points]
        ways = np.clip(np.stack(placed, axis=1), *self._imagination.mask.room_m)
        of_each = (np.tile(values, (len(ways), 1)) for values in (widths, steps_m))
        return Ways(ways, *of_each)


def _holding(tool: Array, width: float, ways: Ways) -> Ways:
    """One way like these that stays where the tool is, with the fingers as they are."""
    points = ways.points.shape[1]
    return Ways(np.tile(tool, (1, points, 1)), np.full((1, points), width), ways.steps_m[:1])
