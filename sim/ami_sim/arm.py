"""The simulated arm: the world, its joint_trajectory_controller and its clock, for the environment and the node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array, JointState, JointTrajectory
from ami_sim.controller import JointTrajectoryController
from ami_sim.gripper import Gripper
from ami_sim.scene import Scene
from ami_sim.world import PHYSICS_HZ, World, robot_description

JOINT_STATES_HZ = 100
CAMERA_SUBSTEPS = 16  # 15 Hz

SubstepListener = Callable[[float, Array, Array, Array, float], None]
"""Called after each substep with the truth: time, s; arm positions (7,) rad and velocities (7,) rad/s; tool point
(3,) m; clearance of the arm to the table, m."""


class SimulatedArm:
    """A World driven by a JointTrajectoryController. Time is a count of substeps and never goes back, also on reset."""

    def __init__(self, scene: Scene, camera: CameraModel | None = None, gui: bool = False):
        self.world = World(scene, camera, gui)
        self.controller = JointTrajectoryController(self.world.joint_names[:7])
        self.on_substep: SubstepListener | None = None
        self.step_count = 0
        self._rest()

    def close(self) -> None:
        """Give the physics client back."""
        self.world.close()

    def reset(self, scene: Scene) -> None:
        """Start another scene, at rest, gripper closed; time goes on."""
        self.world.reset(scene)
        self._rest()

    @property
    def time_ns(self) -> int:
        """Physics time, integer ns."""
        return round(self.step_count * 1_000_000_000 / PHYSICS_HZ)

    @property
    def time_s(self) -> float:
        """Time since the last reset, s: the time of the controller and the judge, so that float rounding repeats."""
        return (self.step_count - self._reset_step) / PHYSICS_HZ

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The order of joint_states: arm, then fingers."""
        return self.world.joint_names

    @property
    def robot_description(self) -> str:
        """The arm as URDF, with this machine's paths to its meshes."""
        return robot_description()

    def joint_states(self) -> tuple[Array, Array]:
        """Measured positions (9,) and velocities (9,), rad and m, in the order of joint_names."""
        return self.world.joint_state()

    def joint_efforts(self) -> Array:
        """Measured efforts (9,), N m and N, in the order of joint_names; of the last substep."""
        return self.world.joint_efforts()

    def desired_state(self) -> JointState:
        """Where the controller wants the joints now."""
        return self.controller.sample(self.time_s)

    def accept(self, trajectory: JointTrajectory) -> str | None:
        """Follow the trajectory from now on; returns None, or one sentence saying why it was rejected."""
        return self.controller.accept(trajectory, self.time_s)

    def set_gripper(self, width: float) -> None:
        """Open or close to a width, m. Raises ValueError outside the fingers' travel."""
        self._gripper.go_to(width)

    def substeps_to_joint_states(self) -> int:
        """How many substeps (2 or 3) until joint states are due, at 100 Hz."""
        due = self.step_count * JOINT_STATES_HZ // PHYSICS_HZ + 1
        return -(-due * PHYSICS_HZ // JOINT_STATES_HZ) - self.step_count

    def substeps_to_frame(self) -> int:
        """How many substeps (1 to 16) until a camera frame is due, at 15 Hz."""
        return CAMERA_SUBSTEPS - self.step_count % CAMERA_SUBSTEPS

    def advance(self, substeps: int) -> None:
        """Let the physics run."""
        for _ in range(substeps):
            self._gripper.advance(1.0 / PHYSICS_HZ)
            desired = self.controller.sample((self.step_count + 1 - self._reset_step) / PHYSICS_HZ)
            self.world.substep(desired.positions, desired.velocities, self._gripper.width_m)
            self.step_count += 1
            if self.on_substep:
                self._tell(self.on_substep)

    def _rest(self) -> None:
        self._reset_step = self.step_count
        self.controller.hold(self.world.scene.start_joint_positions, self.time_s)
        self._gripper = Gripper(self.world.max_gripper_width)

    def _tell(self, listener: SubstepListener) -> None:
        positions, velocities = self.world.joint_state()
        arm = np.s_[:7]
        world = self.world
        listener(self.time_s, positions[arm], velocities[arm], world.tool_position(), world.clearance_to_table())
