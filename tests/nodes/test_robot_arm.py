"""A robot brought up with ros2_control: which controllers are refused, the startup guard, the gripper."""

import time

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_msgs.msg import Float64

from ami_nodes import qos
from ami_nodes.common import result_within
from ami_nodes.controller_rules import why_not
from tests.nodes.graph import Process, wait_for
from tests.nodes.robot import GRIPPER, JOINTS, STOCK, Robot


@pytest.fixture
def arm(client):
    """Start the node; gives what brings it one step up."""
    made = []

    def start(**parameters):
        parameters = {"timeout_s": 3.0, "gripper_action": GRIPPER} | parameters
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        process = Process("ami_embedded.run", "ami_nodes.robot_arm:main", "--ros-args", "-r", "__node:=arm", *given)
        changer = client.node.create_client(ChangeState, "arm/change_state")
        made.append((process, changer))
        assert changer.wait_for_service(timeout_sec=20.0), process.output()

        def change(transition):
            request = ChangeState.Request(transition=Transition(id=transition))
            return result_within(changer.call_async(request), 20.0).success

        return process, change

    yield start
    for process, changer in made:
        process.end()
        client.node.destroy_client(changer)


def test_a_stock_controller_that_holds_the_arm_where_it_stands_comes_up_and_its_gripper_follows(client, arm):
    with Robot() as robot:
        process, change = arm()
        assert change(Transition.TRANSITION_CONFIGURE), process.output()
        assert change(Transition.TRANSITION_ACTIVATE), process.output()
        commands = client.node.create_publisher(Float64, "gripper_controller/command", qos.COMMAND)
        try:
            assert wait_for(lambda: commands.get_subscription_count() > 0, 5.0)
            for width_m in (0.04, 0.04, 0.08):
                commands.publish(Float64(data=width_m))
                time.sleep(0.3)
            assert wait_for(lambda: robot.widths_m == [0.04, 0.08], 5.0), robot.widths_m
        finally:
            client.node.destroy_publisher(commands)


def test_a_motion_is_not_begun_while_the_controller_wants_the_arm_elsewhere(arm):
    with Robot(offset_rad=0.05) as robot:
        process, change = arm()
        assert change(Transition.TRANSITION_CONFIGURE), process.output()
        assert not change(Transition.TRANSITION_ACTIVATE)
        assert "panda_joint4 stands 0.050 rad from where joint_trajectory_controller wants it" in process.output()
        robot.offset_rad = 0.0
        assert change(Transition.TRANSITION_ACTIVATE), process.output()


def test_a_controller_without_trajectories_is_refused_with_what_it_would_do(arm):
    with Robot({"joints": list(JOINTS), "interface_name": "velocity"}):
        process, change = arm()
        assert not change(Transition.TRANSITION_CONFIGURE)
        assert "it takes no trajectories, so it would keep the last command for ever" in process.output()


def test_a_controller_that_is_not_there_is_named(arm):
    process, change = arm(controller="left_arm_controller", timeout_s=0.5)
    assert not change(Transition.TRANSITION_CONFIGURE)
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
