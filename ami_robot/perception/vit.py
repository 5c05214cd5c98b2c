"""The vision transformer: a picture in patches to a few summary tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.perception.attention import SelfAttention, check_heads
from ami_robot.perception.conv import PixelCoordinates, check_sizes
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.strict import StrictError

_INITIAL_SPREAD = 0.02  # of position embeddings and summary tokens


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of the vision transformer and of the goal head."""

    kind: ClassVar[str] = "vit"
    patch: int  # side, pixels
    width: int
    depth: int
    heads: int
    summaries: int  # tokens that the latent consists of
    summary_dim: int  # width of each of them in the latent
    head_hidden: int  # width of the goal head

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_heads(self.width, self.heads)
        check_sizes((), depth=self.depth, summaries=self.summaries, summary_dim=self.summary_dim, patch=self.patch)
        if VIEW_PIXELS % self.patch:
            raise StrictError(f"patch has to divide the {VIEW_PIXELS} pixels of the view, got {self.patch}.")

    @property
    def tokens(self) -> int:
        """Summaries."""
        return self.summaries

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.summaries * self.summary_dim

    def build(self) -> ViTEncoder:
        """The encoder, with random weights."""
        return ViTEncoder(self)


class ViTEncoder(nn.Module):
    """64x64 picture -> latent (summaries * summary_dim,) (ViT, Dosovitskiy et al. 2021).

    Learned summary tokens go through the transformer beside the patches and are read out, so that the latent is short
    enough to search in: one of them is the usual class token, several are a set that a token predictor can work on.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        patches = (VIEW_PIXELS // config.patch) ** 2
        self.patches = nn.Sequential(
            PixelCoordinates(), nn.Conv2d(3 + 2, config.width, config.patch, config.patch), nn.Flatten(2)
        )
        self.positions = nn.Parameter(_INITIAL_SPREAD * torch.randn(patches, config.width))
        self.summaries = nn.Parameter(_INITIAL_SPREAD * torch.randn(config.summaries, config.width))
        self.blocks = nn.Sequential(*(Block(config.width, config.heads) for _ in range(config.depth)))
        self.output = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.summary_dim))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D), summary after summary."""
        patches = self.patches(pictures).transpose(1, 2) + self.positions
        tokens = torch.cat([self.summaries.expand(len(pictures), -1, -1).to(patches.dtype), patches], dim=1)
        return self.output(self.blocks(tokens)[:, : len(self.summaries)]).flatten(1)


class Block(nn.Module):
    """x + attention(LayerNorm(x)), then x + MLP(LayerNorm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), SelfAttention(width, heads))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width) -> (N, T, width)."""
        tokens = tokens + self.attention(tokens)
        return tokens + self.mlp(tokens)
