"""The grid encoder: a picture to a coarse grid of cells, each described by a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ami_robot.perception.conv import PixelCoordinates, check_sizes, convolution
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.strict import StrictError

_FINEST = VIEW_PIXELS // (4 * 2)  # cells a side after the first two convolutions


@dataclass(frozen=True)
class GridConfig:
    """Sizes of the grid encoder and of the goal head."""

    kind: ClassVar[str] = "grid"
    channels: tuple[int, int, int]  # of the three convolutions
    cells: int  # a side of the grid: 8 or 4
    cell_dim: int  # numbers that describe a cell
    head_hidden: int  # width of the goal head

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_sizes(self.channels, cell_dim=self.cell_dim, head_hidden=self.head_hidden)
        if self.cells not in (_FINEST, _FINEST // 2):
            raise StrictError(f"cells has to be {_FINEST} or {_FINEST // 2}, got {self.cells}.")

    @property
    def tokens(self) -> int:
        """Cells, row by row."""
        return self.cells**2

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.tokens * self.cell_dim

    def build(self) -> GridEncoder:
        """The encoder, with random weights."""
        return GridEncoder(self)


class GridEncoder(nn.Module):
    """64x64 picture -> latent (cells * cells * cell_dim,), by convolutions alone: a cell knows its neighbourhood.

    What is small in the picture has its own numbers here, and is not outvoted by the arm (DINO-WM, Zhou et al. 2024,
    plans on such a grid of frozen features).
    """

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        c1, c2, c3 = config.channels
        self.layers = nn.Sequential(
            PixelCoordinates(),
            *convolution(3 + 2, c1, kernel=8, stride=4, padding=2),
            *convolution(c1, c2, kernel=3, stride=2, padding=1),
            *convolution(c2, c3, kernel=3, stride=_FINEST // config.cells, padding=1),
            nn.Conv2d(c3, config.cell_dim, 1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D), cell after cell."""
        return self.layers(pictures).flatten(2).transpose(1, 2).flatten(1)
