"""What is drawn and where everything stands at the start of an episode: a pure function of a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array

START_LOWER_M, START_UPPER_M = np.array([0.34, -0.24, 0.05]), np.array([0.64, 0.24, 0.30])
"""Starts and goals of the tool are drawn from this box, well inside the guardrail's workspace."""

MIN_START_GOAL_DISTANCE_M = 0.12
BLOCK_LOWER_M, BLOCK_UPPER_M = np.array([0.36, -0.22]), np.array([0.62, 0.22])
BLOCK_SPACING_M = 0.10  # between the centres of two blocks, so that none overlap at any yaw
BLOCK_TOOL_SPACING_M = 0.09  # between a block and the tool above the table, at the start and at the goal
BLOCK_COLOURS = ((0.85, 0.12, 0.10), (0.10, 0.55, 0.20), (0.12, 0.25, 0.85))  # red, green, blue
IK_TOLERANCE_M = 1e-4


@dataclass(frozen=True, eq=False)
class Block:
    """A coloured cube lying on the table."""

    half_extent_m: float
    position: Array  # (3,), m: the centre in base_link
    yaw: float  # rad
    rgba: tuple[float, float, float, float]
    friction: float = 0.5  # multiplied with that of what it touches: 0.5 of the table, 1.0 of the fingers
    stiffness_n_per_m: float = 3e3  # of a contact: foam rubber, since a hard block under the hand is a wedge


@dataclass(frozen=True, eq=False)
class Scene:
    """One start, one goal, some blocks, one light."""

    seed: int
    start_joint_positions: Array  # (7,), rad
    goal_joint_positions: Array  # (7,), rad
    goal_position: Array  # (3,), m: the tool at goal_joint_positions
    blocks: tuple[Block, ...]
    light_direction: Array  # (3,), from the scene towards the light
    light_ambient: float  # 0..1
    light_diffuse: float  # 0..1
    table_rgba: tuple[float, float, float, float]

    @classmethod
    def from_seed(cls, seed: int) -> Scene:
        """The scene of this seed, always the same; starts and goals are at least MIN_START_GOAL_DISTANCE_M apart."""
        rng, kinematics = np.random.default_rng(seed), Kinematics()
        start = reachable(rng, kinematics)
        goal = reachable(rng, kinematics)
        while np.linalg.norm(goal[1] - start[1]) < MIN_START_GOAL_DISTANCE_M:
            goal = reachable(rng, kinematics)
        return cls(
            seed=seed,
            start_joint_positions=start[0],
            goal_joint_positions=goal[0],
            goal_position=goal[1],
            blocks=_blocks(rng, (start[1], goal[1])),
            light_direction=np.array([rng.uniform(-0.5, 1.0), rng.uniform(-1.0, 1.0), rng.uniform(1.5, 2.5)]),
            light_ambient=float(rng.uniform(0.45, 0.65)),
            light_diffuse=float(rng.uniform(0.35, 0.6)),
            table_rgba=(*(rng.uniform(0.45, 0.6) + np.array([0.05, 0.0, -0.08])).tolist(), 1.0),
        )

    def at_goal(self) -> Scene:
        """The same scene with the arm starting where the goal is."""
        return replace(self, start_joint_positions=self.goal_joint_positions)


def reachable(rng: np.random.Generator, kinematics: Kinematics) -> tuple[Array, Array]:
    """Joint positions (7,), rad, and tool position (3,), m, of a random point of the box that the arm reaches."""
    for _ in range(100):
        joints, error_m = kinematics.inverse(rng.uniform(START_LOWER_M, START_UPPER_M))
        if error_m < IK_TOLERANCE_M:
            return joints, kinematics.tool_position(joints)
    raise RuntimeError(f"inverse kinematics reached none of 100 points between {START_LOWER_M} and {START_UPPER_M} m.")


def _blocks(rng: np.random.Generator, tools: tuple[Array, ...]) -> tuple[Block, ...]:
    """One block of each colour, clear of one another and of the tool positions given, (3,) m each."""
    taken = [(tool[:2], BLOCK_TOOL_SPACING_M) for tool in tools]
    blocks = []
    for colour in BLOCK_COLOURS:
        place = rng.uniform(BLOCK_LOWER_M, BLOCK_UPPER_M)
        while any(np.linalg.norm(place - other) < spacing for other, spacing in taken):
            place = rng.uniform(BLOCK_LOWER_M, BLOCK_UPPER_M)
        taken.append((place, BLOCK_SPACING_M))
        half = float(rng.uniform(0.023, 0.032))
        rgb = np.clip(np.array(colour) + rng.uniform(-0.08, 0.08, 3), 0, 1)
        blocks.append(Block(half, np.array([*place, half]), float(rng.uniform(-np.pi, np.pi)), (*rgb.tolist(), 1.0)))
    return tuple(blocks)
