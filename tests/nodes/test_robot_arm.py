"""A robot brought up with ros2_control: which controllers are refused, the startup guard, the gripper."""

import time
from contextlib import contextmanager

import pytest
from lifecycle_msgs.msg import Transition
from std_msgs.msg import Float64

from ami_nodes import qos
from ami_nodes.controller_rules import why_not
from tests.nodes.graph import changes, node_process, wait_for
from tests.nodes.robot import GRIPPER, JOINTS, STOCK, Robot


@contextmanager
def robot_arm(**parameters):
    """The node, called arm, beside a Robot that is there or not."""
    with node_process("robot_arm", "arm", **({"timeout_s": 3.0, "gripper_action": GRIPPER} | parameters)) as process:
        yield process


def test_a_stock_controller_that_holds_the_arm_where_it_stands_comes_up_and_its_gripper_follows(client):
    with Robot() as robot, robot_arm() as process:
        assert changes(client, "arm", Transition.TRANSITION_CONFIGURE), process.output()
        assert changes(client, "arm", Transition.TRANSITION_ACTIVATE), process.output()
        commands = client.node.create_publisher(Float64, "gripper_controller/command", qos.COMMAND)
        try:
            assert wait_for(lambda: commands.get_subscription_count() > 0, 5.0)
            for width_m in (0.04, 0.04, 0.08):
                commands.publish(Float64(data=width_m))
                time.sleep(0.3)
            assert wait_for(lambda: robot.widths_m == [0.04, 0.08], 5.0), robot.widths_m
        finally:
            client.node.destroy_publisher(commands)


def test_a_motion_is_not_begun_while_the_controller_wants_the_arm_elsewhere(client):
    with Robot(offset_rad=0.05) as robot, robot_arm() as process:
        assert changes(client, "arm", Transition.TRANSITION_CONFIGURE), process.output()
        assert not changes(client, "arm", Transition.TRANSITION_ACTIVATE)
        assert "panda_joint4 stands 0.050 rad from where joint_trajectory_controller wants it" in process.output()
        robot.offset_rad = 0.0
        assert changes(client, "arm", Transition.TRANSITION_ACTIVATE), process.output()


def test_a_controller_without_trajectories_is_refused_with_what_it_would_do(client):
    with Robot({"joints": list(JOINTS), "interface_name": "velocity"}), robot_arm() as process:
        assert not changes(client, "arm", Transition.TRANSITION_CONFIGURE)
        assert "it takes no trajectories, so it would keep the last command for ever" in process.output()


def test_a_controller_that_is_not_there_is_named(client):
    with robot_arm(controller="left_arm_controller", timeout_s=0.5) as process:
        assert not changes(client, "arm", Transition.TRANSITION_CONFIGURE)
        assert "left_arm_controller/list_parameters is not there: is the controller loaded?" in process.output()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"interpolate_from_desired_state": False}, "interpolate_from_desired_state: false"),
        ({"joints": [f"fr3_joint{i}" for i in range(1, 8)]}, "moves fr3_joint1"),
        ({"joints": list(JOINTS[:6])}, "the guardrail file names"),
        ({"interpolation_method": "none"}, "interpolation_method: none"),
        ({"command_interfaces": []}, "no command_interfaces"),
        ({"state_interfaces": ["position"]}, "lacks velocity in state_interfaces"),
    ],
)
def test_each_thing_that_breaks_the_promise_is_said(changed, said):
    assert said in why_not("arm_controller", STOCK | changed, JOINTS)


def test_joints_in_another_order_and_the_older_name_of_the_switch_will_do():
    older = {name: value for name, value in STOCK.items() if name != "interpolate_from_desired_state"}
    assert why_not("arm_controller", older | {"open_loop_control": True, "joints": list(JOINTS[::-1])}, JOINTS) is None
    assert "open_loop_control: false" in why_not("arm_controller", older | {"open_loop_control": False}, JOINTS)
