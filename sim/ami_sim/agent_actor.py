"""An agent at the table top, one step late as in the graph.

The plan made from the frame of step k is carried out at step k + 1, and begins with the belief rolled forward through
the command of step k, of which the guardrail's report is told first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ami_robot.agent import Agent, shown_goal
from ami_robot.episodes.goals import ShownGoal
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.view import TrainingView, training_camera
from ami_robot.types import (
    ACTION_DIM,
    TOOL_POSITION,
    TOOL_VELOCITY,
    Array,
    Goal,
    GuardrailReport,
    Latent,
    Plan,
    Refusal,
)
from ami_sim.env import Observation, TabletopEnv


@dataclass(frozen=True)
class Decision:
    """What the agent answered when it was asked, and how long that took."""

    answer: Plan | Refusal
    wall_ms: float
    cpu_ms: float  # of this thread


class AgentActor:
    """Pursues one goal through one episode. Implements `attempt.Actor`."""

    def __init__(self, agent: Agent, encoder: ImageEncoder) -> None:
        """An agent that nobody has asked anything yet, with its goal taken up."""
        self.decisions: list[Decision] = []
        self._agent, self._encoder = agent, encoder
        self._seen: tuple[Latent, GuardrailReport] | None = None

    def __call__(self, env: TabletopEnv, observation: Observation) -> Array:
        """The first action (ACTION_DIM,) of the plan from the frame before this one; to stay where there is none."""
        assert env.arm is not None  # there is one after reset
        report = env.report
        action: Array = np.zeros(ACTION_DIM)
        action[3] = report.gripper_width
        if self._seen is not None:
            answer = self._decide(*self._seen, report)
            if isinstance(answer, Plan):
                action = answer.actions[0]
        self._seen = latent_of(self._encoder, observation, env.arm.time_ns), report
        return action

    def _decide(self, latent: Latent, before: GuardrailReport, after: GuardrailReport) -> Plan | Refusal:
        """From a frame, what the guardrail said at its time, and what it said of the command that followed."""
        now_ns = max(after.stamp_ns, latent.stamp_ns + 1)
        for report, stamp_ns in ((before, latent.stamp_ns), (after, now_ns)):
            at = (report.target_joint_positions, report.target_tool_position, report.gripper_width)
            self._agent.on_report(*at, stamp_ns)
        self._agent.on_latent(latent)
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        answer = self._agent.act(now_ns)
        taken_ms = (1e3 * (time.perf_counter() - wall_s), 1e3 * (time.thread_time() - cpu_s))
        self.decisions.append(Decision(answer, *taken_ms))
        return answer


def latent_of(encoder: ImageEncoder, observation: Observation, stamp_ns: int) -> Latent:
    """What the encoder makes of an observation of the environment."""
    proprio = observation["proprio"].astype(np.float64)
    return Latent(
        stamp_ns,
        encoder.encode(observation["image"]),
        proprio[TOOL_POSITION],
        proprio[TOOL_VELOCITY],
        float(proprio[-1]),
        encoder.checkpoint_sha256,
        encoder.preprocessing_id,
    )


def pictured_goal(encoder: ImageEncoder, picture: np.ndarray) -> Goal:
    """The goal that a picture (height, width, 3) uint8 rgb by the training camera shows: all that an agent is told."""
    camera = training_camera(encoder.preprocessing_id)  # one that was moved has the same optics
    view = TrainingView(camera, camera)(picture)
    return shown_goal(ShownGoal(pictures=view[None], preprocessing_id=encoder.preprocessing_id), encoder)
