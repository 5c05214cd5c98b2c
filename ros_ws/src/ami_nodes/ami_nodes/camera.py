"""The simulated camera: draws its own mirror of the world, so that rendering never holds the physics up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ami_interfaces.msg import HeldTool, SimState
from geometry_msgs.msg import Transform, TransformStamped
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from ami_nodes import qos
from ami_nodes.common import AmiNode, run_node
from ami_nodes.convert import to_camera_info_msg, to_image_msg, to_ns, to_vector3, xyz
from ami_nodes.parameters import Param
from ami_nodes.sim_state import to_snapshot
from ami_nodes.transforms import quaternion
from ami_robot.perception.camera import FRONT_CAMERA, CameraModel, load_camera
from ami_sim.people_scripts import SCRIPTS
from ami_sim.scene import Scene
from ami_sim.world import World

OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""REP 103: the link has x forward, y left, z up; the optical frame has z forward, x right, y down."""


class CameraNode(AmiNode):
    """sim/state -> camera/image_raw and camera/camera_info with the stamp of the state; its pose on /tf_static."""

    PARAMETERS = (Param("camera_file", "", "camera YAML; empty is the camera of the shipped checkpoint"),)

    def build(self) -> None:
        """Read the camera; the world is made with the first state, whose scene it has to show."""
        self.camera = load_camera(Path(self.settings.camera_file or FRONT_CAMERA))
        self.world: World | None = None
        self.drawn: tuple[int, str, str] | None = None  # scene, people and tool of that world
        self.image_publisher = self.publisher(Image, "camera/image_raw", qos.SENSOR_OUT)
        self.info_publisher = self.publisher(CameraInfo, "camera/camera_info", qos.SENSOR_OUT)
        self.tf_publisher = self.publisher(TFMessage, "/tf_static", qos.LATCHED)

    def start(self) -> list[Any]:
        """Say where the camera is, then draw the newest state."""
        self.tf_publisher.publish(static_transforms(self.camera))
        return [self.create_subscription(SimState, "sim/state", self.on_state, qos.LATEST_IN)]

    def discard(self) -> None:
        """Give the mirror world back."""
        if self.world is not None:
            self.world.close()
            self.world = None

    def on_state(self, message: SimState) -> None:
        """One state -> one image."""
        drawn = (message.scene_seed, message.people, message.held_tool.hazard)
        if self.world is None or drawn != self.drawn:
            self.world, self.drawn = self.mirror_world(message), drawn
        if self.world.people is not None:
            self.world.people.move_to(message.scene_time)
        self.world.mirror(to_snapshot(message))
        stamp_ns = to_ns(message.header.stamp)
        self.info_publisher.publish(to_camera_info_msg(self.camera, stamp_ns))
        self.image_publisher.publish(to_image_msg(self.world.render(), stamp_ns, self.camera.frame_id))

    def mirror_world(self, message: SimState) -> World:
        """The scene from its start, with its people and what the gripper holds."""
        scene, tool = Scene.from_seed(message.scene_seed), message.held_tool
        world = self.world or World(scene, self.camera)
        if world is self.world:
            world.reset(scene)
        if message.people in SCRIPTS:
            world.add_people(SCRIPTS[message.people])
        if tool.hazard != HeldTool.NONE:
            world.hold_tool(tool.hazard, xyz(tool.tip))
        return world


def static_transforms(camera: CameraModel) -> TFMessage:
    """base_link -> <camera>_link -> <camera>_optical_frame; stamp 0, as it holds for all time."""
    link = camera.frame_id.removesuffix("_optical_frame") + "_link"
    steps = (
        ("base_link", link, camera.position, camera.rotation @ OPTICAL_IN_LINK.T),
        (link, camera.frame_id, np.zeros(3), OPTICAL_IN_LINK),
    )
    message = TFMessage()
    for parent, child, position, rotation in steps:
        transform = Transform(translation=to_vector3(position), rotation=quaternion(rotation))
        stamped = TransformStamped(child_frame_id=child, transform=transform)
        stamped.header.frame_id = parent
        message.transforms.append(stamped)
    return message


def main() -> int:
    """Run the node."""
    return run_node("camera", lambda: CameraNode("camera"))


if __name__ == "__main__":
    sys.exit(main())
