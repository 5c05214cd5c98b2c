"""A robot that is brought up elsewhere, with ros2_control: looked over before anything may move it, and its gripper."""

from __future__ import annotations

import sys
import time
from typing import Any

from control_msgs.action import ParallelGripperCommand
from control_msgs.srv import QueryTrajectoryState
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from ami_nodes import qos
from ami_nodes.common import GUARDRAIL_FILE, AmiNode, result_within, run_node
from ami_nodes.controller_rules import read_parameters, why_apart, why_not
from ami_nodes.convert import as_array, to_ns, to_time
from ami_nodes.health import Health, Meter
from ami_nodes.parameters import Param
from ami_nodes.tool_frame import ToolFrame
from ami_robot.safety.checks import read_joint_state
from ami_robot.types import JointState as JointStateRecord
from ami_robot.types import Refusal

POLL_S = 0.01
WIDTH_STEP_M = 1e-3
"""Of the gripper, below which it is not told again: the guardrail repeats the width with every command."""


class RobotArmNode(AmiNode):
    """Refuses a controller that cannot hold the promise, and to start while arm and controller disagree.

    The guardrail writes to the controller directly; nothing passes through here but the gripper's width.
    """

    PARAMETERS = (
        GUARDRAIL_FILE,
        Param("controller", "joint_trajectory_controller", "name of the robot's joint trajectory controller"),
        Param("timeout_s", 10.0, "longest wait for the controller and for joint states", minimum=0.1, maximum=600.0),
        Param("max_offset_rad", 0.02, "between measured and commanded joints at the start", minimum=0.0, maximum=0.2),
        Param("gripper_action", "", "ParallelGripperCommand action of the gripper, empty for none"),
    )

    REHEARSES = False  # it asks the controller

    def build(self) -> None:
        """Look the controller over."""
        self.spec = self.load_spec()
        self.others = ReentrantCallbackGroup()  # answers come in while a transition waits for them
        self.latest: JointState | None = None
        self.joint_states, self.tool_frame = Meter("joint_states"), ToolFrame(self, self.spec.robot)
        reason = why_not(self.settings.controller, read_parameters(self._ask), self.spec.joint_names)
        if reason is not None:
            raise RuntimeError(reason)

    def start(self) -> list[Any]:
        """Once the arm is where its controller wants it to be."""
        self.latest = None
        listening: list[Any] = [
            self.subscription(
                JointState, "joint_states", self.on_joint_states, qos.LATEST_IN, callback_group=self.others
            )
        ]
        try:
            self._agree()
        except RuntimeError:
            self.destroy_subscription(listening[0])
            raise
        if self.settings.gripper_action:
            self.told_width_m = float("nan")
            self.gripper = ActionClient(self, ParallelGripperCommand, self.settings.gripper_action)
            listening += [
                self.gripper,
                self.subscription(Float64, "gripper_controller/command", self.on_gripper, qos.COMMAND),
            ]
        return listening

    def health(self) -> Health:
        """Whether joint states come."""
        figures = self.joint_states.read()
        return Health("" if figures["joint_states_hz"] > 0.0 else "no joint states", figures)

    def on_joint_states(self, message: JointState) -> None:
        """Remember the newest, and show where the tool is."""
        self.latest = message
        self.joint_states.tick()
        measured = self._measured(message)
        if not isinstance(measured, Refusal):
            self.tool_frame.follow(measured.positions, to_ns(message.header.stamp))

    def on_gripper(self, message: Float64) -> None:
        """Hand a new width on, m."""
        if abs(message.data - self.told_width_m) < WIDTH_STEP_M:
            return
        self.told_width_m = message.data
        goal = ParallelGripperCommand.Goal()
        fingers = self.spec.gripper.joint_names
        goal.command.name, goal.command.position = [fingers[0]], [message.data / len(fingers)]
        self.gripper.send_goal_async(goal)

    def _agree(self) -> None:
        """The startup guard: the arm stands where the controller holds it. Raises RuntimeError."""
        give_up_s = time.monotonic() + self.settings.timeout_s
        while self.latest is None:
            if time.monotonic() > give_up_s:
                raise RuntimeError(f"no joint_states came within {self.settings.timeout_s} s.")
            time.sleep(POLL_S)
        measured = self._measured(self.latest)
        if isinstance(measured, Refusal):
            raise RuntimeError(measured.reason)
        request = QueryTrajectoryState.Request(time=to_time(self.now_ns()))
        wanted = self._ask(QueryTrajectoryState, "query_state", request)
        if not wanted.success:
            raise RuntimeError(f"{self.settings.controller} does not say where it holds the arm: {wanted.message}")
        positions = dict(zip(wanted.name, wanted.position, strict=True))
        settings, joint_names = self.settings, self.spec.joint_names
        reason = why_apart(settings.controller, joint_names, measured.positions, positions, settings.max_offset_rad)
        if reason is not None:
            raise RuntimeError(reason)

    def _measured(self, message: JointState) -> JointStateRecord | Refusal:
        return read_joint_state(self.spec, message.name, as_array(message.position), as_array(message.velocity))

    def _ask(self, kind: Any, service: str, request: Any) -> Any:
        """One answer of the controller. Raises RuntimeError."""
        name, timeout_s = f"{self.settings.controller}/{service}", self.settings.timeout_s
        client = self.create_client(kind, name, callback_group=self.others)
        try:
            if not client.wait_for_service(timeout_sec=timeout_s):
                raise RuntimeError(f"{name} is not there: is the controller loaded? (`ros2 control list_controllers`)")
            answer = result_within(client.call_async(request), timeout_s)
        finally:
            self.destroy_client(client)
        if answer is None:
            raise RuntimeError(f"{name} did not answer within {timeout_s} s.")
        return answer


def main() -> int:
    """Run the node. The second thread brings answers in while a transition waits for them."""
    return run_node("robot_arm", lambda: RobotArmNode("arm"), threads=2)


if __name__ == "__main__":
    sys.exit(main())
