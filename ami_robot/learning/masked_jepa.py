"""Masked latent prediction: what is hidden is predicted from what is seen, in representation space, never in pixels.

One student, one teacher that follows it as a moving average, one predictor. With pictures it is I-JEPA (Assran et al.
2023), with clips V-JEPA (Bardes et al. 2024); only the token encoder and the masks differ.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ami_robot.learning.masks import Grid, Masks
from ami_robot.learning.token_encoders import TokenEncoder, kept
from ami_robot.perception.attention import check_heads
from ami_robot.perception.vit import Block
from ami_robot.strict import StrictError

_LONGEST_WAVE = 10_000.0  # of the sine code of positions (Vaswani et al. 2017)


@dataclass(frozen=True)
class TokenPredictorConfig:
    """Sizes of the predictor: a transformer narrower than the encoder."""

    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_heads(self.width, self.heads)
        if self.depth < 1:
            raise StrictError(f"depth has to be at least 1, got {self.depth}.")


class TokenPredictor(nn.Module):
    """The tokens of hidden blocks, from those that were seen and from where the hidden ones are."""

    positions: Tensor

    def __init__(self, config: TokenPredictorConfig, token_width: int, grid: Grid) -> None:
        super().__init__()
        self.enter = nn.Linear(token_width, config.width)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.blocks = nn.Sequential(*(Block(config.width, config.heads) for _ in range(config.depth)))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, token_width))
        self.register_buffer("positions", sine_positions(grid, config.width), persistent=False)

    def forward(self, context: Tensor, masks: Masks) -> Tensor:
        """Tokens of the context (N, K, W) -> of the targets (N, B, M, W). Blocks do not see each other."""
        count, blocks = masks.targets.shape[:2]
        seen = self.enter(context) + self.positions[masks.context]
        hidden = self.mask_token + self.positions[masks.targets]
        both = torch.cat([seen[:, None].expand(-1, blocks, -1, -1), hidden], dim=2).flatten(0, 1)
        return self.leave(self.blocks(both)[:, context.shape[1] :]).unflatten(0, (count, blocks))


def sine_positions(grid: Grid, width: int) -> Tensor:
    """(time, rows, columns) -> (time * rows * columns, width): a third of the channels for each, sines and cosines."""
    pairs = math.ceil(width / 6)
    waves = _LONGEST_WAVE ** (-torch.arange(pairs) / pairs)
    places = torch.cartesian_prod(*(torch.arange(count).float() for count in grid))
    angles = places[:, :, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


class MaskedJEPA(nn.Module):
    """Student, teacher and predictor. The teacher is what is kept in the end."""

    student: TokenEncoder
    teacher: TokenEncoder

    def __init__(self, encoder: TokenEncoder, config: TokenPredictorConfig, precision: str) -> None:
        """`encoder` becomes the student; matrix products are in `precision`, bf16 or fp32."""
        super().__init__()
        self._bf16 = precision == "bf16"
        self.student = encoder
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.predictor = TokenPredictor(config, encoder.width, encoder.grid)

    def forward(self, clips: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
        """(predicted, wanted) tokens of the targets, each (N, B, M, W) float32."""
        blocks = kept(self.targets(clips), masks.targets.flatten(1)).unflatten(1, masks.targets.shape[1:])
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=self._bf16):
            predicted = self.predictor(self.student.tokens(clips, masks.context), masks)
        return predicted.float(), blocks

    @torch.no_grad()
    def targets(self, clips: Tensor) -> Tensor:
        """(N, 3, F, 64, 64) -> (N, T, W): the teacher's tokens of the whole clip, each normalised by itself."""
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=self._bf16):
            tokens = self.teacher.tokens(clips).float()
        return functional.layer_norm(tokens, tokens.shape[-1:])

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the teacher to the student: momentum 1 leaves it as it is."""
        student, teacher = (part.parameters() for part in (self.student, self.teacher))
        for new, old in zip(student, teacher, strict=True):
            old.lerp_(new, 1 - momentum)


def prediction_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Smooth L1 over all elements, as in I-JEPA's code."""
    return functional.smooth_l1_loss(predicted, wanted)
