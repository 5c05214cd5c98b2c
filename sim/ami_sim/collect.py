"""Collect episodes in parallel processes; what is already there is kept.

Arrays of an episode of T steps: `images` (T+1, 64, 64, 3) uint8 rgb; `proprio` (T+1, 10) float32 as in
ami_robot.types; `actions` (T, 4) float32: by how much the tool target really moved (0 when the guardrail refused) and
the gripper width asked for; `joint_positions` (T+1, 7) float32 rad; `blocks` (T+1, B, 3) float32 m: block centres;
`behaviour` () int64: index into the manifest's `behaviours`; `seed` () int64: of the scene.

Two mixes: `reach`, with three blocks, and `manipulation`, where blocks are gripped, with one (B = 1; others that stand
about are not in the arrays) and three arrays more: `block_orientations` (T+1, B, 4) float32, quaternions x y z w;
`touching` (T+1,) bool: whether the arm touches the block; `randomised` () bool: colours, light and camera.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ami_robot import __version__
from ami_robot.episodes.card import write_dataset_card
from ami_robot.episodes.shards import (
    MANIFEST,
    Episode,
    EpisodesError,
    EpisodeSet,
    content_sha256,
    read_manifest,
    shard_path,
    write_manifest,
    write_shard,
)
from ami_robot.perception.view import CLOSE_VIEW, FRONT_VIEW, training_camera
from ami_robot.pool import ONE_THREAD, end_with_parent
from ami_robot.safety.spec import load_spec
from ami_robot.types import MAX_COMMAND_DELAY_S
from ami_sim import play, policies
from ami_sim.env import TabletopEnv
from ami_sim.policies import Mix, Room, Sight
from ami_sim.world import World

FIRST_SEED = 1_000_000
"""Scenes of lower seeds are never collected: they are for tests and evaluation."""

SEEDS_PER_SET = 1_000_000
MIXES: dict[str, Mix] = {"reach": policies.MIX, "manipulation": play.MIX}
VIEWS = {"reach": FRONT_VIEW, "manipulation": CLOSE_VIEW}
TOUCH_M = 0.001  # from the arm to a block
ATTEMPTS = 10  # at an episode that ends early because the guardrail disarmed


@dataclass(frozen=True)
class Recipe:
    """All that decides what is collected."""

    episodes: int
    steps: int
    seed: int
    max_command_delay_s: float = MAX_COMMAND_DELAY_S
    episodes_per_shard: int = 10
    mix: str = "reach"  # of MIXES

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.episodes // self.episodes_per_shard)

    def episodes_of(self, shard: int) -> range:
        """The numbers of the episodes in a shard."""
        size = self.episodes_per_shard
        return range(shard * size, min((shard + 1) * size, self.episodes))


def collect(folder: Path, recipe: Recipe, workers: int, on_episodes: Callable[[int], None] = lambda n: None) -> dict:
    """Collect what is missing and finish the manifest, which is returned; on_episodes hears of each shard's episodes.

    Raises EpisodesError when the folder holds another recipe's data, KeyboardInterrupt when interrupted: whole shards
    stay, and the same call goes on from there.
    """
    manifest = _begin(folder, recipe)
    missing = [shard for shard in range(recipe.shards) if not shard_path(folder, shard).exists()]
    on_episodes(recipe.episodes - sum(len(recipe.episodes_of(shard)) for shard in missing))
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(stop,))
    try:
        futures = {pool.submit(_work, folder, recipe, shard): shard for shard in missing}
        for future in as_completed(futures):
            future.result()
            on_episodes(len(recipe.episodes_of(futures[future])))
    finally:
        stop.set()  # an interrupted worker leaves its shard after the running episode
        pool.shutdown(cancel_futures=True)
    manifest["content_sha256"] = content_sha256(folder)
    write_manifest(folder, manifest)
    write_dataset_card(EpisodeSet.open(folder), recipe.mix)
    return manifest


def collect_shard(folder: Path, recipe: Recipe, shard: int, stop: Callable[[], bool] = lambda: False) -> None:
    """Collect one shard's episodes and write it, unless told to stop between two of them."""
    camera = training_camera(VIEWS[recipe.mix])
    env = TabletopEnv(max_command_delay_s=recipe.max_command_delay_s, fast=True, camera=camera)
    first, episodes = FIRST_SEED + SEEDS_PER_SET * recipe.seed, []
    try:
        for number in recipe.episodes_of(shard):
            if stop():
                return
            episodes.append(collect_episode(env, first + number, recipe.steps, recipe.mix))
    finally:
        env.close()
    write_shard(folder, shard, episodes)


def collect_episode(env: TabletopEnv, seed: int, steps: int, mix: str = "reach") -> Episode:
    """The episode of a seed, at least FIRST_SEED. An attempt that the guardrail ends early is made again otherwise."""
    if seed < FIRST_SEED:
        raise ValueError(f"seeds below {FIRST_SEED} are kept for tests and evaluation, got {seed}.")
    for attempt in range(ATTEMPTS):
        episode = _attempt(env, seed, steps, mix, np.random.default_rng([seed, attempt]))
        if episode is not None:
            return episode
    raise RuntimeError(f"the guardrail disarmed in each of {ATTEMPTS} attempts at the episode of seed {seed}.")


def _attempt(env: TabletopEnv, seed: int, steps: int, mix: str, rng: np.random.Generator) -> Episode | None:
    """One episode, or None when the guardrail disarmed before its end."""
    setting = play.setting(seed) if mix == "manipulation" else None
    options = {"scene": setting.scene, "camera": setting.camera} if setting else None
    observation, _ = env.reset(seed=seed, options=options)
    assert env.arm is not None
    frames, actions, seen = [observation], [], [_seen(env.arm.world, mix)]
    number = int(rng.choice(len(MIXES[mix]), p=[share for _, share in MIXES[mix]]))
    behaviour, _ = MIXES[mix][number]
    script = behaviour(rng, Room.of(env.limits), Sight(env.tool_target, env.arm.world.block_poses()[0]))
    action = next(script)
    for _ in range(steps):
        before = env.tool_target
        observation, _, disarmed, _, _ = env.step(action)
        if disarmed:
            return None
        frames.append(observation)
        seen.append(_seen(env.arm.world, mix))
        actions.append(np.append(env.tool_target - before, action[3]))
        action = script.send(Sight(env.tool_target, env.arm.world.block_poses()[0]))
    return {
        "images": np.stack([frame["image"] for frame in frames]),
        "proprio": np.stack([frame["proprio"] for frame in frames]),
        "actions": np.array(actions, np.float32),
        "joint_positions": np.stack([frame["joint_positions"] for frame in frames]),
        **{name: np.stack([now[name] for now in seen]) for name in seen[0]},
        "behaviour": np.array(number),
        "seed": np.array(seed),
        **({"randomised": np.array(setting.randomised)} if setting else {}),
    }


def _seen(world: World, mix: str) -> dict[str, np.ndarray]:
    """What is stored of the blocks now."""
    positions, orientations = world.block_poses()
    if mix == "reach":
        return {"blocks": positions.astype(np.float32)}
    return {
        "blocks": positions[:1].astype(np.float32),
        "block_orientations": orientations[:1].astype(np.float32),
        "touching": np.array(world.clearance_to_block(0, TOUCH_M) < TOUCH_M),
    }


def _begin(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Make the folder, or check that what it holds is a part of this recipe's data."""
    manifest: dict[str, Any] = {
        "recipe": {**asdict(recipe), "mix": {policy.__name__: share for policy, share in MIXES[recipe.mix]}},
        "behaviours": [policy.__name__ for policy, _ in MIXES[recipe.mix]],
        "preprocessing_id": VIEWS[recipe.mix],
        "shards": recipe.shards,
        "guardrails_sha256": load_spec().sha256,
        "versions": {
            "ami-robot": __version__,
            **{name: version(name) for name in ("numpy", "pybullet", "opencv-python")},
        },
    }
    if (folder / MANIFEST).exists():
        present = read_manifest(folder)
        for key, value in manifest.items():
            if present.get(key) != value:
                raise EpisodesError(
                    f"{folder} holds a data set with other {key} ({present.get(key)}, asked for {value}); "
                    "choose an empty folder or the same options."
                )
    elif folder.is_dir() and any(folder.iterdir()):
        raise EpisodesError(f"{folder} is not empty and holds no data set; choose an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, manifest)
    return manifest


_stop: Event | None = None  # of a worker process, set by the parent


def _start_worker(stop: Event) -> None:
    """One thread for each process; Ctrl-C is the parent's business."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(0)


def _work(folder: Path, recipe: Recipe, shard: int) -> None:
    assert _stop is not None, "only in a worker process"
    collect_shard(folder, recipe, shard, _stop.is_set)
