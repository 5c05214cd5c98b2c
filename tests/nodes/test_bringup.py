"""The bringup with other arms and cameras than the demo's."""

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import JointState
from tf2_msgs.msg import TFMessage

from ami_nodes.graph_client import position_goal
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec, spec_file
from tests.nodes.graph import LAUNCH_FILE, launched, listening
from tests.nodes.robot import Robot

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
SPEC = load_spec()


def reaches(client, launch, spec=SPEC):
    """A goal, and leaves without a word of a trajectory that was not taken."""
    goal = np.array([0.45, 0.1, 0.15])
    frames = []
    client.wait_until_active()
    client.arm(True)
    with listening(client, (TFMessage, "/tf", frames.append)):
        result = client.pursue(position_goal(goal), 4.0)
    assert (result.outcome, result.refusals) == ("done", 0), launch.output()
    reached = Kinematics(spec.robot).tool_position(client.ear.positions[: len(spec.joint_names)])
    assert np.linalg.norm(reached - goal) < 0.005
    (last,) = frames[-1].transforms
    assert (last.header.frame_id, last.child_frame_id) == ("base_link", "tool")
    shown = last.transform.translation
    np.testing.assert_allclose([shown.x, shown.y, shown.z], goal, atol=0.005)
    assert abs(last.transform.rotation.w) < 0.01  # it points down: half a turn
    client.arm(False)
    assert launch.interrupt() == 0
    assert "rejected" not in launch.output()


def test_commands_that_only_come_back_bring_the_tool_to_its_goal(client):
    with launched(BRINGUP, arm="loopback", vision="false", config="analytic") as launch:
        reaches(client, launch)


@pytest.mark.parametrize("robot", [pytest.param("fr3", marks=pytest.mark.slow), "ur5e"])
def test_another_robot_moves_by_its_own_names_and_limits(client, robot):
    spec, names = load_spec(spec_file(robot)), []
    with (
        listening(client, (JointState, "joint_states", lambda message: names.append(tuple(message.name)))),
        launched(BRINGUP, arm="loopback", robot=robot, vision="false", config="analytic") as launch,
    ):
        reaches(client, launch, spec)
    assert names[-1] == spec.joint_names + spec.gripper.joint_names


def test_the_simulated_arm_is_refused_the_limits_of_another_robot():
    with launched(BRINGUP, robot="fr3", vision="false", config="analytic") as launch:
        assert launch.popen.wait(30.0) == 1
        assert "the simulated arm is a Panda and the guardrail file is for another robot, fr3" in launch.output()


def test_a_robot_under_ros2_control_comes_to_its_goal_by_the_name_of_its_controller(client):
    with Robot(controller="left_arm_controller") as robot:
        arguments = {"arm": "ros2_control", "controller": "left_arm_controller"}
        with launched(BRINGUP, vision="false", config="analytic", **arguments) as launch:
            reaches(client, launch)
        assert robot.rejected == []


@pytest.mark.parametrize("name", ["arm", "camera"])
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(name):
    with launched(BRINGUP, **{name: "none"}) as launch:
        assert launch.popen.wait(10.0) == 2
        assert f"{name}:=none is not one of " in launch.output()


def test_a_half_whose_other_half_does_not_come_ends_with_who_is_missing(client, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(yaml.safe_dump({"/**/lifecycle_manager": {"ros__parameters": {"timeout_s": 4.0}}}))
    given = {"arm": "loopback", "vision": "false", "config": "analytic", "params_file": str(parameters)}
    with launched(BRINGUP, part="robot", **given) as launch:
        assert launch.popen.wait(30.0) == 1
        assert "planner did not appear within 4.0 s" in launch.output()
        assert "did not deactivate" not in launch.output()


@pytest.mark.slow
def test_two_halves_are_one_graph_that_goes_down_with_the_robots(client):
    given = {"arm": "loopback", "vision": "false", "config": "analytic"}
    with launched(BRINGUP, part="brain", **given) as brain, launched(BRINGUP, part="robot", **given) as robot:
        reaches(client, robot)
        assert brain.running()
        with launched(BRINGUP, part="robot", **given) as again:
            client.wait_until_active()
            assert again.interrupt() == 0
        assert brain.interrupt() == 0
