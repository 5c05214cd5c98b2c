"""Behaviours for data in which blocks are pushed, gripped, carried, dropped and missed, and the scenes they play in.

What the experts do, to random places and with noise, and what goes wrong on purpose: a model that has only seen grasps
succeed cannot tell those that will not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ami_robot.perception.camera import CLOSE_CAMERA, CameraModel, load_camera
from ami_robot.types import Array
from ami_sim.experts import OPEN_STEPS, PUSH_STEP_M, go, pick, push_to, put, wait
from ami_sim.policies import Behaviour, Mix, Room, Sight, reach_goals, wander
from ami_sim.scene import Scene
from ami_sim.shifts import moved, others
from ami_sim.tasks import OPEN_WIDTH_M, PLACE_LOWER_M, PLACE_UPPER_M, one_block, place_from

RANDOMISED_SHARE = 0.5  # of episodes, in which colours, light and camera are drawn anew
CAMERA_M, CAMERA_DEG = 0.02, 3.0  # at most
DISTRACTOR_SHARE = 0.2  # of all episodes, with one or two blocks more
PUSH_M, CARRY_M = (0.03, 0.20), (0.05, 0.30)
NOISES = (0.05, 0.15, 0.35)  # standard deviations, as shares of a step
NOISE_M = 0.003  # a step counts as this long at least
SOFTEST_GRIP_M = 0.035  # the widest a grip closes to: less than any block
MISS_M = (0.015, 0.05)  # by how much a grasp goes wrong


def push_about(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Push the block to one place after another, at some speed; now and then leave it half-way."""
    return _shaken(rng, room, sight, _push_about(rng, room, sight))


def carry_about(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Take the block, carry it through the air, put it down or let it fall, take it again."""
    return _shaken(rng, room, sight, _carry_about(rng, room, sight))


def fumble(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    """Miss the block with the hand, or come down on it with the fingers half closed; try again, properly or not."""
    return _shaken(rng, room, sight, _fumble(rng, room, sight))


MIX: Mix = (
    (push_about, 0.28),
    (carry_about, 0.34),
    (fumble, 0.16),
    (reach_goals, 0.12),
    (wander, 0.10),
)
"""Each behaviour and the share of episodes it gets."""


@dataclass(frozen=True, eq=False)
class Setting:
    """Where an episode of MIX plays; the scene's first block is the one to play with."""

    scene: Scene
    camera: CameraModel
    randomised: bool  # colours, light and camera


def setting(seed: int) -> Setting:
    """The setting of a seed, always the same."""
    rng = np.random.default_rng([seed, 0])
    scene, camera = one_block(Scene.from_seed(seed), rng), load_camera(CLOSE_CAMERA)
    if rng.random() < DISTRACTOR_SHARE:
        more = others(scene, (scene.goal_position,), int(rng.integers(1, 3)), rng)
        scene = replace(scene, blocks=scene.blocks + more)
    randomised = bool(rng.random() < RANDOMISED_SHARE)
    if randomised:
        scene = _repainted(scene, rng)
        camera = moved(camera, rng.uniform(0, CAMERA_M), rng.uniform(0, CAMERA_DEG), rng)
    return Setting(scene, camera, randomised)


def _repainted(scene: Scene, rng: np.random.Generator) -> Scene:
    """Other colours for blocks and table, and another lamp."""
    blocks = tuple(replace(block, rgba=(*rng.uniform(0.05, 0.95, 3).tolist(), 1.0)) for block in scene.blocks)
    table = rng.uniform(0.3, 0.75) + rng.uniform(-0.08, 0.08, 3)
    return replace(
        scene,
        blocks=blocks,
        table_rgba=(*table.tolist(), 1.0),
        light_direction=np.array([rng.uniform(-1.0, 1.0), rng.uniform(-1.5, 1.5), rng.uniform(1.0, 2.5)]),
        light_ambient=float(rng.uniform(0.35, 0.75)),
        light_diffuse=float(rng.uniform(0.35, 0.6)),
    )


def _push_about(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    step_m = PUSH_STEP_M * rng.uniform(0.6, 1.6)
    while True:
        place = place_from(_on_table(sight.blocks[0]), PUSH_M, rng)
        patience = 12 if rng.random() < 0.2 else 40
        sight = yield from push_to(room, sight, place, step_m, patience)
        sight = yield from wait(sight, 0.0, int(rng.integers(0, 4)))


def _carry_about(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    while True:
        sight = yield from pick(room, sight)
        for _ in range(rng.integers(0, 3)):
            sight = yield from go(room, sight, room.sample(rng), 0.0, patience_steps=12)
            sight = yield from wait(sight, 0.0, int(rng.integers(0, 6)))
        if rng.random() < 0.2:
            sight = yield from wait(sight, OPEN_WIDTH_M, OPEN_STEPS)  # it falls
        else:
            place = place_from(_on_table(sight.blocks[0]), CARRY_M, rng)
            sight = yield from put(room, sight, place)


def _fumble(rng: np.random.Generator, room: Room, sight: Sight) -> Behaviour:
    while True:
        heading, miss_m = rng.uniform(-np.pi, np.pi), rng.uniform(*MISS_M)
        aside = miss_m * np.array([np.cos(heading), np.sin(heading), 0.0])
        width = OPEN_WIDTH_M if rng.random() < 0.7 else rng.uniform(0.0, OPEN_WIDTH_M)
        sight = yield from pick(room, sight, aside, width)
        if rng.random() < 0.7:
            sight = yield from pick(room, sight)
            sight = yield from wait(sight, 0.0, int(rng.integers(0, 6)))
        if rng.random() < 0.5:
            sight = yield from wait(sight, OPEN_WIDTH_M, OPEN_STEPS)


def _shaken(rng: np.random.Generator, room: Room, sight: Sight, script: Behaviour) -> Behaviour:
    """The script with noise on every displacement, and with a grip of its own between closed and open."""
    noise = rng.choice(NOISES)
    closed_m = rng.choice([0.0, rng.uniform(0.0, SOFTEST_GRIP_M)])
    action = next(script)
    while True:
        scatter_m = noise * max(float(np.linalg.norm(action[:3])), NOISE_M)
        width = closed_m + (1 - closed_m / OPEN_WIDTH_M) * action[3]
        sight = yield room.action(sight, action[:3] + rng.normal(0, scatter_m, 3), width)
        action = script.send(sight)


def _on_table(block: Array) -> Array:
    """The nearest place (3,) to the block from which place_from finds another."""
    return np.append(np.clip(block[:2], PLACE_LOWER_M, PLACE_UPPER_M), block[2])
