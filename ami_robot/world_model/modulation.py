"""Adaptive layer normalisation: a condition scales, shifts and gates what a residual block does."""

from __future__ import annotations

from torch import Tensor, nn


class Modulation(nn.Module):
    """AdaLN-Zero (Peebles & Xie 2023): x + gate * layers(LayerNorm(x) * (1 + scale) + shift).

    Scale, shift and gate are linear in the condition and zero at the start, so a new block changes nothing.
    """

    def __init__(self, width: int, condition_dim: int, layers: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.condition = nn.Linear(condition_dim, 3 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        self.layers = layers

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (N, ..., width), condition (N, condition_dim) -> (N, ..., width)."""
        modulation = self.condition(condition).view(len(x), *(1,) * (x.ndim - 2), -1)
        scale, shift, gate = modulation.chunk(3, dim=-1)
        return x + gate * self.layers(self.norm(x) * (1 + scale) + shift)
