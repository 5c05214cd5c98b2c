"""An arm without physics: what is commanded comes back through a first-order lag. It runs where PyBullet does not."""

from __future__ import annotations

import numpy as np

from ami_robot.types import Array
from ami_sim.controller import JointTrajectoryController
from ami_sim.gripper import Gripper


class LoopbackArm:
    """Follows trajectories by the rules of the stock controller, `lag_s` behind.

    Positions and velocities each follow what is desired by dx/dt = (desired - x) / lag, so at a constant velocity v the
    arm is v lag behind.
    """

    def __init__(
        self, joint_names: tuple[str, ...], positions: Array, max_gripper_width_m: float, lag_s: float, now_s: float
    ):
        """Rest at positions (J,), rad, from `now_s` on, gripper closed. Raises ValueError for a lag that is not > 0."""
        if not lag_s > 0.0:
            raise ValueError(f"the lag has to be greater than 0 s, got {lag_s}.")
        self.controller, self.gripper = JointTrajectoryController(joint_names), Gripper(max_gripper_width_m)
        self.controller.hold(positions, now_s)
        self.positions = np.array(positions, float)
        """(J,), rad."""
        self.velocities = np.zeros(len(joint_names))
        """(J,), rad/s."""
        self._lag_s, self._now_s = lag_s, now_s

    def advance(self, now_s: float) -> None:
        """Let the time pass until `now_s`, s; a clock that went back lets none pass."""
        passed_s, self._now_s = max(0.0, now_s - self._now_s), now_s
        desired, share = self.controller.sample(now_s), 1.0 - np.exp(-passed_s / self._lag_s)
        self.positions += share * (desired.positions - self.positions)
        self.velocities += share * (desired.velocities - self.velocities)
        self.gripper.advance(passed_s)
