"""Multi-head self-attention (Vaswani et al. 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from ami_robot.strict import StrictError


class SelfAttention(nn.Module):
    """Every token asks every other one."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.questions = nn.Linear(width, 3 * width)  # with keys and values
        self.answer = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, width) -> (N, T, width)."""
        parts = self.questions(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(*parts.unbind(0))
        return self.answer(found.transpose(1, 2).flatten(2))


def check_heads(width: int, heads: int) -> None:
    """Raise StrictError unless the width can be shared out among the heads."""
    if heads < 1 or width < 1 or width % heads:
        raise StrictError(f"width has to be a positive multiple of heads, got {width} and {heads}.")
