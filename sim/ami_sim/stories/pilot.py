"""The learned part, in lock step: frame -> latent -> belief -> plan -> proposal, one model step later.

As in the graph and in benchmarks/reach_in_process.py: the plan made from a frame is carried out one step after it, and
the planner starts from the belief rolled forward through the command under way. Of the camera's 15 frames a second only
those are drawn that a plan begins with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ami_robot.agent import Agent, image_goal
from ami_robot.configurator.configurator import REACH, build_agent, load_task
from ami_robot.perception.camera import CameraModel
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.view import TrainingView
from ami_robot.types import Goal, Latent, Plan, Refusal
from ami_robot.world_model.model import LatentWorldModel
from ami_sim.stories.scripts import TICKS_PER_STEP
from ami_sim.stories.stage import Stage
from ami_sim.world import render_goal_image


@dataclass(frozen=True)
class Mind:
    """The shipped checkpoint, its camera and its view."""

    encoder: ImageEncoder
    world_model: LatentWorldModel
    camera: CameraModel
    view: TrainingView


@lru_cache(maxsize=1)
def mind() -> Mind:
    """Loaded once a process."""
    checkpoint = load_checkpoint(None)
    camera = checkpoint.training_camera
    return Mind(ImageEncoder(checkpoint), LatentWorldModel(checkpoint), camera, TrainingView(camera, camera))


class Pilot:
    """An agent at the arm of a stage. Call `act` before every tick."""

    def __init__(self, stage: Stage, agent: Agent):
        self.agent = agent
        self.refusals: dict[str, int] = {}  # of the planner, by row
        self.frozen: str | None = None  # stamp: no frame comes any more; picture: each frame shows the same
        self._stage, self._mind = stage, mind()
        self._plan: Plan | None = None
        self._latent: Latent | None = None
        stage.on_people = agent.on_people

    def act(self) -> None:
        """Look and propose at the beginning of a model step; plan one tick later, when the guardrail has answered."""
        phase = self._stage.ticks % TICKS_PER_STEP
        if phase == 0:
            self._look()
            self._propose()
        elif phase == 1:
            self._think()

    def imagined(self) -> np.ndarray:
        """The path (H, 3), m, that the last plan imagines; empty without one."""
        return np.zeros((0, 3)) if self._plan is None else self._plan.imagined_tool_path

    def _look(self) -> None:
        stage = self._stage
        self._report()
        if self.frozen == "stamp" and self._latent is not None:
            return
        positions, velocities = stage.arm.joint_states()
        q, dq = positions[:7], velocities[:7]
        if self._latent is None or self.frozen is None:
            self._image_latent = self._mind.encoder.encode(self._mind.view(stage.arm.world.render(self._mind.camera)))
        self._latent = Latent(
            stage.now_ns,
            self._image_latent,
            stage.kinematics.tool_position(q),
            stage.kinematics.jacobian(q)[:3] @ dq,
            float(positions[7:].sum()),
            self._mind.encoder.checkpoint_sha256,
            self._mind.encoder.preprocessing_id,
        )
        self.agent.on_latent(self._latent)

    def _propose(self) -> None:
        plan, self._plan = self._plan, None
        if plan is not None:
            self._stage.propose(plan.actions[0, :3], observed_ns=self._planned_from_ns)

    def _think(self) -> None:
        assert self._latent is not None  # looked one tick ago
        self._report()
        answer = self.agent.act(self._stage.now_ns)
        if isinstance(answer, Refusal):
            self.refusals[answer.guardrail] = self.refusals.get(answer.guardrail, 0) + 1
            return
        self._plan, self._planned_from_ns = answer, self._latent.stamp_ns

    def _report(self) -> None:
        at = self._stage.guardrail.status(self._stage.now_ns)
        self.agent.on_report(at.target_joint_positions, at.target_tool_position, at.gripper_width, self._stage.now_ns)


def picture_of_goal(stage: Stage) -> Goal:
    """The goal of the stage's scene as a camera would show it, with the tool's position read from the picture."""
    encoder = mind().encoder
    latent = encoder.encode(mind().view(render_goal_image(stage.scene, mind().camera)))
    tool = np.asarray(encoder.decode_tool_position(latent), np.float64)
    return image_goal(Latent(0, latent, tool, np.zeros(3), 0.0, encoder.checkpoint_sha256, ""))


def pilot_to_picture(stage: Stage) -> Pilot:
    """The shipped agent, told by a picture to go to the goal of the stage's scene."""
    pilot = Pilot(stage, build_agent(load_task(REACH), stage.spec, stage.kinematics, mind().world_model))
    pursue(pilot, picture_of_goal(stage))
    return pilot


def pursue(pilot: Pilot, goal: Goal) -> None:
    """Take the goal up. ValueError when the agent refuses."""
    if refusal := pilot.agent.pursue(goal):
        raise ValueError(f"the agent would not pursue the story's goal: {refusal.reason}")
