"""What every arm of ours hears, as the stock controllers do: a trajectory and a gripper width."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory

from ami_nodes import qos
from ami_nodes.common import AmiNode
from ami_nodes.convert import from_trajectory_msg
from ami_robot.types import JointTrajectory as Trajectory


class CommandedArmNode(AmiNode):
    """Topics joint_trajectory_controller/joint_trajectory, gripper_controller/command -> an arm, or a line of log."""

    @abstractmethod
    def accept(self, trajectory: Trajectory) -> str | None:
        """Follow it from now on; or one sentence why not."""

    @abstractmethod
    def set_gripper(self, width_m: float) -> None:
        """Open or close to a width, m. Raises ValueError outside the fingers' travel."""

    def commands(self) -> list[Any]:
        """Subscriptions to both."""
        return [
            self.subscription(
                JointTrajectory, "joint_trajectory_controller/joint_trajectory", self.on_trajectory, qos.COMMAND
            ),
            self.subscription(Float64, "gripper_controller/command", self.on_gripper, qos.COMMAND),
        ]

    def on_trajectory(self, message: JointTrajectory) -> None:
        """Start it now, or reject it with a reason."""
        try:
            reason = self.accept(from_trajectory_msg(message))
        except ValueError as error:
            reason = str(error)
        if reason:
            self.get_logger().error(f"trajectory rejected: {reason}")

    def on_gripper(self, message: Float64) -> None:
        """Start to open or to close."""
        try:
            self.set_gripper(message.data)
        except ValueError as error:
            self.get_logger().error(f"gripper command rejected: {error}")
