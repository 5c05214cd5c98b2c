"""The encoder: camera frames beside the proprioception of the same moment, and goal pictures on request."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

from ami_interfaces.msg import Latent as LatentMsg
from ami_interfaces.srv import EncodeImage
from sensor_msgs.msg import CameraInfo, Image, JointState

from ami_nodes import qos
from ami_nodes.common import CHECKPOINT, COMPLAIN_EVERY_S, GUARDRAIL_FILE, AmiNode, run_node
from ami_nodes.convert import to_ns
from ami_nodes.eye import Eye
from ami_nodes.health import Health, Meter
from ami_robot.perception.checkpoint import load_checkpoint

BLIND_IMAGES = 5  # before camera_info counts as missing: the two topics are not discovered in the same moment


class EncoderNode(AmiNode):
    """camera/image_raw + joint_states -> latent; encode_image: a picture -> its latent and the tool position in it."""

    PARAMETERS = (GUARDRAIL_FILE, CHECKPOINT)

    def build(self) -> None:
        """Load and verify the checkpoint."""
        checkpoint = load_checkpoint(self.settings.checkpoint)
        self.eye = Eye(checkpoint, self.load_spec())
        self.waiting: deque[Image] = deque(maxlen=1)
        self.camera_info: CameraInfo | None = None
        self.blind_images = 0
        self.encoded = Meter("encoded")
        self.latent_publisher = self.publisher(LatentMsg, "latent", qos.SENSOR_OUT)

    def start(self) -> list[Any]:
        """Encode from now on."""
        return [
            self.subscription(CameraInfo, "camera/camera_info", self.on_camera_info, qos.LATEST_IN),
            self.subscription(Image, "camera/image_raw", self.on_image, qos.LATEST_IN),
            self.subscription(JointState, "joint_states", self.on_joint_states, qos.SENSOR_IN),
            self.create_service(EncodeImage, "encode_image", self.on_encode_image),
        ]

    def health(self) -> Health:
        """How many pictures, and how long one takes."""
        figures = self.encoded.read()
        return Health("" if figures["encoded_hz"] else "no pictures to encode", figures)

    def on_camera_info(self, message: CameraInfo) -> None:
        """Which optics the next image has."""
        self.camera_info = message

    def on_joint_states(self, message: JointState) -> None:
        """Remember it; an image may have been waiting for the joint states after it."""
        self.eye.history.add(message)
        if self.waiting and self.eye.history.covers(to_ns(self.waiting[0].header.stamp)):
            self.encode(self.waiting.popleft())

    def on_image(self, message: Image) -> None:
        """Encode it once joint states from after its stamp are here; a newer image replaces one that waits."""
        if self.eye.history.covers(to_ns(message.header.stamp)):
            self.encode(message)
        else:
            self.waiting.append(message)

    def encode(self, message: Image) -> None:
        """One image -> one latent, or one sentence why not."""
        if self.camera_info is None:
            self.blind_images += 1
            if self.blind_images > BLIND_IMAGES:
                self.complain("image dropped: there is no camera_info.")
            return
        try:
            with self.encoded.timed():
                latent = self.eye.see(message, self.camera_info)
        except ValueError as error:
            self.complain(f"image dropped: {error}")
            return
        self.latent_publisher.publish(latent)

    def on_encode_image(self, request: EncodeImage.Request, response: EncodeImage.Response) -> EncodeImage.Response:
        """A goal picture: the tool position is decoded from it, not measured."""
        try:
            response.latent = self.eye.see_goal(request.image, request.camera_info, request.preprocessing_id)
        except ValueError as error:
            response.message = f"cannot encode the picture: {error}"
            return response
        response.success = True
        return response

    def complain(self, sentence: str) -> None:
        """To the log, not more often than every few seconds."""
        self.get_logger().warning(sentence, throttle_duration_sec=COMPLAIN_EVERY_S)


def main() -> int:
    """Run the node."""
    return run_node("encoder", lambda: EncoderNode("encoder"))


if __name__ == "__main__":
    sys.exit(main())
