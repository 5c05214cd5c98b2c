"""A robot as ros2_control brings it up, as far as it is seen from outside: its controller's parameters, its gripper."""

from __future__ import annotations

import threading

import rclpy
from control_msgs.action import ParallelGripperCommand
from control_msgs.srv import QueryTrajectoryState
from rclpy.action import ActionServer
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState

from ami_nodes import qos
from ami_nodes.convert import to_field, to_time
from ami_robot.safety.spec import load_spec
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
    """Stands at START_RAD; its controller wants it `offset_rad` further on, in joint 4."""

    def __init__(self, parameters: dict[str, object] | None = None, offset_rad: float = 0.0) -> None:
        self.offset_rad = offset_rad
        self.widths_m: list[float] = []
        self.node = node = rclpy.create_node("joint_trajectory_controller")
        for name, value in (STOCK if parameters is None else parameters).items():
            node.declare_parameter(name, value)
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

    def _on_query(self, _: QueryTrajectoryState.Request, response: QueryTrajectoryState.Response) -> object:
        wanted = START_RAD.copy()
        wanted[3] += self.offset_rad
        response.success, response.name, response.position = True, list(JOINTS), wanted.tolist()
        return response

    def _on_gripper(self, goal: object) -> ParallelGripperCommand.Result:
        self.widths_m.append(2.0 * goal.request.command.position[0])
        goal.succeed()
        return ParallelGripperCommand.Result(reached_goal=True)

    def _say_joints(self) -> None:
        message = JointState(name=list(JOINTS), position=to_field(START_RAD), velocity=to_field(0.0 * START_RAD))
        message.header.stamp = to_time(self.node.get_clock().now().nanoseconds)
        self._joint_states.publish(message)
