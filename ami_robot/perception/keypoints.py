"""The keypoint encoder: a picture to one vector that knows to a fraction of a pixel where a few things are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ami_robot.perception.conv import PixelCoordinates, check_sizes, convolution
from ami_robot.perception.view import VIEW_PIXELS

_CELLS = VIEW_PIXELS // 2  # a side of the keypoints' maps
_COARSEST = VIEW_PIXELS // (4 * 2 * 2)  # of the features that the rest of the vector comes from
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
    how sure each map is, and what convolutions see as in the `conv` encoder, which alone places a thing of three pixels
    no better than to one.
    """

    line: Tensor

    def __init__(self, config: KeypointsConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = config.channels
        fine = config.fine_channels
        self.coordinates = PixelCoordinates()
        self.coarse = nn.Sequential(
            *convolution(3 + 2, c1, kernel=8, stride=4, padding=2),
            *convolution(c1, c2, kernel=3, stride=2, padding=1),
            *convolution(c2, c3, kernel=3, stride=1, padding=1),
        )
        self.coarsest = nn.Sequential(*convolution(c3, c4, kernel=3, stride=2, padding=1), nn.Flatten())
        self.fine = nn.Sequential(
            *convolution(3 + 2, fine, kernel=4, stride=2, padding=1),
            *convolution(fine, fine, kernel=3, stride=1, padding=1),
        )
        self.context = nn.Conv2d(c3, fine, 1)
        self.maps = nn.Conv2d(2 * fine, config.keypoints, 1)
        self.projection = nn.Sequential(
            nn.Linear(c4 * _COARSEST**2 + 3 * config.keypoints, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.latent_dim),
        )
        self.register_buffer("line", torch.linspace(-1, 1, _CELLS), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D)."""
        placed = self.coordinates(pictures)
        coarse = self.coarse(placed)
        context = functional.interpolate(self.context(coarse), size=_CELLS, mode="bilinear")
        maps = self.maps(torch.cat([self.fine(placed), context], dim=1)).float()  # (N, keypoints, cells, cells)
        return self.projection(torch.cat([self.coarsest(coarse), self._looked_at(maps)], dim=1))

    def _looked_at(self, maps: Tensor) -> Tensor:
        """(N, 3 * keypoints): rows, columns and peaks of the maps."""
        looks = maps.flatten(2).softmax(dim=-1).unflatten(-1, (_CELLS, _CELLS))
        places = [_PLACE_GAIN * (looks.sum(axis) * self.line).sum(-1) for axis in (-1, -2)]
        return torch.cat([*places, _PEAK_GAIN * maps.amax(dim=(-1, -2))], dim=1)
