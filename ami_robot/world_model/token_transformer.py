"""One model step by a transformer over the parts of the latent: cells of a grid, slots, summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ami_robot.perception.attention import SelfAttention, check_heads
from ami_robot.types import PROPRIO_DIM
from ami_robot.world_model.modulation import Modulation
from ami_robot.world_model.variants import Variants

_INITIAL_SPREAD = 0.02  # of the embeddings that tell the parts apart


@dataclass(frozen=True)
class TokenTransformerConfig(Variants):
    """Sizes of the token transformer."""

    kind: ClassVar[str] = "token_transformer"
    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        super().__post_init__()
        check_heads(self.width, self.heads)

    def network(self, latent_dim: int, tokens: int, action_dim: int) -> TokenTransformer:
        """The network, with random weights, for latents of `tokens` equal parts."""
        return TokenTransformer(self, latent_dim, tokens, action_dim)


class TokenTransformer(nn.Module):
    """Predicts changes: (z, p, a) -> (z + dz, p + dp). Proprioception is one more token.

    Tokens act on each other by attention (a hand that pushes a block), action and proprioception modulate every block
    (AdaLN, which did best in JEPA-WMs, Terver et al. 2025). One set of weights serves all tokens, so it is small.
    """

    def __init__(self, config: TokenTransformerConfig, latent_dim: int, tokens: int, action_dim: int) -> None:
        super().__init__()
        width, self.latent_dim, self.tokens = config.width, latent_dim, tokens
        token_dim = latent_dim // tokens
        self.embed = nn.Linear(token_dim, width)
        self.embed_proprio = nn.Linear(PROPRIO_DIM, width)
        self.identities = nn.Parameter(_INITIAL_SPREAD * torch.randn(tokens + 1, width))
        self.condition = nn.Sequential(nn.Linear(PROPRIO_DIM + action_dim, width), nn.SiLU())
        self.blocks = nn.ModuleList()
        for _ in range(config.depth):
            mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            self.blocks += [Modulation(width, width, part) for part in (SelfAttention(width, config.heads), mlp)]
        self.norm = nn.LayerNorm(width)
        self.output, self.output_proprio = nn.Linear(width, token_dim), nn.Linear(width, PROPRIO_DIM)
        for layer in (self.output, self.output_proprio):  # before it has learnt anything it says that nothing changes
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """One step in normalised units: state (N, D + P), action (N, action_dim) -> next state (N, D + P)."""
        latent, proprio = state.split([self.latent_dim, PROPRIO_DIM], dim=-1)
        condition = self.condition(torch.cat([proprio, action], dim=-1))
        parts = self.embed(latent.unflatten(-1, (self.tokens, -1)))
        hidden = torch.cat([parts, self.embed_proprio(proprio)[:, None]], dim=1) + self.identities
        for block in self.blocks:
            hidden = block(hidden, condition)
        hidden = self.norm(hidden)
        change = [self.output(hidden[:, :-1]).flatten(1), self.output_proprio(hidden[:, -1])]
        return state + torch.cat(change, dim=-1).float()
