"""The encoder: a picture to a representation, and from a representation to where the tool is."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ami_robot.perception.backbone import BackboneConfig
from ami_robot.perception.checkpoint import Checkpoint, CheckpointError
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.keypoints import KeypointsConfig
from ami_robot.perception.slots import SlotsConfig
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.perception.vit import ViTConfig
from ami_robot.types import Array

EncoderConfig = ConvConfig | GridConfig | KeypointsConfig | SlotsConfig | ViTConfig | BackboneConfig
"""The kinds of encoder, by their sizes; the first is what a description without a kind means. All of them have
`latent_dim` (D), `tokens` (parts of equal width that the latent consists of, 1 for a vector), `head_hidden` (width of
the goal head) and `build()`."""

BLOCK_HEAD = "block_head"
"""Its name in a checkpoint."""


class GoalHead(nn.Module):
    """Latent (..., D) -> where the tool is (..., 3), m; labels are the forward kinematics of the measured joints."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, outputs: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.latent_dim, config.head_hidden),
            nn.SiLU(),
            nn.Linear(config.head_hidden, config.head_hidden),
            nn.SiLU(),
            nn.Linear(config.head_hidden, outputs),
        )
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def forward(self, latents: Tensor) -> Tensor:
        """(..., D) -> (..., 3), m."""
        return self.layers(latents).float() * self.std + self.mean


class PlaceHead(GoalHead):
    """Latent (..., D) -> where the block is (..., 3), m, and how far off that may be; labels are the simulator's."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, outputs=4)

    def forward(self, latents: Tensor) -> Tensor:
        """(..., D) -> (..., 3), m."""
        return self.place(latents)[0]

    def place(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D) -> mean (..., 3) and standard deviation of each coordinate (...), m."""
        found = self.layers(latents).float()
        return found[..., :3] * self.std + self.mean, found[..., 3].exp() * torch.linalg.vector_norm(self.std)


class ImageEncoder:
    """The trained encoder and goal head, for one picture at a time, in numpy."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build from a checkpoint; raises CheckpointError when its tensors do not fit its configuration."""
        torch.set_num_threads(1)  # one small picture: threads cost more than they give, and starve the other nodes
        config: EncoderConfig = checkpoint.sizes("encoder", EncoderConfig)
        self._encoder = checkpoint.fill(config.build(), "encoder")
        self._head = checkpoint.fill(GoalHead(config), "goal_head")
        self._block_head = load_block_head(checkpoint) if has_block_head(checkpoint) else None
        self.checkpoint_sha256 = checkpoint.sha256
        self.preprocessing_id = checkpoint.preprocessing_id
        self.latent_dim = config.latent_dim

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(64, 64, 3) uint8 rgb, the training view -> (D,). Raises ValueError on another shape or type."""
        if image.shape != (VIEW_PIXELS, VIEW_PIXELS, 3) or image.dtype != np.uint8:
            raise ValueError(f"the encoder takes a (64, 64, 3) uint8 training view, got {image.shape} {image.dtype}.")
        return self.encode_many(image[None])[0]

    @torch.inference_mode()
    def encode_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same for (N, 64, 64, 3) -> (N, D)."""
        pictures = torch.from_numpy(np.ascontiguousarray(images))
        return self._encoder(normalise_pictures(pictures)).numpy()

    @torch.inference_mode()
    def decode_tool_position(self, latent: Array) -> NDArray[np.float32]:
        """(D,) -> (3,), m in base_link: where the tool is in the picture that the latent came from."""
        return self._head(torch.as_tensor(np.asarray(latent, np.float32))).numpy()

    @torch.inference_mode()
    def decode_block_position(self, latent: Array) -> NDArray[np.float32] | None:
        """(D,) -> (3,), m in base_link: where the block is in that picture; None where no head was fitted for it."""
        if self._block_head is None:
            return None
        return self._block_head(torch.as_tensor(np.asarray(latent, np.float32))).numpy()


def has_block_head(checkpoint: Checkpoint) -> bool:
    """Whether its training fitted one."""
    return any(name.startswith(f"{BLOCK_HEAD}.") for name in checkpoint.tensors)


def load_block_head(checkpoint: Checkpoint) -> PlaceHead:
    """The head that says where the block is; raises CheckpointError where there is none."""
    if not has_block_head(checkpoint):
        raise CheckpointError(
            f"{checkpoint.source} has no head for the block; train with block_head: true on data with one block."
        )
    return checkpoint.fill(PlaceHead(checkpoint.sizes("encoder", EncoderConfig)), BLOCK_HEAD)


def normalise_pictures(pictures: Tensor) -> Tensor:
    """(N, 64, 64, 3) uint8 -> (N, 3, 64, 64) float in -0.5..0.5."""
    return pictures.permute(0, 3, 1, 2).float().div_(255).sub_(0.5)
