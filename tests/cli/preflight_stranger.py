"""Somebody else in the domain: `python preflight_stranger.py WHO`; says "here" once it is, and stays until SIGTERM."""

from __future__ import annotations

import sys
from contextlib import suppress

from ami_embedded import finder

finder.install()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool, String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from ami_nodes import qos  # noqa: E402
from ami_robot.safety.spec import load_spec  # noqa: E402

ARM = "joint_trajectory_controller/joint_trajectory"


def robot(node, first_joint=None, velocity=3.0, from_desired=True):
    """A robot under ros2_control, wider than the guardrails; the node is its controller."""
    names = list(load_spec().joint_names)
    node.declare_parameter("joints", list(names))
    node.declare_parameter("command_interfaces", ["position"])
    node.declare_parameter("state_interfaces", ["position", "velocity"])
    node.declare_parameter("interpolate_from_desired_state", from_desired)
    names[0] = first_joint or names[0]
    limit = f'<limit lower="-4" upper="4" velocity="{velocity}" effort="100"/>'
    joints = "".join(f'<joint name="{name}" type="revolute">{limit}</joint>' for name in names)
    states = node.create_publisher(JointState, "joint_states", qos.SENSOR_OUT)
    message = JointState(name=names, position=[0.1] * 7, velocity=[0.0] * 7)
    node.create_timer(0.02, lambda: states.publish(message))
    node.create_publisher(String, "robot_description", qos.LATCHED).publish(String(data=f"<robot>{joints}</robot>"))
    node.create_subscription(JointTrajectory, ARM, lambda _: None, qos.COMMAND)


def clock_ahead(node):
    """A node of another host whose clock is ahead by three seconds."""
    publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)

    def tell():
        message = DiagnosticArray(status=[DiagnosticStatus(name=node.get_fully_qualified_name())])
        message.header.stamp = (node.get_clock().now() + Duration(seconds=3)).to_msg()
        publisher.publish(message)

    node.create_timer(0.2, tell)


WHO = {
    "guardrail": lambda node: None,
    "clock": lambda node: node.create_publisher(Clock, "/clock", qos.CLOCK),
    "clock_ahead": clock_ahead,
    "second_writer": lambda node: node.create_publisher(JointTrajectory, ARM, qos.COMMAND),
    "e_stop_that_is_not_latched": lambda node: node.create_publisher(Bool, "e_stop", qos.COMMAND),
    "people_of_another_type": lambda node: node.create_publisher(String, "people", qos.SENSOR_OUT),
    "robot": robot,
    "robot_with_other_names": lambda node: robot(node, first_joint="shoulder_pan"),
    "robot_that_is_slower": lambda node: robot(node, velocity=1.25),
    "robot_that_begins_where_it_is_measured": lambda node: robot(node, from_desired=False),
}

if __name__ == "__main__":
    rclpy.init(args=[])
    stranger = rclpy.create_node("joint_trajectory_controller" if "robot" in sys.argv[1] else sys.argv[1])
    WHO[sys.argv[1]](stranger)
    print("here", flush=True)
    with suppress(ExternalShutdownException):
        rclpy.spin(stranger)
