"""The world model that needs no learning: the tool does what it is told, and nothing is known of pictures."""

from __future__ import annotations

import numpy as np

from ami_robot.types import (
    ACTION_DIM,
    GRIPPER_WIDTH,
    MODEL_STEP_S,
    PROPRIO_DIM,
    TOOL_POSITION,
    TOOL_TARGET,
    TOOL_VELOCITY,
    Array,
    Outcomes,
)
from ami_robot.world_model.protocol import PullBack


class KinematicModel:
    """After each step the tool is at its target. The image latent is repeated, so it can serve pose goals only."""

    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """See `WorldModel.predict`."""
        targets = proprio[TOOL_TARGET] + np.cumsum(actions[..., :3], axis=1)
        predicted = np.empty((*actions.shape[:2], PROPRIO_DIM))
        predicted[..., TOOL_POSITION] = predicted[..., TOOL_TARGET] = targets
        predicted[..., TOOL_VELOCITY] = actions[..., :3] / MODEL_STEP_S
        predicted[..., GRIPPER_WIDTH] = actions[..., 3:]
        latents = np.broadcast_to(image_latent, (*actions.shape[:2], len(image_latent)))
        return Outcomes(latents, predicted)

    def step(self, image_latents: Array, proprio: Array, actions: Array) -> tuple[Array, Array]:
        """See `LocalWorldModel.step`."""
        following = np.empty_like(proprio)
        following[:, TOOL_POSITION] = following[:, TOOL_TARGET] = proprio[:, TOOL_TARGET] + actions[:, :3]
        following[:, TOOL_VELOCITY] = actions[:, :3] / MODEL_STEP_S
        following[:, GRIPPER_WIDTH] = actions[:, 3:]
        return image_latents, following

    def differentiate(self, image_latent: Array, proprio: Array, actions: Array) -> tuple[Outcomes, PullBack]:
        """See `LocalWorldModel.differentiate`."""

        def pull_back(_: Array, slopes: Array) -> Array:
            back = np.zeros((*slopes.shape[:2], ACTION_DIM))
            on_targets = slopes[..., TOOL_POSITION] + slopes[..., TOOL_TARGET]
            back[..., :3] = np.flip(np.cumsum(np.flip(on_targets, axis=1), axis=1), axis=1)
            back[..., :3] += slopes[..., TOOL_VELOCITY] / MODEL_STEP_S
            back[..., 3:] = slopes[..., GRIPPER_WIDTH]
            return back

        return self.predict(image_latent, proprio, actions), pull_back
