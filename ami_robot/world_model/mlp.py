"""One model step by a residual MLP on the flat latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.types import PROPRIO_DIM
from ami_robot.world_model.variants import Variants


@dataclass(frozen=True)
class MLPConfig(Variants):
    """Sizes of the residual MLP."""

    kind: ClassVar[str] = "mlp"
    width: int
    blocks: int

    def network(self, latent_dim: int, tokens: int, action_dim: int) -> MLP:
        """The network, with random weights; `tokens` makes no difference."""
        return MLP(self, latent_dim, action_dim)


class MLP(nn.Module):
    """Predicts changes: (z, p, a) -> (z + dz, p + dp)."""

    def __init__(self, config: MLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.input = nn.Linear(latent_dim + PROPRIO_DIM + action_dim, config.width)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.blocks))
        self.output = nn.Linear(config.width, latent_dim + PROPRIO_DIM)
        nn.init.zeros_(self.output.weight)  # before it has learnt anything it says that nothing changes
        nn.init.zeros_(self.output.bias)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """One step in normalised units: state (N, D + P), action (N, action_dim) -> next state (N, D + P)."""
        hidden = self.input(torch.cat([state, action], dim=-1))
        for block in self.blocks:
            hidden = block(hidden)
        return state + self.output(hidden).float()


class _Block(nn.Module):
    """x + MLP(LayerNorm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
