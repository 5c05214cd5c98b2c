"""What every camera node says: its pictures, how the lens maps them, and where it stands. Its subclasses see."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from ami_nodes import qos
from ami_nodes.common import AmiNode
from ami_nodes.convert import to_camera_info_msg, to_image_msg
from ami_nodes.health import Health, Meter
from ami_nodes.parameters import Param
from ami_nodes.transforms import stamped_transform
from ami_robot.perception.camera import CameraModel, camera_file, load_camera

OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""REP 103: the link has x forward, y left, z up; the optical frame has z forward, x right, y down."""


class CameraNode(AmiNode):
    """camera/image_raw and camera/camera_info with the stamp of the capture; the camera's pose on /tf_static."""

    PARAMETERS: ClassVar[tuple[Param, ...]] = (
        Param("camera_file", "front", "camera YAML, or a shipped one: front or close"),
    )

    def build(self) -> None:
        """Read the camera."""
        self.camera = load_camera(camera_file(self.settings.camera_file))
        self.image_publisher = self.publisher(Image, "camera/image_raw", qos.SENSOR_OUT)
        self.info_publisher = self.publisher(CameraInfo, "camera/camera_info", qos.SENSOR_OUT)
        self.tf_publisher = self.publisher(TFMessage, "/tf_static", qos.LATCHED)
        self.pictures = Meter("pictures")

    def start(self) -> list[Any]:
        """Say where the camera is."""
        self.tf_publisher.publish(static_transforms(self.camera))
        return []

    def health(self) -> Health:
        """How many pictures."""
        figures = self.pictures.read()
        return Health("" if figures["pictures_hz"] else "no pictures", figures)

    def show(self, image: np.ndarray, stamp_ns: int) -> None:
        """A picture (height, width, 3), rgb8, of the size in the camera file, captured at this time."""
        self.pictures.tick()
        self.info_publisher.publish(to_camera_info_msg(self.camera, stamp_ns))
        self.image_publisher.publish(to_image_msg(image, stamp_ns, self.camera.frame_id))


def static_transforms(camera: CameraModel) -> TFMessage:
    """base_link -> <camera>_link -> <camera>_optical_frame; stamp 0, as it holds for all time."""
    link = camera.frame_id.removesuffix("_optical_frame") + "_link"
    to_link = stamped_transform("base_link", link, camera.position, camera.rotation @ OPTICAL_IN_LINK.T)
    return TFMessage(transforms=[to_link, stamped_transform(link, camera.frame_id, np.zeros(3), OPTICAL_IN_LINK)])
