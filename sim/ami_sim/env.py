"""The table top as a Gymnasium environment: the guardrail, controller and motors of the ROS graph in one process."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ami_robot.perception.camera import CameraModel, load_camera
from ami_robot.perception.view import VIEW_PIXELS, TrainingView
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import (
    MAX_COMMAND_DELAY_S,
    MODEL_STEP_S,
    NS_PER_S,
    PROPRIO_DIM,
    Array,
    JointState,
    Proposal,
    Refusal,
)
from ami_sim.arm import SimulatedArm
from ami_sim.scene import Scene
from ami_sim.world import PHYSICS_HZ

EPISODE_STEPS = 40
SUBSTEPS = round(MODEL_STEP_S * PHYSICS_HZ)
SOURCE = "env"

Observation = dict[str, Any]


class TabletopEnv(gymnasium.Env[Observation, np.ndarray]):
    """Bring the tool to a goal on a table with blocks.

    Action (4,): displacement of the tool target, m, in base_link (scaled down when longer than the guardrail file
    allows), and gripper width, m. One step is 0.2 s. Observation: `image` (64, 64, 3) uint8 rgb, `proprio` (10,) as in
    ami_robot.types, `joint_positions` (7,) rad, `joint_velocities` (7,) rad/s. Reward: minus the distance, m, of the
    tool to the scene's goal. An episode ends early (terminated) only when the guardrail disarms.

    The command takes effect after a delay drawn for each step from 0 to max_command_delay_s. fast=True runs the
    guardrail when a command is due and just as often as it asks for, not on all 100 joint states a second.
    feels=True shows it the motors' torques, too: what pushes against the arm brakes it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / MODEL_STEP_S)}  # noqa: RUF012 - Gymnasium's name

    def __init__(
        self,
        render_mode: str | None = None,
        limits: Spec | None = None,
        max_command_delay_s: float = MAX_COMMAND_DELAY_S,
        fast: bool = False,
        camera: CameraModel | None = None,
        feels: bool = False,
    ):
        self.limits = limits or load_spec()
        self.kinematics = Kinematics()
        self._dynamics = Dynamics()
        self._camera = camera or load_camera()
        self._view = TrainingView(self._camera, self._camera)
        self.render_mode = render_mode
        self.arm: SimulatedArm | None = None
        self._max_command_delay_s, self._fast, self._feels = max_command_delay_s, fast, feels
        self._listen_ns = int(0.8 * self.limits.staleness.joint_state_s * NS_PER_S)
        reach = self.limits.tool_displacement.max_m_per_step
        width = self.limits.gripper
        self.action_space = spaces.Box(
            np.array([-reach] * 3 + [width.lower_m], np.float32), np.array([reach] * 3 + [width.upper_m], np.float32)
        )
        self.observation_space = _observation_space(self.limits)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        """Start the scene of the seed, or options["scene"], or one drawn from the running generator.

        options["camera"] moves the camera for this episode: another pose, the same optics and size.
        """
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self.scene: Scene = (options or {}).get("scene") or Scene.from_seed(drawn)
        if self.arm is None:
            self.arm = SimulatedArm(self.scene, self._camera)
        else:
            self.arm.reset(self.scene)
        self.arm.world.camera = (options or {}).get("camera") or self._camera
        self.guardrail = Guardrail(self.limits, self.kinematics, self._dynamics)
        self.guardrail.select_source(SOURCE)
        self._sequence = 0
        positions, velocities = self.arm.joint_states()
        measured = JointState(positions[:7], velocities[:7], np.zeros(7))
        now_ns = self.arm.time_ns
        if refusal := self.guardrail.arm(measured, now_ns, now_ns):
            raise RuntimeError(f"the guardrail would not arm at the start of scene {self.scene.seed}: {refusal.reason}")
        self._heard_ns = now_ns
        self.report = self.guardrail.status(now_ns)  # the last thing the guardrail said
        return self._observation(), self._info(None)

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict]:
        """Propose the action to the guardrail and let 0.2 s pass; raises ValueError unless it is finite."""
        assert self.arm is not None, "call reset before step"
        start_ns = self.arm.time_ns
        due_ns = start_ns + int(self.np_random.uniform(0.0, self._max_command_delay_s) * 1e9)
        proposal: Proposal | None = self._proposal(np.asarray(action, float), due_ns, start_ns)
        refusal: Refusal | None = None
        end_step = self.arm.step_count + SUBSTEPS
        while self.arm.step_count < end_step:
            due = proposal is not None and self.arm.time_ns >= due_ns
            if due and proposal is not None:
                self.guardrail.propose(proposal)
                proposal = None
            if due or not self._fast or self.arm.time_ns - self._heard_ns >= self._listen_ns:
                refusal = self._run_guardrail() or refusal
            self.arm.advance(min(self.arm.substeps_to_joint_states(), end_step - self.arm.step_count))
        info = self._info(refusal)
        return self._observation(), -info["distance_m"], not self.report.armed, False, info

    def render(self) -> np.ndarray | None:  # type: ignore[override]  # Gymnasium leaves the type of a frame open
        """The camera's own picture (128, 128, 3) uint8 rgb of the last observation."""
        return self._frame if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Give the physics client back."""
        if self.arm is not None:
            self.arm.close()
            self.arm = None

    @property
    def tool_target(self) -> Array:
        """Where the tool comes to rest, (3,) m."""
        return self.report.target_tool_position

    def _proposal(self, action: Array, stamp_ns: int, observation_stamp_ns: int) -> Proposal:
        if action.shape != (4,) or not np.isfinite(action).all():
            raise ValueError(f"an action is 4 finite numbers (dx, dy, dz, gripper width, m), got {action}.")
        displacement, limit = action[:3], self.limits.tool_displacement.max_m_per_step
        self._sequence += 1
        return Proposal(
            source=SOURCE,
            sequence=self._sequence,
            stamp_ns=stamp_ns,
            observation_stamp_ns=observation_stamp_ns,
            valid_for_s=self.limits.staleness.proposal_s,
            gripper_width=float(np.clip(action[3], self.limits.gripper.lower_m, self.limits.gripper.upper_m)),
            tool_displacement=displacement * min(1.0, limit / max(float(np.linalg.norm(displacement)), limit)),
        )

    def _run_guardrail(self) -> Refusal | None:
        """Show the guardrail the present joint states and carry out what it sends."""
        assert self.arm is not None
        positions, velocities = self.arm.joint_states()
        now_ns = self._heard_ns = self.arm.time_ns
        efforts = self.arm.joint_efforts() if self._feels and self.arm.time_s > 0.0 else None  # none before a substep
        report = self.guardrail.step(self.arm.joint_names, positions, velocities, now_ns, now_ns, efforts)
        if report is None:
            return None
        self.report = report
        if report.sent is not None:
            if rejection := self.arm.accept(report.sent):
                raise RuntimeError(f"the controller rejected what the guardrail sent: {rejection}")
            self.arm.set_gripper(report.gripper_width)
        return None if report.decision == "modified" else report.refusal  # stretched in time is not refused

    def _observation(self) -> Observation:
        assert self.arm is not None
        self._frame = self.arm.world.render()
        positions, velocities = self.arm.joint_states()
        joints, speeds = positions[:7], velocities[:7]
        tool_velocity = self.kinematics.jacobian(joints)[:3] @ speeds
        tool = self.kinematics.tool_position(joints)
        proprio = np.concatenate([tool, tool_velocity, self.report.target_tool_position, [positions[7:].sum()]])
        return {
            "image": self._view(self._frame),
            "proprio": proprio.astype(np.float32),
            "joint_positions": joints.astype(np.float32),
            "joint_velocities": speeds.astype(np.float32),
        }

    def _info(self, refusal: Refusal | None) -> dict[str, Any]:
        assert self.arm is not None
        return {
            "refusal": refusal,
            "distance_m": float(np.linalg.norm(self.arm.world.tool_position() - self.scene.goal_position)),
        }


def _observation_space(spec: Spec) -> spaces.Dict:
    """Bounds a little wider than the limits, since measured values may overshoot commanded ones."""
    limits = spec.joint_position
    speed = 2 * spec.joint_velocity.limit_rad_per_s
    reach_m, tool_speed_m_per_s = 1.5, 5.0
    proprio = np.array([reach_m] * 3 + [tool_speed_m_per_s] * 3 + [reach_m] * 3 + [1.0])
    assert proprio.shape == (PROPRIO_DIM,)
    return spaces.Dict(
        image=spaces.Box(0, 255, (VIEW_PIXELS, VIEW_PIXELS, 3), np.uint8),
        proprio=_box(-proprio, proprio),
        joint_positions=_box(limits.lower_rad - 0.1, limits.upper_rad + 0.1),
        joint_velocities=_box(-speed, speed),
    )


def _box(low: Array, high: Array) -> spaces.Box:
    return spaces.Box(low.astype(np.float32), high.astype(np.float32))


# gymnasium.make("ami_sim.env:ami/Tabletop-v0") imports this module first
gymnasium.register("ami/Tabletop-v0", entry_point="ami_sim.env:TabletopEnv", max_episode_steps=EPISODE_STEPS)
