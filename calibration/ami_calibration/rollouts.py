"""Fresh episodes to judge the world model on: the shipped agent in closed loop, and smooth random actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ami_calibration.errors import CalibrationError
from ami_robot.agent import Agent
from ami_robot.configurator.configurator import TaskSettings, build_agent
from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.types import Array, Refusal
from ami_robot.world_model.model import LatentWorldModel
from ami_sim.agent_actor import latent_of, pictured_goal
from ami_sim.collect import ATTEMPTS, FIRST_SEED
from ami_sim.env import TabletopEnv
from ami_sim.policies import Room, Sight, wander
from ami_sim.world import render_goal_image

STEPS = 24
"""Of 0.2 s in each episode: the agent is on its way for most of them, and stands at its goal in the last ones."""

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


class Rollouts:
    """An environment and the shipped agent, without a bound on its model's error: that is what is to be found."""

    def __init__(self, checkpoint: Checkpoint, task: TaskSettings) -> None:
        self.world_model = LatentWorldModel(checkpoint)
        self._encoder = ImageEncoder(checkpoint)
        self._task = task
        self._camera = checkpoint.training_camera
        self._env = TabletopEnv(fast=True, camera=self._camera)

    def close(self) -> None:
        """Give the simulation back."""
        self._env.close()

    def run(self, episodes: int, seed: int) -> Iterator[Rollout]:
        """Two episodes by the agent to one of random actions, on the scenes that belong to the seed."""
        if not (0 <= seed < SEEDS and 0 < episodes <= SCENES_PER_SEED):
            raise CalibrationError(f"seed must lie in 0..{SEEDS - 1} and episodes in 1..{SCENES_PER_SEED}.")
        first = FIRST_SCENE + seed * SCENES_PER_SEED
        for number in range(episodes):
            yield self._episode(first + number, by_agent=number % 3 != 2)

    def _episode(self, scene_seed: int, by_agent: bool) -> Rollout:
        """What the guardrail ends early is tried again at random; the agent would do the same again, so it is not."""
        for attempt in range(1 if by_agent else ATTEMPTS):
            rollout = self._by_agent(scene_seed) if by_agent else self._at_random(scene_seed, attempt)
            if rollout is not None:
                return rollout
        raise CalibrationError(f"the guardrail disarmed in each attempt at scene {scene_seed}; nothing was calibrated.")

    def _at_random(self, scene_seed: int, attempt: int) -> Rollout | None:
        observation, _ = self._env.reset(seed=scene_seed)
        script = wander(np.random.default_rng([scene_seed, attempt]), Room.of(self._env.limits), self._sight())
        action, frames, actions = next(script), [observation], []
        for _ in range(STEPS):
            frame, done = self._step(action)
            if frame is None:
                return None
            frames.append(frame)
            actions.append(done)
            action = script.send(self._sight())
        return self._rollout(False, frames, actions)

    def _by_agent(self, scene_seed: int) -> Rollout | None:
        """As in the graph: the plan made from the frame of one step is carried out in the next."""
        observation, _ = self._env.reset(seed=scene_seed)
        agent = self._agent()
        report, action, frames, actions = self._env.report, np.zeros(4), [observation], []
        for _ in range(STEPS):
            assert self._env.arm is not None  # there is one after reset
            latent, held = latent_of(self._encoder, frames[-1], self._env.arm.time_ns), report
            frame, done = self._step(action)
            if frame is None:
                return None
            report = self._env.report
            frames.append(frame)
            actions.append(done)
            for at, stamp_ns in ((held, latent.stamp_ns), (report, latent.stamp_ns + 1)):
                agent.on_report(at.target_joint_positions, at.target_tool_position, at.gripper_width, stamp_ns)
            agent.on_latent(latent)
            plan = agent.act(latent.stamp_ns + 1)
            action = np.zeros(4) if isinstance(plan, Refusal) else plan.actions[0].copy()
            action[-1] = report.gripper_width
        return self._rollout(True, frames, actions)

    def _agent(self) -> Agent:
        agent = build_agent(self._task, self._env.limits, self._env.kinematics, self.world_model)
        agent.monitor = None
        goal = pictured_goal(self._encoder, render_goal_image(self._env.scene, self._camera))
        if refusal := agent.pursue(goal):
            raise CalibrationError(f"the agent would not take up the goal of {self._env.scene.seed}: {refusal.reason}.")
        return agent

    def _step(self, action: Array) -> tuple[dict[str, Any] | None, Array]:
        """The next observation, None when the guardrail disarmed, and what was really done (ACTION_DIM,)."""
        before = self._env.tool_target
        observation, _, disarmed, _, _ = self._env.step(action)
        return None if disarmed else observation, np.append(self._env.tool_target - before, action[-1])

    def _sight(self) -> Sight:
        assert self._env.arm is not None
        return Sight(self._env.tool_target, self._env.arm.world.block_poses()[0])

    def _rollout(self, by_agent: bool, frames: list[dict[str, Any]], actions: list[Array]) -> Rollout:
        return Rollout(
            by_agent,
            np.stack([self._encoder.encode(frame["image"]) for frame in frames]),
            np.stack([frame["proprio"] for frame in frames]).astype(np.float64),
            np.stack([frame["joint_positions"] for frame in frames]).astype(np.float64),
            np.stack(actions),
        )
