"""The encoder: a picture to a representation, and from a representation to where the tool is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.types import Array

_GROUPS = 8  # of GroupNorm (Wu & He 2018)


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder and of the goal head."""

    latent_dim: int
    channels: tuple[int, int, int, int]  # of the four convolutions
    hidden: int  # width of the layer before the latent
    head_hidden: int  # width of the goal head


class Encoder(nn.Module):
    """64x64 picture -> latent (D,), by four convolutions with pixel coordinates as input (CoordConv, Liu et al. 2018).

    No normalisation at the end: what keeps the latent from collapsing is the training loss.
    """

    coordinates: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = config.channels
        self.convolutions = nn.Sequential(
            *_convolution(3 + 2, c1, kernel=8, stride=4, padding=2),
            *_convolution(c1, c2, kernel=3, stride=2, padding=1),
            *_convolution(c2, c3, kernel=3, stride=1, padding=1),
            *_convolution(c3, c4, kernel=3, stride=2, padding=1),
            nn.Flatten(),
        )
        pixels = VIEW_PIXELS // (4 * 2 * 2)
        self.projection = nn.Sequential(
            nn.Linear(c4 * pixels**2, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.latent_dim),
        )
        line = torch.linspace(-1, 1, VIEW_PIXELS)
        self.register_buffer("coordinates", torch.stack(torch.meshgrid(line, line, indexing="ij")), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D)."""
        coordinates = self.coordinates.expand(len(pictures), -1, -1, -1)
        return self.projection(self.convolutions(torch.cat([pictures, coordinates], dim=1)))


class GoalHead(nn.Module):
    """Latent (..., D) -> tool position (..., 3), m. Its labels are the forward kinematics of the measured joints."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(config.latent_dim, config.head_hidden),
            nn.SiLU(),
            nn.Linear(config.head_hidden, config.head_hidden),
            nn.SiLU(),
            nn.Linear(config.head_hidden, 3),
        )
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def forward(self, latents: Tensor) -> Tensor:
        """(..., D) -> (..., 3), m."""
        return self.layers(latents).float() * self.std + self.mean


class ImageEncoder:
    """The trained encoder and goal head, for one picture at a time, in numpy."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build from a checkpoint; raises CheckpointError when its tensors do not fit its configuration."""
        torch.set_num_threads(1)  # one small picture: threads cost more than they give, and starve the other nodes
        config = checkpoint.sizes("encoder", EncoderConfig)
        self._encoder = checkpoint.fill(Encoder(config), "encoder")
        self._head = checkpoint.fill(GoalHead(config), "goal_head")
        self.checkpoint_sha256 = checkpoint.sha256
        self.preprocessing_id = checkpoint.preprocessing_id
        self.latent_dim = config.latent_dim

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(64, 64, 3) uint8 rgb, the training view -> (D,). Raises ValueError on another shape or type."""
        if image.shape != (VIEW_PIXELS, VIEW_PIXELS, 3) or image.dtype != np.uint8:
            raise ValueError(f"the encoder takes a (64, 64, 3) uint8 training view, got {image.shape} {image.dtype}.")
        pictures = torch.from_numpy(np.ascontiguousarray(image))[None]
        return self._encoder(normalise_pictures(pictures))[0].numpy()

    @torch.inference_mode()
    def decode_tool_position(self, latent: Array) -> NDArray[np.float32]:
        """(D,) -> (3,), m in base_link: where the tool is in the picture that the latent came from."""
        return self._head(torch.as_tensor(np.asarray(latent, np.float32))).numpy()


def normalise_pictures(pictures: Tensor) -> Tensor:
    """(N, 64, 64, 3) uint8 -> (N, 3, 64, 64) float in -0.5..0.5."""
    return pictures.permute(0, 3, 1, 2).float().div_(255).sub_(0.5)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.GroupNorm(_GROUPS, outputs), nn.SiLU()]
