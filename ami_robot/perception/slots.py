"""The slot encoder: a picture to a few points that are looked at, each with its place and its looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.perception.conv import PixelCoordinates, check_sizes, convolution, places
from ami_robot.perception.view import VIEW_PIXELS

_CELLS = VIEW_PIXELS // 4  # a side of the attention maps
_SHARPNESS = 10.0  # at the start: a map that looks at everything alike says nothing, and is slow to learn better
_GAIN = 2.0  # at the start: half the picture is about one unit, as the variance term wants it


@dataclass(frozen=True)
class SlotsConfig:
    """Sizes of the slot encoder and of the goal head."""

    kind: ClassVar[str] = "slots"
    channels: tuple[int, int, int]  # of the three convolutions
    slots: int
    appearance_dim: int  # numbers that describe what is at a slot's place
    head_hidden: int  # width of the goal head

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_sizes(self.channels, slots=self.slots, appearance_dim=self.appearance_dim, head_hidden=self.head_hidden)

    @property
    def tokens(self) -> int:
        """Slots."""
        return self.slots

    @property
    def latent_dim(self) -> int:
        """D: row, column and appearance of each slot."""
        return self.slots * (2 + self.appearance_dim)

    def build(self) -> SlotEncoder:
        """The encoder, with random weights."""
        return SlotEncoder(self)


class SlotEncoder(nn.Module):
    """64x64 picture -> latent (slots * (2 + appearance_dim),).

    A slot is an attention map over the picture: the softmax of one channel. Its place is the expected row and column
    under that map (spatial soft arg-max, Finn et al. 2016), its appearance the expected feature. A slot always looks
    for the same thing, so slots need no matching from one picture to the next.
    """

    line: Tensor

    def __init__(self, config: SlotsConfig) -> None:
        super().__init__()
        c1, c2, c3 = config.channels
        self.features = nn.Sequential(
            PixelCoordinates(),
            *convolution(3 + 2, c1, kernel=8, stride=4, padding=2),
            *convolution(c1, c2, kernel=3, stride=1, padding=1),
            *convolution(c2, c3, kernel=3, stride=1, padding=1),
        )
        self.attention = nn.Conv2d(c3, config.slots, 1)
        self.sharpness = nn.Parameter(torch.full((config.slots, 1), _SHARPNESS))
        self.appearance = nn.Linear(c3, config.appearance_dim)
        self.gain = nn.Parameter(torch.full((config.slots, 2), _GAIN))
        self.register_buffer("line", torch.linspace(-1, 1, _CELLS), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D), slot after slot."""
        features = self.features(pictures)
        attention = (self.sharpness * self.attention(features).flatten(2)).float().softmax(dim=-1)  # (N, slots, cells)
        maps = attention.unflatten(-1, (_CELLS, _CELLS))
        placed = places(maps, self.line) * self.gain
        looks = self.appearance(attention @ features.flatten(2).transpose(1, 2).float())
        return torch.cat([placed, looks], dim=-1).flatten(1)
