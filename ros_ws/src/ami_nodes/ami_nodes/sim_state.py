"""The simulator's truth on the wire: SimState <-> Snapshot. For the simulated arm and camera alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from ami_interfaces.msg import PersonArray, SimState
from geometry_msgs.msg import Pose, Quaternion

from ami_nodes.convert import as_array, to_field, to_held_tool_msg, to_people_msg, to_point, to_time
from ami_robot.types import HeldTool, People
from ami_sim.arm import SimulatedArm
from ami_sim.world import Snapshot


def fill_sim_state(message: SimState, arm: SimulatedArm) -> SimState:
    """Everything of SimState.msg but task, real-time factor and the people's script, as it is now."""
    message.header.stamp = to_time(arm.time_ns)
    message.header.frame_id = "base_link"
    message.scene_seed = arm.world.scene.seed
    positions, velocities = arm.joint_states()
    message.joint_positions, message.joint_velocities = to_field(positions), to_field(velocities)
    message.tool_position = to_point(arm.world.tool_position())
    message.scene_time = arm.time_s
    message.held_tool = to_held_tool_msg(_held_tool(arm))
    message.block_poses = [
        Pose(position=to_point(position), orientation=_to_quaternion(orientation))
        for position, orientation in zip(*arm.world.block_poses(), strict=True)
    ]
    return message


def to_sim_people_msg(arm: SimulatedArm) -> PersonArray:
    """Everybody in the world as they are now, without any error."""
    assert arm.world.people is not None, "no people were added to this world"
    return to_people_msg(People(arm.time_ns, arm.world.people.persons()))


def to_snapshot(message: Any) -> Snapshot:
    """What the mirror world of the camera needs."""
    positions = [(pose.position.x, pose.position.y, pose.position.z) for pose in message.block_poses]
    turns = [
        (pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w) for pose in message.block_poses
    ]
    return Snapshot(
        as_array(message.joint_positions), np.array(positions).reshape(-1, 3), np.array(turns).reshape(-1, 4)
    )


def _held_tool(arm: SimulatedArm) -> HeldTool:
    tool = arm.world.held_tool
    return HeldTool(arm.time_ns, "none", np.zeros(3)) if tool is None else HeldTool(arm.time_ns, tool.hazard, tool.tip)


def _to_quaternion(values: np.ndarray) -> Quaternion:
    return Quaternion(x=float(values[0]), y=float(values[1]), z=float(values[2]), w=float(values[3]))
