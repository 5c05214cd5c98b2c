"""The keypoint encoder: a picture to one vector that knows to a fraction of a pixel where a few things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ami_robot.perception.conv import (
    PixelCoordinates,
    check_sizes,
    coarsest,
    coarsest_dim,
    convolution,
    fine_to_coarse,
    places,
    projection,
)
from ami_robot.perception.view import VIEW_PIXELS

_CELLS = VIEW_PIXELS // 2  # a side of the keypoints' maps
_PLACE_GAIN, _PEAK_GAIN = 2.0, 0.1  # at the start, all that goes into the vector is about as large


@dataclass(frozen=True)
class KeypointsConfig:
    """Sizes of the keypoint encoder and of the goal head."""

    kind: ClassVar[str] = "keypoints"
    latent_dim: int
    channels: tuple[int, int, int, int]  # of the four convolutions that see the whole picture
    fine_channels: int  # of the two that keep its detail
    keypoints: int
    hidden: int  # width of the layer before the latent
    head_hidden: int  # width of the goal head

    tokens: ClassVar[int] = 1  # parts of equal width that the latent consists of

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_sizes(
            (*self.channels, self.fine_channels), latent_dim=self.latent_dim, keypoints=self.keypoints,
            hidden=self.hidden, head_hidden=self.head_hidden,
        )  # fmt: skip

    def build(self) -> KeypointEncoder:
        """The encoder, with random weights."""
        return KeypointEncoder(self)


class KeypointEncoder(nn.Module):
    """64x64 picture -> latent (D,), by convolutions and by keypoints.

    A keypoint is a map over the picture, of fine features that know by coarse ones what they belong to. The vector is
    made of the keypoints' expected rows and columns (spatial soft arg-max, Levine et al. 2016 and Finn et al. 2016),
    how sure each map is, and what convolutions see as in the `conv` encoder.
    """

    line: Tensor

    def __init__(self, config: KeypointsConfig) -> None:
        super().__init__()
        fine = config.fine_channels
        self.coordinates = PixelCoordinates()
        self.coarse = nn.Sequential(*fine_to_coarse(config.channels))
        self.coarsest = nn.Sequential(*coarsest(config.channels))
        self.fine = nn.Sequential(
            *convolution(3 + 2, fine, kernel=4, stride=2, padding=1),
            *convolution(fine, fine, kernel=3, stride=1, padding=1),
        )
        self.context = nn.Conv2d(config.channels[2], fine, 1)
        self.maps = nn.Conv2d(2 * fine, config.keypoints, 1)
        inputs = coarsest_dim(config.channels) + 3 * config.keypoints
        self.projection = projection(inputs, config.hidden, config.latent_dim)
        self.register_buffer("line", torch.linspace(-1, 1, _CELLS), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D)."""
        placed = self.coordinates(pictures)
        coarse = self.coarse(placed)
        context = functional.interpolate(self.context(coarse), size=_CELLS, mode="bilinear")
        maps = self.maps(torch.cat([self.fine(placed), context], dim=1)).float()  # (N, keypoints, cells, cells)
        return self.projection(torch.cat([self.coarsest(coarse), self._looked_at(maps)], dim=1))

    def _looked_at(self, maps: Tensor) -> Tensor:
        """(N, 3 * keypoints): row and column of each map, then the peaks."""
        looks = maps.flatten(2).softmax(dim=-1).unflatten(-1, (_CELLS, _CELLS))
        placed = _PLACE_GAIN * places(looks, self.line)
        return torch.cat([placed.flatten(1), _PEAK_GAIN * maps.amax(dim=(-1, -2))], dim=1)
