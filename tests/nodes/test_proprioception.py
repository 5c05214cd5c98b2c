"""The joints at the moment of a frame: between the joint states around it, or not known."""

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from ami_nodes.convert import to_field, to_time
from ami_nodes.proprioception import JointHistory
from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec

SPEC = load_spec()
NAMES, FINGERS = SPEC.joint_names, SPEC.gripper.joint_names
MS = 1_000_000


def message(stamp_ns, arm, width=0.04, reverse=False, velocities=None):
    names = [*NAMES, *FINGERS]
    positions = [*arm, width / 2, width / 2]
    velocities = [*(np.zeros(7) if velocities is None else velocities), 0.0, 0.0]
    step = -1 if reverse else 1
    state = JointState(name=names[::step], position=to_field(positions[::step]), velocity=to_field(velocities[::step]))
    state.header.stamp = to_time(stamp_ns)
    return state


@pytest.fixture
def history():
    return JointHistory(SPEC)


@pytest.mark.parametrize("reverse", [False, True])
def test_between_two_joint_states_the_tool_is_between_them(history, reverse):
    moved = HOME + 0.02
    history.add(message(0, HOME, reverse=reverse))
    history.add(message(10 * MS, moved, reverse=reverse))
    expected = Kinematics().tool_position(HOME + 0.02 * 0.25)
    np.testing.assert_allclose(history.at(int(2.5 * MS)).tool_position, expected, atol=1e-9)
    assert history.at(0).gripper_width == pytest.approx(0.04)


def test_the_tool_velocity_is_the_derivative_of_its_position(history):
    velocities = np.linspace(-0.3, 0.4, 7)
    history.add(message(0, HOME, velocities=velocities))
    tool = Kinematics().tool_position
    expected = (tool(HOME + 1e-6 * velocities) - tool(HOME - 1e-6 * velocities)) / 2e-6
    np.testing.assert_allclose(history.at(0).tool_velocity, expected, atol=1e-6)


@pytest.mark.parametrize("stamp_ms", [-1, 45, 75, 101])
def test_a_frame_without_joint_states_near_it_on_both_sides_is_refused(history, stamp_ms):
    history.add(message(0, HOME))
    history.add(message(20 * MS, HOME))
    history.add(message(100 * MS, HOME))
    with pytest.raises(ValueError, match="within 20 ms"):
        history.at(stamp_ms * MS)


def test_a_frame_is_covered_once_joint_states_from_after_it_are_there(history):
    assert not history.covers(0)
    history.add(message(10 * MS, HOME))
    assert history.covers(10 * MS) and not history.covers(11 * MS)


def test_when_time_goes_back_the_old_joint_states_are_forgotten(history):
    history.add(message(100 * MS, HOME))
    history.add(message(50 * MS, HOME))
    with pytest.raises(ValueError):
        history.at(100 * MS)


def test_joint_states_without_a_joint_of_the_arm_are_refused(history):
    state = message(0, HOME)
    state.name, state.position, state.velocity = state.name[1:], state.position[1:], state.velocity[1:]
    with pytest.raises(ValueError, match="panda_joint1"):
        history.add(state)
