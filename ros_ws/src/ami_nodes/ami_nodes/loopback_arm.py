"""An arm without physics, for a look at a graph where there is neither PyBullet nor a robot: commands come back."""

from __future__ import annotations

import sys
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState

from ami_nodes import qos
from ami_nodes.commanded_arm import CommandedArmNode
from ami_nodes.common import GUARDRAIL_FILE, run_node
from ami_nodes.convert import to_field, to_time
from ami_nodes.parameters import Param
from ami_nodes.tool_frame import ToolFrame
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import NS_PER_S
from ami_robot.types import JointTrajectory as Trajectory
from ami_sim.loopback import LoopbackArm


class LoopbackArmNode(CommandedArmNode):
    """Trajectories and a gripper width -> LoopbackArm -> joint_states, on the node's clock. It knows no efforts."""

    PARAMETERS = (
        GUARDRAIL_FILE,
        Param("lag_s", 0.02, "time constant with which the arm follows", minimum=1e-3, maximum=0.2),
        Param("rate_hz", 100.0, "of the joint states", minimum=1.0, maximum=1000.0),
    )

    def build(self) -> None:
        """Stand with the tool in the middle of the workspace."""
        spec = self.load_spec()
        start, _ = Kinematics(spec.robot).inverse((spec.workspace.lower_m + spec.workspace.upper_m) / 2.0)
        self.arm = LoopbackArm(spec.joint_names, start, spec.gripper.upper_m, self.settings.lag_s, self.now_s())
        self.fingers = spec.gripper.joint_names
        self.names = [*spec.joint_names, *self.fingers]
        self.joint_states_publisher = self.publisher(JointState, "joint_states", qos.SENSOR_OUT)
        self.tool_frame = ToolFrame(self, spec.robot)

    def start(self) -> list[Any]:
        """Follow."""
        return [
            *self.commands(),
            self.create_timer(1.0 / self.settings.rate_hz, self.on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME)),
        ]

    def now_s(self) -> float:
        """The node's clock, s."""
        return self.now_ns() / NS_PER_S

    def on_tick(self) -> None:
        """Joint states of now."""
        now_ns = self.now_ns()
        self.arm.advance(now_ns / NS_PER_S)
        fingers = len(self.fingers)
        message = JointState(name=self.names)
        message.position = to_field([*self.arm.positions, *[self.arm.gripper.width_m / fingers] * fingers])
        message.velocity = to_field([*self.arm.velocities, *[0.0] * fingers])
        message.header.stamp = to_time(now_ns)
        self.joint_states_publisher.publish(message)
        self.tool_frame.follow(self.arm.positions, now_ns)

    def accept(self, trajectory: Trajectory) -> str | None:
        """As the controller does."""
        return self.arm.controller.accept(trajectory, self.now_s())

    def set_gripper(self, width_m: float) -> None:
        """As a gripper does."""
        self.arm.gripper.go_to(width_m)


def main() -> int:
    """Run the node."""
    return run_node("loopback_arm", lambda: LoopbackArmNode("arm"), urgent=True)


if __name__ == "__main__":
    sys.exit(main())
