"""Fresh episodes to judge the world model on: the agent in closed loop, and smooth random actions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ami_calibration.errors import CalibrationError
from ami_robot.configurator.configurator import TaskSettings, build_agent, load_task
from ami_robot.perception.camera import CameraModel
from ami_robot.perception.checkpoint import Checkpoint, load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.pool import ONE_THREAD, results
from ami_robot.types import Array
from ami_robot.world_model.model import LatentWorldModel
from ami_sim.agent_actor import AgentActor, pictured_goal
from ami_sim.attempt import Actor, scripted
from ami_sim.collect import ATTEMPTS, FIRST_SEED
from ami_sim.env import Observation, TabletopEnv
from ami_sim.evaluation.run import one_thread
from ami_sim.evaluation.suites import Suite, parse_suites
from ami_sim.policies import Room, wander
from ami_sim.tasks import Task

LENGTH = 0.6
"""Of an episode of the suite: the agent is on its way for most of that, and stands at its goal in the last steps."""

FIRST_SCENE, SCENES_PER_SEED, SEEDS = 500_000, 10_000, 50
"""Scenes that neither training data (from FIRST_SEED on) nor benchmarks (below) are made of."""

assert FIRST_SCENE + SEEDS * SCENES_PER_SEED <= FIRST_SEED


@dataclass(frozen=True, eq=False)
class Rollout:
    """What was seen and done in one episode of T steps."""

    by_agent: bool  # or by smooth random actions
    image_latents: Array  # (T + 1, D)
    proprio: Array  # (T + 1, PROPRIO_DIM), m and m/s
    joint_positions: Array  # (T + 1, 7), rad
    actions: Array  # (T, ACTION_DIM), m: by how much the tool target really moved, and the gripper width
    block: Array | None = None  # (T + 1, 3), m in base_link: the block's centre; None where there is not just one


@dataclass(frozen=True)
class Source:
    """What rollouts are of, in words that another process understands."""

    checkpoint: Path | None  # folder; None: the one that ships
    task: Path
    suites: tuple[str, ...]
    fewest_steps: int  # an episode of fewer is of no use


def collect_rollouts(
    source: Source, episodes: int, seed: int, workers: int, on_episode: Callable[[], object] = lambda: None
) -> list[Rollout]:
    """Two episodes by the agent to one of random actions, the suites in turn, on the scenes of the seed.

    Raises CalibrationError: there are no such scenes, or an episode was too short.
    """
    if not (0 <= seed < SEEDS and 0 < episodes <= SCENES_PER_SEED):
        raise CalibrationError(f"seed must lie in 0..{SEEDS - 1} and episodes in 1..{SCENES_PER_SEED}.")
    os.environ.update(ONE_THREAD)
    made: dict[int, Rollout] = {}
    with closing(results(partial(_in_worker, source, seed), range(episodes), workers, one_thread)) as done:
        for number, rollout in done:
            made[number] = rollout
            on_episode()
    return [made[number] for number in range(episodes)]


def _in_worker(source: Source, seed: int, number: int) -> Rollout:
    return _rollouts_of(source).episode(number, seed)


@lru_cache(maxsize=1)
def _rollouts_of(source: Source) -> Rollouts:
    """Those of this process."""
    suites = parse_suites(source.suites, with_shifts=False)
    return Rollouts(load_checkpoint(source.checkpoint), load_task(source.task), suites, source.fewest_steps)


class Rollouts:
    """An environment and an agent without a bound on its model's error: that is what is to be found."""

    def __init__(self, checkpoint: Checkpoint, task: TaskSettings, suites: Sequence[Suite], fewest_steps: int) -> None:
        """The agent of a task file on suites in turn; an episode of fewer steps is of no use."""
        self._world_model = LatentWorldModel(checkpoint)
        self._encoder = ImageEncoder(checkpoint)
        self._settings, self._suites, self._fewest_steps = task, suites, fewest_steps
        self._camera = checkpoint.training_camera
        self._env = TabletopEnv(fast=True, camera=self._camera)

    def close(self) -> None:
        """Give the simulation back."""
        self._env.close()

    def episode(self, number: int, seed: int) -> Rollout:
        """The episode of that number among those of a seed."""
        suite = self._suites[number // 3 % len(self._suites)]
        return self._episode(suite, FIRST_SCENE + seed * SCENES_PER_SEED + number, by_agent=number % 3 != 2)

    def _episode(self, suite: Suite, seed: int, by_agent: bool) -> Rollout:
        """An episode counts up to where the guardrail disarmed. One that is too short is tried again at random; the
        agent would do the same again.
        """
        task, camera = suite.episode(seed, self._camera)
        for attempt in range(1 if by_agent else ATTEMPTS):
            actor = self._agent(task, camera) if by_agent else self._at_random(seed, attempt)
            frames, blocks, actions = self._played(task, camera, actor)
            if len(actions) >= self._fewest_steps:
                return self._rollout(by_agent, frames, blocks, actions)
        raise CalibrationError(
            f"the guardrail disarmed within {self._fewest_steps} steps in scene {seed} of {suite.name}; "
            "nothing was calibrated."
        )

    def _played(
        self, task: Task, camera: CameraModel, actor: Actor
    ) -> tuple[list[Observation], list[Array], list[Array]]:
        """Observations and where the blocks are (one more of both) and what was really done, up to where the guardrail
        disarmed.
        """
        env = self._env
        observation, _ = env.reset(seed=task.scene.seed, options={"scene": task.scene, "camera": camera})
        assert env.arm is not None  # since the reset
        world = env.arm.world
        frames, blocks, actions = [observation], [world.block_poses()[0]], []
        for _ in range(round(LENGTH * task.steps)):
            before, action = env.tool_target, actor(env, frames[-1])
            observation, _, disarmed, _, _ = env.step(action)
            if disarmed:
                break
            frames.append(observation)
            blocks.append(world.block_poses()[0])
            actions.append(np.append(env.tool_target - before, action[-1]))
        return frames, blocks, actions

    def _at_random(self, seed: int, attempt: int) -> Actor:
        rng, room = np.random.default_rng([seed, attempt]), Room.of(self._env.limits)
        return scripted(lambda sight: wander(rng, room, sight))

    def _agent(self, task: Task, camera: CameraModel) -> Actor:
        agent = build_agent(self._settings, self._env.limits, self._env.kinematics, self._world_model)
        agent.monitor = None
        if refusal := agent.pursue(pictured_goal(self._encoder, task.goal_image(camera))):
            raise CalibrationError(f"the agent would not take up the goal of {task.scene.seed}: {refusal.reason}.")
        return AgentActor(agent, self._encoder)

    def _rollout(self, by_agent: bool, frames: list[Observation], blocks: list[Array], actions: list[Array]) -> Rollout:
        return Rollout(
            by_agent,
            np.stack([self._encoder.encode(frame["image"]) for frame in frames]),
            np.stack([frame["proprio"] for frame in frames]).astype(np.float64),
            np.stack([frame["joint_positions"] for frame in frames]).astype(np.float64),
            np.stack(actions),
            np.stack(blocks)[:, 0] if len(blocks[0]) == 1 else None,
        )
