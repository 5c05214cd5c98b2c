"""Behaviours that fill a data set: pushing blocks, reaching and hovering, wandering.

Each is a generator: it yields an action (4,) and is sent the Sight after it. Scripts know where the blocks are; the
models trained on the data do not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.spec import Spec
from ami_robot.types import Array

EDGE_M = 0.004  # targets keep this far from the workspace's faces, so that few commands are refused
APPROACH_HEIGHT_M = 0.12
BEHIND_BLOCK_M = 0.075  # from a block's centre to where a push begins


@dataclass(frozen=True, eq=False)
class Sight:
    """What a script may know."""

    tool_target: Array  # (3,), m
    blocks: Array  # (B, 3), m: centres


Behaviour = Generator[Array, Sight, None]


@dataclass(frozen=True, eq=False)
class Room:
    """Where targets may go, and how far in one step."""

    lower_m: Array  # (3,)
    upper_m: Array  # (3,)
    max_step_m: float

    @classmethod
    def of(cls, spec: Spec) -> Room:
        """The guardrail's workspace, a little smaller."""
        workspace = spec.workspace
        return cls(workspace.lower_m + EDGE_M, workspace.upper_m - EDGE_M, spec.tool_displacement.max_m_per_step)

    def inside(self, point: Array) -> Array:
        """The nearest point (3,) of the room."""
        return np.clip(point, self.lower_m, self.upper_m)

    def sample(self, rng: np.random.Generator) -> Array:
        """A random point (3,), low ones twice as likely as an even spread would have them."""
        point = rng.uniform(self.lower_m, self.upper_m)
        if rng.random() < 0.5:
            point[2] = rng.uniform(self.lower_m[2], 0.15)
        return point

    def action(self, sight: Sight, wanted: Array, width: float, longest_m: float | None = None) -> Array:
        """The action that moves the target by `wanted`, shortened to longest_m and kept inside the room."""
        longest = min(self.max_step_m, longest_m or self.max_step_m)
        wanted = wanted * min(1.0, longest / max(float(np.linalg.norm(wanted)), 1e-9))
        return np.append(self.inside(sight.tool_target + wanted) - sight.tool_target, width)


Mix = tuple[tuple[Callable[[np.random.Generator, Room, Sight], Behaviour], float], ...]
"""Behaviours, and the share of episodes that each gets."""


def push_blocks(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Go behind a block, push it some cm, rise, take another; sometimes with the gripper opening and closing."""
    noise_m = room.max_step_m * rng.choice([0.05, 0.15, 0.35])
    speed_m = rng.uniform(0.3, 1.0) * room.max_step_m
    plays_gripper = rng.random() < 0.4
    while True:
        width = float(rng.uniform(0.0, 0.08)) if plays_gripper else 0.0
        block = sight.blocks[rng.integers(len(sight.blocks))].copy()
        heading = rng.uniform(-np.pi, np.pi)
        ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
        low = np.array([block[0], block[1], rng.uniform(room.lower_m[2], 0.05)])
        begin, end = low - BEHIND_BLOCK_M * ahead, low + rng.uniform(-0.01, 0.12) * ahead
        over = begin.copy()
        over[2] = APPROACH_HEIGHT_M + rng.uniform(-0.03, 0.08)
        for waypoint, step_m in ((over, room.max_step_m), (begin, room.max_step_m), (end, speed_m)):
            sight = yield from _go(rng, room, sight, waypoint, step_m, noise_m, width)
        if plays_gripper and rng.random() < 0.5:  # at the block
            width = float(rng.uniform(0.0, 0.08))
            sight = yield room.action(sight, rng.normal(0, 0.002, 3), width)
        rise = np.array([0.0, 0.0, rng.choice([0.0, 0.05, 0.1])])
        sight = yield from _go(rng, room, sight, sight.tool_target + rise, speed_m, noise_m, width)


def reach_goals(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Go to a point with noise, in ever smaller steps near it, hover there, go to the next."""
    width = float(rng.choice([0.0, rng.uniform(0.0, 0.08)]))
    while True:
        goal = room.sample(rng)
        speed_m, gain = rng.uniform(0.4, 1.0) * room.max_step_m, rng.uniform(0.3, 0.9)
        noise = rng.choice([0.05, 0.2, 0.4])
        for _ in range(30):
            left = goal - sight.tool_target
            distance = float(np.linalg.norm(left))
            if distance < 0.006:
                break
            step = _shorter(gain * left if distance < 0.06 else left, speed_m)
            scatter_m = noise * max(float(np.linalg.norm(step)), 0.003)
            sight = yield room.action(sight, step + rng.normal(0, scatter_m, 3), width)
        hover_m = float(rng.choice([0.0, 0.001, 0.004]))
        for _ in range(rng.integers(2, 9)):
            sight = yield room.action(sight, rng.normal(0, hover_m, 3) if hover_m else np.zeros(3), width)


def wander(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Ornstein-Uhlenbeck velocities of random strength, turned back at the walls, with holds in between."""
    scale_m, memory = rng.uniform(0.15, 0.9) * room.max_step_m, rng.uniform(0.3, 0.9)
    width, velocity = 0.0, rng.normal(0, scale_m, 3)
    while True:
        if rng.random() < 0.06:
            width = float(rng.choice([0.0, rng.uniform(0.0, 0.08)]))
        if rng.random() < 0.04:
            for _ in range(rng.integers(2, 6)):
                sight = yield np.array([0.0, 0.0, 0.0, width])
        velocity = memory * velocity + np.sqrt(1 - memory**2) * rng.normal(0, scale_m, 3)
        ahead = sight.tool_target + velocity
        velocity = np.where((ahead < room.lower_m) | (ahead > room.upper_m), -velocity, velocity)
        sight = yield room.action(sight, velocity, width)


MIX: Mix = (
    (push_blocks, 0.35),
    (reach_goals, 0.35),
    (wander, 0.30),
)
"""Each behaviour and the share of episodes it gets."""


def _go(
    rng: np.random.Generator, room: Room, sight: Sight, to: Array, step_m: float, noise_m: float, width: float
) -> Generator[Array, Sight, Sight]:
    """At most 20 noisy steps towards a point (3,), until 12 mm from it; returns the last Sight."""
    to = room.inside(to)
    for _ in range(20):
        left = to - sight.tool_target
        if np.linalg.norm(left) < 0.012:
            break
        sight = yield room.action(sight, _shorter(left, step_m) + rng.normal(0, noise_m, 3), width)
    return sight


def _shorter(vector: Array, longest_m: float) -> Array:
    """The vector, shortened to longest_m when it is longer."""
    return vector * min(1.0, longest_m / max(float(np.linalg.norm(vector)), 1e-9))
