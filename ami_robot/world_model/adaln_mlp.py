"""One model step by a residual MLP on the latent that proprioception and action modulate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.types import PROPRIO_DIM
from ami_robot.world_model.modulation import Modulation
from ami_robot.world_model.variants import Variants


@dataclass(frozen=True)
class AdaLNMLPConfig(Variants):
    """Sizes of the modulated MLP."""

    kind: ClassVar[str] = "adaln_mlp"
    width: int
    blocks: int

    def network(self, latent_dim: int, tokens: int, action_dim: int) -> AdaLNMLP:
        """The network, with random weights; `tokens` makes no difference."""
        return AdaLNMLP(self, latent_dim, action_dim)


class AdaLNMLP(nn.Module):
    """Predicts changes: (z, p, a) -> (z + dz, p + dp).

    The action reaches every block and not the input alone, so that a wide latent cannot drown it.
    """

    def __init__(self, config: AdaLNMLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        width = config.width
        self.latent_dim = latent_dim
        self.input = nn.Linear(latent_dim + PROPRIO_DIM, width)
        self.condition = nn.Sequential(nn.Linear(PROPRIO_DIM + action_dim, width), nn.SiLU())
        self.blocks = nn.ModuleList(
            Modulation(width, width, nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)))
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, latent_dim + PROPRIO_DIM)
        nn.init.zeros_(self.output.weight)  # before it has learnt anything it says that nothing changes
        nn.init.zeros_(self.output.bias)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """One step in normalised units: state (N, D + P), action (N, action_dim) -> next state (N, D + P)."""
        condition = self.condition(torch.cat([state[:, self.latent_dim :], action], dim=-1))
        hidden = self.input(state)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return state + self.output(self.norm(hidden)).float()
