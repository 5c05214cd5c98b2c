"""The convolutional encoder: a picture to one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.strict import StrictError

GROUPS = 8  # of GroupNorm (Wu & He 2018)


@dataclass(frozen=True)
class ConvConfig:
    """Sizes of the convolutional encoder and of the goal head."""

    kind: ClassVar[str] = "conv"
    latent_dim: int
    channels: tuple[int, int, int, int]  # of the four convolutions
    hidden: int  # width of the layer before the latent
    head_hidden: int  # width of the goal head

    tokens: ClassVar[int] = 1  # parts of equal width that the latent consists of

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_sizes(self.channels, latent_dim=self.latent_dim, hidden=self.hidden, head_hidden=self.head_hidden)

    def build(self) -> ConvEncoder:
        """The encoder, with random weights."""
        return ConvEncoder(self)


class ConvEncoder(nn.Module):
    """64x64 picture -> latent (D,), by four convolutions with pixel coordinates as input.

    No normalisation at the end: what keeps the latent from collapsing is the training loss.
    """

    def __init__(self, config: ConvConfig) -> None:
        super().__init__()
        self.coordinates = PixelCoordinates()
        self.convolutions = nn.Sequential(*fine_to_coarse(config.channels), *coarsest(config.channels))
        self.projection = projection(coarsest_dim(config.channels), config.hidden, config.latent_dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D)."""
        return self.projection(self.convolutions(self.coordinates(pictures)))


class PixelCoordinates(nn.Module):
    """Adds each pixel's row and column, -1..1, as two channels (CoordConv, Liu et al. 2018)."""

    coordinates: Tensor

    def __init__(self, pixels: int = VIEW_PIXELS) -> None:
        super().__init__()
        line = torch.linspace(-1, 1, pixels)
        self.register_buffer("coordinates", torch.stack(torch.meshgrid(line, line, indexing="ij")), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, C, pixels, pixels) -> (N, C + 2, pixels, pixels)."""
        return torch.cat([pictures, self.coordinates.expand(len(pictures), -1, -1, -1)], dim=1)


def convolution(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    """A convolution with normalisation and SiLU."""
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.GroupNorm(GROUPS, outputs), nn.SiLU()]


def fine_to_coarse(channels: tuple[int, int, int, int]) -> list[nn.Module]:
    """Three convolutions: a picture with coordinates -> (N, channels[2], 8, 8)."""
    c1, c2, c3, _ = channels
    return [
        *convolution(3 + 2, c1, kernel=8, stride=4, padding=2),
        *convolution(c1, c2, kernel=3, stride=2, padding=1),
        *convolution(c2, c3, kernel=3, stride=1, padding=1),
    ]


def coarsest(channels: tuple[int, int, int, int]) -> list[nn.Module]:
    """The fourth, of what they see: -> (N, coarsest_dim(channels))."""
    return [*convolution(channels[2], channels[3], kernel=3, stride=2, padding=1), nn.Flatten()]


def coarsest_dim(channels: tuple[int, int, int, int]) -> int:
    """Numbers that the fourth convolution makes of a picture."""
    return channels[3] * (VIEW_PIXELS // (4 * 2 * 2)) ** 2


def projection(inputs: int, hidden: int, latent_dim: int) -> nn.Sequential:
    """(N, inputs) -> (N, latent_dim)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), nn.Linear(hidden, latent_dim))


def places(maps: Tensor, line: Tensor) -> Tensor:
    """Expected rows and columns (..., 2) under maps (..., C, C) that sum to 1: spatial soft arg-max (Finn et al. 2016).

    `line` (C,) is the coordinate of each row and column.
    """
    return torch.stack([(maps.sum(axis) * line).sum(-1) for axis in (-1, -2)], dim=-1)


def check_sizes(channels: tuple[int, ...], **sizes: int) -> None:
    """Raise StrictError unless the channels can be normalised in groups and every size is positive."""
    if any(count < 1 or count % GROUPS for count in channels):
        raise StrictError(f"channels have to be positive multiples of {GROUPS}, got {list(channels)}.")
    if wrong := [name for name, size in sizes.items() if size < 1]:
        raise StrictError(f"{', '.join(wrong)} has to be at least 1.")
