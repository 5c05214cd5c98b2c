"""The simulator's truth on the wire: SimState <-> Snapshot. For the simulated arm and camera alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from ami_interfaces.msg import SimState
from geometry_msgs.msg import Pose, Quaternion

from ami_nodes.convert import as_array, to_field, to_point, to_time
from ami_sim.arm import SimulatedArm
from ami_sim.world import Snapshot


def fill_sim_state(message: SimState, arm: SimulatedArm) -> SimState:
    """Everything of SimState.msg but the real-time factor, as it is now."""
    message.header.stamp = to_time(arm.time_ns)
    message.header.frame_id = "base_link"
    message.scene_seed = arm.world.scene.seed
    positions, velocities = arm.joint_states()
    message.joint_positions, message.joint_velocities = to_field(positions), to_field(velocities)
    message.tool_position = to_point(arm.world.tool_position())
    message.block_poses = [
        Pose(position=to_point(position), orientation=_to_quaternion(orientation))
        for position, orientation in zip(*arm.world.block_poses(), strict=True)
    ]
    return message


def to_snapshot(message: Any) -> Snapshot:
    """What the mirror world of the camera needs."""
    positions = [(pose.position.x, pose.position.y, pose.position.z) for pose in message.block_poses]
    turns = [
        (pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w) for pose in message.block_poses
    ]
    return Snapshot(
        as_array(message.joint_positions), np.array(positions).reshape(-1, 3), np.array(turns).reshape(-1, 4)
    )


def _to_quaternion(values: np.ndarray) -> Quaternion:
    return Quaternion(x=float(values[0]), y=float(values[1]), z=float(values[2]), w=float(values[3]))
