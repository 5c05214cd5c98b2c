"""Scripts that know where the block is and do what a task asks: the ceiling of a benchmark, and material for data.

Each is a generator like those of policies.py: it yields an action (4,) and is sent the Sight after it. They move the
tool and the fingers and nothing else: what lifts a block is friction.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from ami_robot.types import Array
from ami_sim.policies import BEHIND_BLOCK_M, Behaviour, Room, Sight
from ami_sim.tasks import CARRIED_M, GRASP_HEIGHT_M, OPEN_WIDTH_M, PUSH_HEIGHT_M, RETRACTED_M, Task

TRAVEL_HEIGHT_M = 0.12  # of the tool above blocks; what it carries clears them, too
PUSH_STEP_M = 0.015  # 7.5 cm/s: a block that is let go of stops at once
AT_M = 0.004  # from a way point, where it counts as reached
PUSHED_M, STRAYED_M = 0.008, 0.025  # from its place, a pushed block is left alone, or pushed again
ASIDE_M = 0.015  # off the line behind a block, beyond which a push would turn it away
SETTLE_STEPS = 2  # for the arm to catch up with its target
CLOSE_STEPS = 4  # for the fingers to come from wide open to a block and press
OPEN_STEPS = 3

Script = Generator[Array, Sight, Sight]
"""A part of a behaviour; it returns the last Sight."""


def reach(task: Task, room: Room, sight: Sight) -> Behaviour:
    """Straight to the goal's tool position."""
    sight = yield from go(room, sight, task.scene.goal_position, 0.0)
    yield from hold(0.0)


def push(task: Task, room: Room, sight: Sight) -> Behaviour:
    """Push the block to its goal, and again when it strays."""
    place = task.goal_block_position
    while True:
        sight = yield from push_to(room, sight, place)
        while np.linalg.norm((sight.blocks[0] - place)[:2]) < STRAYED_M:
            sight = yield _rest(0.0)


def pick_lift(task: Task, room: Room, sight: Sight) -> Behaviour:
    """Take the block to its goal in the air and hold it there."""
    while True:
        sight = yield from pick(room, sight)
        in_hand = sight.tool_target - sight.blocks[0]
        sight = yield from go(room, sight, task.goal_block_position + in_hand, 0.0)
        while sight.blocks[0][2] > CARRIED_M:  # in the hand still
            sight = yield _rest(0.0)


def pick_place(task: Task, room: Room, sight: Sight) -> Behaviour:
    """Take the block, put it down at its goal, rise; again when it is not there."""
    place = task.goal_block_position
    while True:
        sight = yield from pick(room, sight)
        sight = yield from put(room, sight, place)
        while np.linalg.norm(sight.blocks[0] - place) < STRAYED_M:
            sight = yield _rest(OPEN_WIDTH_M)


EXPERTS: dict[str, Callable[[Task, Room, Sight], Behaviour]] = {
    "reach": reach,
    "push": push,
    "push_retracted": push,
    "pick_lift": pick_lift,
    "pick_place": pick_place,
}
"""The expert of each task of TASKS."""


def hold(width: float) -> Script:
    """Stay for ever."""
    while True:
        yield _rest(width)


def go(
    room: Room, sight: Sight, to: Array, width: float, step_m: float | None = None, patience_steps: int = 30
) -> Script:
    """Straight to a point (3,), or as near as the room reaches; given up after so many steps."""
    to = room.inside(to)
    for _ in range(patience_steps):
        if np.linalg.norm(to - sight.tool_target) < AT_M:
            break
        sight = yield room.action(sight, to - sight.tool_target, width, step_m)
    return sight


def push_to(room: Room, sight: Sight, place: Array, step_m: float = PUSH_STEP_M, patience_steps: int = 100) -> Script:
    """Push the first block until it is at a place, going round it as often as it slips off; given up after so long."""
    for _ in range(patience_steps):
        block = sight.blocks[0]
        left = (place - block)[:2]
        if np.linalg.norm(left) < PUSHED_M:
            break
        sight = yield room.action(sight, _push_step(sight.tool_target, block, left, step_m), 0.0)
    return sight


def pick(room: Room, sight: Sight, aside: Array | None = None, width: float = OPEN_WIDTH_M) -> Script:
    """Come down on the first block, close the fingers and rise; `aside` (3,), m, and `width` spoil it on purpose."""
    over = sight.blocks[0] + (0.0 if aside is None else aside)
    over[2] = max(TRAVEL_HEIGHT_M, sight.tool_target[2])
    sight = yield from go(room, sight, over, width)
    low = over.copy()
    low[2] = GRASP_HEIGHT_M
    sight = yield from go(room, sight, low, width)
    sight = yield from wait(sight, width, SETTLE_STEPS)
    sight = yield from wait(sight, 0.0, CLOSE_STEPS)
    over[2] = TRAVEL_HEIGHT_M
    sight = yield from go(room, sight, over, 0.0)
    return (yield from wait(sight, 0.0, SETTLE_STEPS))


def put(room: Room, sight: Sight, place: Array) -> Script:
    """Carry what the hand holds over a place for the block's centre (3,), put it down, let go, rise."""
    over = place + sight.tool_target - sight.blocks[0]
    low = over.copy()
    over[2], low[2] = TRAVEL_HEIGHT_M, GRASP_HEIGHT_M
    for point in (over, low):
        sight = yield from go(room, sight, point, 0.0)
    sight = yield from wait(sight, 0.0, SETTLE_STEPS)
    sight = yield from wait(sight, OPEN_WIDTH_M, OPEN_STEPS)
    return (yield from go(room, sight, low + np.array([0.0, 0.0, RETRACTED_M]), OPEN_WIDTH_M))


def wait(sight: Sight, width: float, steps: int) -> Script:
    """Stay for so many steps."""
    for _ in range(steps):
        sight = yield _rest(width)
    return sight


def _push_step(tool: Array, block: Array, left: Array, step_m: float) -> Array:
    """The displacement (3,) of a tool (3,) that goes behind a block (3,) and pushes it by `left` (2,)."""
    way_m = float(np.linalg.norm(left))
    ahead = left / way_m
    across = np.array([-ahead[1], ahead[0]])
    along_m, aside_m = (tool - block)[:2] @ ahead, (tool - block)[:2] @ across
    if along_m < 0 and abs(aside_m) < ASIDE_M and tool[2] < PUSH_HEIGHT_M + AT_M:
        return np.append(min(step_m, way_m) * ahead - aside_m * across, PUSH_HEIGHT_M - tool[2])
    behind = np.append(block[:2] - BEHIND_BLOCK_M * ahead, PUSH_HEIGHT_M)
    gap = behind - tool
    if np.linalg.norm(gap[:2]) < ASIDE_M:
        return gap
    if tool[2] < TRAVEL_HEIGHT_M - AT_M:  # up first: the way behind it may lead through the block
        return np.array([0.0, 0.0, TRAVEL_HEIGHT_M - tool[2]])
    return np.append(gap[:2], 0.0)


def _rest(width: float) -> Array:
    return np.array([0.0, 0.0, 0.0, width])
