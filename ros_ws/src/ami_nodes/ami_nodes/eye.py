"""Messages of a camera and of joint states -> latents: what the encoder node and a replay of its inputs share."""

from __future__ import annotations

from typing import Any

import numpy as np
from ami_interfaces.msg import Latent as LatentMsg

from ami_nodes.convert import from_camera_info_msg, from_image_msg, to_latent_msg, to_ns
from ami_nodes.proprioception import JointHistory
from ami_robot.agent import wrong_view
from ami_robot.episodes.goals import GoalError
from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.view import TrainingView
from ami_robot.safety.spec import Spec
from ami_robot.types import Latent


class Eye:
    """Encodes pictures of any camera with the joint states around them, which are to be added to `history`."""

    def __init__(self, checkpoint: Checkpoint, spec: Spec) -> None:
        """Raises CheckpointError when the checkpoint's tensors do not fit its configuration."""
        self.history = JointHistory(spec)
        self._encoder = ImageEncoder(checkpoint)
        self._training_camera = checkpoint.training_camera
        self._views: dict[tuple, TrainingView] = {}

    def see(self, image: Any, info: Any) -> LatentMsg:
        """A frame, with what the joints said at its stamp.

        Raises ValueError without joint states near enough, and when this camera cannot give the training view.
        """
        proprio = self.history.at(to_ns(image.header.stamp))
        latent = self._encode(image, info)
        return self._message(image, latent, proprio.tool_position, proprio.tool_velocity, proprio.gripper_width)

    def see_goal(self, image: Any, info: Any, preprocessing_id: str) -> LatentMsg:
        """A goal picture: the tool position is decoded from it, not measured. One that has a preprocessing id has to be
        of the training view. Raises ValueError as `see` does.
        """
        if preprocessing_id not in ("", self._encoder.preprocessing_id):
            raise GoalError(wrong_view(preprocessing_id, self._encoder.preprocessing_id))
        latent = self._encode(image, info)
        return self._message(image, latent, self._encoder.decode_tool_position(latent), np.zeros(3), 0.0)

    def _encode(self, image: Any, info: Any) -> np.ndarray:
        key = (info.width, info.height, tuple(info.k), tuple(info.d))
        if key not in self._views:
            self._views = {key: TrainingView(from_camera_info_msg(info), self._training_camera)}
        return self._encoder.encode(self._views[key](from_image_msg(image), image.encoding))

    def _message(
        self, image: Any, latent: np.ndarray, position: np.ndarray, velocity: np.ndarray, gripper_width: float
    ) -> LatentMsg:
        record = Latent(
            stamp_ns=to_ns(image.header.stamp),
            image_latent=latent,
            tool_position=position,
            tool_velocity=velocity,
            gripper_width=gripper_width,
            checkpoint_sha256=self._encoder.checkpoint_sha256,
            preprocessing_id=self._encoder.preprocessing_id,
            block_position=self._encoder.decode_block_position(latent),
        )
        return to_latent_msg(record, image.header.frame_id)
