"""A robot as ros2_control brings it up, as far as it is seen from outside: its controller's parameters, its gripper."""

from __future__ import annotations

import threading

import rclpy
from control_msgs.action import ParallelGripperCommand
from control_msgs.srv import QueryTrajectoryState
from rclpy.action import ActionServer
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from ami_nodes import qos
from ami_nodes.convert import from_trajectory_msg, to_field, to_time
from ami_robot.safety.spec import load_spec
from ami_robot.types import NS_PER_S
from ami_sim.controller import JointTrajectoryController
from ami_sim.scene import Scene

JOINTS = load_spec().joint_names
STOCK = {
    "joints": list(JOINTS),
    "command_interfaces": ["position"],
    "state_interfaces": ["position", "velocity"],
    "interpolate_from_desired_state": True,
    "interpolation_method": "splines",
}
"""A joint_trajectory_controller that will do."""

GRIPPER = "gripper/command"
START_RAD = Scene.from_seed(1000).start_joint_positions


class Robot:
    """Follows from START_RAD on; of where it wants joint 4 to be it says `offset_rad` more."""

    def __init__(
        self,
        parameters: dict[str, object] | None = None,
        offset_rad: float = 0.0,
        controller: str = "joint_trajectory_controller",
    ) -> None:
        self.offset_rad = offset_rad
        self.widths_m: list[float] = []
        self.rejected: list[str] = []
        self.node = node = rclpy.create_node(controller)
        for name, value in (STOCK if parameters is None else parameters).items():
            node.declare_parameter(name, value)
        self._controller = JointTrajectoryController(JOINTS)
        self._controller.hold(START_RAD, self._now_s())
        node.create_subscription(JointTrajectory, "~/joint_trajectory", self._on_trajectory, qos.COMMAND)
        node.create_service(QueryTrajectoryState, "~/query_state", self._on_query)
        self._gripper = ActionServer(node, ParallelGripperCommand, GRIPPER, self._on_gripper)
        self._joint_states = node.create_publisher(JointState, "joint_states", qos.SENSOR_OUT)
        node.create_timer(0.01, self._say_joints)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def __enter__(self) -> Robot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._gripper.destroy()
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _now_s(self) -> float:
        return self.node.get_clock().now().nanoseconds / NS_PER_S

    def _on_trajectory(self, message: JointTrajectory) -> None:
        reason = self._controller.accept(from_trajectory_msg(message), self._now_s())
        if reason:
            self.rejected.append(reason)

    def _on_query(self, _: QueryTrajectoryState.Request, response: QueryTrajectoryState.Response) -> object:
        wanted = self._controller.sample(self._now_s()).positions.copy()
        wanted[3] += self.offset_rad
        response.success, response.name, response.position = True, list(JOINTS), wanted.tolist()
        return response

    def _on_gripper(self, goal: object) -> ParallelGripperCommand.Result:
        self.widths_m.append(2.0 * goal.request.command.position[0])
        goal.succeed()
        return ParallelGripperCommand.Result(reached_goal=True)

    def _say_joints(self) -> None:
        now_ns = self.node.get_clock().now().nanoseconds
        state = self._controller.sample(now_ns / NS_PER_S)
        message = JointState(name=list(JOINTS))
        message.position, message.velocity = to_field(state.positions), to_field(state.velocities)
        message.header.stamp = to_time(now_ns)
        self._joint_states.publish(message)
