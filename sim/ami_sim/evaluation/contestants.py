"""Who acts in the rows of an evaluation: controls, and agents that are shown the goal as a picture only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from ami_robot.agent import Agent
from ami_robot.configurator.configurator import CHECKPOINTS, TaskSettings, build_agent, load_task
from ami_robot.perception.camera import CameraModel, load_camera
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, load_checkpoint, read_description
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import CALIBRATE, ModelErrorBound, load_model_error
from ami_robot.safety.monitor import Monitor
from ami_robot.safety.spec import load_spec
from ami_robot.types import ACTION_DIM, Refusal
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.protocol import WorldModel
from ami_sim.agent_actor import AgentActor, pictured_goal
from ami_sim.attempt import Actor, scripted
from ami_sim.env import TabletopEnv
from ami_sim.evaluation.suites import EvaluationError
from ami_sim.experts import EXPERTS
from ami_sim.policies import Room
from ami_sim.tasks import Task

CONTROLS = {
    "hold": "never moves",
    "random": "a random action each time",
    "expert": "a script that is told where everything is",
}


@dataclass(frozen=True)
class Entry:
    """The rows of an evaluation, and what they are made of."""

    controls: tuple[str, ...]  # of CONTROLS
    tasks: tuple[Path, ...]  # a task file for each agent
    checkpoint: Path | None  # folder; None: the one that ships
    full: bool  # the guardrail sees every joint state, with the motors' torques, as in the graph

    @property
    def agents(self) -> dict[str, Path]:
        """Task files by the name of their row."""
        return {path.stem: path for path in self.tasks}

    @property
    def rows(self) -> tuple[str, ...]:
        """Agents first."""
        return (*self.agents, *self.controls)


class Contestants:
    """Makes the actor of any row for any episode. One for each process, since it loads the models."""

    def __init__(self, entry: Entry) -> None:
        """Read task files and checkpoint; raises their errors."""
        self.entry = entry
        self.camera = self._checkpoint.training_camera if entry.tasks else load_camera()
        self.env = TabletopEnv(fast=not entry.full, feels=entry.full, camera=self.camera)
        self.tasks = {name: load_task(path) for name, path in entry.agents.items()}
        self._bounds = {name: _model_error(task) for name, task in self.tasks.items()}
        self._spec, self._kinematics = load_spec(), Kinematics()

    @cached_property
    def encoder(self) -> ImageEncoder:
        """Of the checkpoint."""
        return ImageEncoder(self._checkpoint)

    def actor(self, row: str, task: Task, camera: CameraModel) -> Actor:
        """Raises EvaluationError when an agent would not take up the goal."""
        if row == "hold":
            return lambda *_: np.zeros(ACTION_DIM)
        if row == "random":
            rng, actions = np.random.default_rng(task.scene.seed), self.env.action_space
            assert isinstance(actions, Box)
            return lambda *_: np.asarray(rng.uniform(actions.low, actions.high))
        if row == "expert":
            return scripted(lambda sight: EXPERTS[task.name](task, Room.of(self._spec), sight))
        return AgentActor(self.pursuing(row, task, camera), self.encoder)

    def agent(self, row: str, world_model: WorldModel | None = None) -> Agent:
        """That of a row, with no goal yet; it imagines with the checkpoint's world model or another one."""
        task = self.tasks[row]
        model = (world_model or self._world_model) if task.uses_world_model else None
        sha256, bound = self._checkpoint.sha256, self._bounds[row]
        return build_agent(task, self._spec, self._kinematics, model, sha256, bound)

    def pursuing(self, row: str, task: Task, camera: CameraModel, world_model: WorldModel | None = None) -> Agent:
        """The same with its goal taken up. Raises EvaluationError when it would not."""
        agent = self.agent(row, world_model)
        if refusal := agent.pursue(pictured_goal(self.encoder, task.goal_image(camera))):
            raise EvaluationError(f"{row} would not pursue the goal of {task.name} {task.scene.seed}: {refusal.reason}")
        return agent

    def check(self) -> None:
        """Build each agent once. Raises EvaluationError when one could never plan; errors of its parts as they are."""
        for row in self.tasks:
            agent, sees = self.agent(row), self.encoder.checkpoint_sha256
            if isinstance(agent.monitor, Refusal):
                raise EvaluationError(f"{row} would plan nothing: {agent.monitor.reason}.")
            if isinstance(agent.monitor, Monitor) and agent.monitor.bound.checkpoint_sha256 != sees:
                raise EvaluationError(
                    f"{row} would plan nothing: its model_error is that of checkpoint "
                    f"{agent.monitor.bound.checkpoint_sha256[:12]}, not of {sees[:12]}; run {CALIBRATE} for this one "
                    "and name its file in the task."
                )

    def identity(self) -> dict[str, Any]:
        """All that decides what the agents do, by SHA-256."""
        return {
            "checkpoint_sha256": self._checkpoint.sha256 if self.tasks else "",
            "guardrails_sha256": self._spec.sha256,
            "agents": {name: _sha256(path, self.tasks[name]) for name, path in self.entry.agents.items()},
        }

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return load_checkpoint(self.entry.checkpoint or DEFAULT_CHECKPOINT)

    @cached_property
    def _world_model(self) -> LatentWorldModel:
        return LatentWorldModel(self._checkpoint)


def entered(controls: Sequence[str] | None, tasks: Sequence[Path], checkpoint: Path | None, full: bool) -> Entry:
    """An entry; None for all controls, and for the checkpoint that the tasks name, or else the one that ships.

    Raises EvaluationError: no such control, two rows of one name, or several checkpoints.
    """
    controls = list(CONTROLS) if controls is None else list(dict.fromkeys(controls))
    for name in controls:
        if name not in CONTROLS:
            raise EvaluationError(f"there is no control {name!r}; valid are {', '.join(CONTROLS)}.")
    if not controls and not tasks:
        raise EvaluationError("there is nobody to evaluate; name a task file or a control.")
    names = [path.stem for path in tasks]
    for name in names:
        if names.count(name) > 1 or name in CONTROLS:
            raise EvaluationError(f"two rows would be called {name!r}; give the task files other names.")
    return Entry(tuple(controls), tuple(tasks), checkpoint or _named_checkpoint(tasks), full)


def _named_checkpoint(tasks: Sequence[Path]) -> Path | None:
    """Whose block head the tasks ask for, if they do. Raises EvaluationError where they name several."""
    names = sorted({load_task(path).block_head for path in tasks} - {""})
    if len(names) > 1:
        raise EvaluationError(f"the tasks name several checkpoints ({', '.join(names)}); evaluate them apart.")
    return Path(names[0]) if names else None


def _model_error(task: TaskSettings) -> ModelErrorBound | None:
    return load_model_error(task.model_error) if task.model_error is not None else None


def _sha256(path: Path, task: TaskSettings) -> str:
    """Of the task file, the calibration that it names, and the policies."""
    digest = hashlib.sha256(path.read_bytes())
    if task.model_error is not None:
        digest.update(task.model_error.read_bytes())
    for section in (task.policy, task.caution):
        if section is not None:
            digest.update(read_description(CHECKPOINTS / section.checkpoint)["model_sha256"].encode())
    return digest.hexdigest()
