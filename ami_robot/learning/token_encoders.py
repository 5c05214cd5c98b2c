"""Encoders as masked prediction sees them: a grid of tokens, of which only some may be seen."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from ami_robot.learning.masks import MaskError
from ami_robot.perception.conv import ConvConfig, PixelCoordinates
from ami_robot.perception.encoder import EncoderConfig
from ami_robot.perception.grid import GridConfig, GridEncoder
from ami_robot.perception.view import VIEW_PIXELS
from ami_robot.perception.vit import ViTConfig


class ConvolutionalTokens(nn.Module):
    """An encoder of convolutions; its tokens are the places of its last feature map, before that is flattened.

    Convolutions cannot leave places out: what is not to be seen is made grey (zero) in the picture. The masks' grid is
    the feature map's own, so that a token is either seen or hidden, never half of each.
    """

    def __init__(self, config: ConvConfig | GridConfig) -> None:
        super().__init__()
        self.encoder = config.build()
        with torch.no_grad():
            _, width, rows, columns = self._features(torch.zeros(1, 3, VIEW_PIXELS, VIEW_PIXELS)).shape
        self.grid, self.width = (1, rows, columns), width

    def tokens(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """(N, 3, 1, 64, 64) float -> (N, K, width): of all places, or of those in keep (N, K), row by row."""
        pictures = clips[:, :, 0]
        if keep is not None:
            _, rows, columns = self.grid
            seen = pictures.new_zeros(len(clips), rows * columns).scatter_(1, keep, 1.0).view(-1, 1, rows, columns)
            pictures = pictures * nn.functional.interpolate(seen, size=VIEW_PIXELS, mode="nearest")
        return kept(self._features(pictures).flatten(2).transpose(1, 2), keep)

    def picture_encoder(self) -> nn.Module:
        """The encoder itself; what it has behind its tokens is as it was drawn."""
        return self.encoder

    def _features(self, pictures: Tensor) -> Tensor:
        encoder = self.encoder
        if isinstance(encoder, GridEncoder):
            return encoder.layers(pictures)
        return encoder.convolutions[:-1](encoder.coordinates(pictures))  # all but nn.Flatten


class TubeletTokens(nn.Module):
    """The vision transformer; its tokens are tubelets, the same patch in L consecutive pictures, or patches with L = 1.

    Only tubelets that may be seen enter it. A tubelet's code is that of its patch, and one of its time in the clip.
    """

    def __init__(self, config: ViTConfig, frames: int, tubelet: int) -> None:
        """Build for clips of `frames` pictures; raises MaskError when they are no multiple of `tubelet`."""
        super().__init__()
        if frames % tubelet:
            raise MaskError(f"a clip of {frames} frames does not divide into tubelets of {tubelet}.")
        side = VIEW_PIXELS // config.patch
        self.config, self.tubelet = config, tubelet
        self.grid, self.width = (frames // tubelet, side, side), config.width
        self.encoder = config.build()
        del self.encoder.patches  # these take their place:
        self.coordinates = PixelCoordinates()
        self.patches = nn.Conv2d(3 * tubelet + 2, config.width, config.patch, config.patch)
        self.times = nn.Parameter(torch.zeros(frames // tubelet, 1, config.width))

    def tokens(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """(N, 3, F, 64, 64) float -> (N, K, width): of all tubelets, or of those in keep (N, K).

        They are numbered by time, then row by row.
        """
        encoder = self.encoder
        pictures = clips.transpose(1, 2).unflatten(1, (-1, self.tubelet)).flatten(2, 3)  # (N, F / L, L * 3, 64, 64)
        patches = self.patches(self.coordinates(pictures.flatten(0, 1))).flatten(2).transpose(1, 2)
        placed = patches.unflatten(0, pictures.shape[:2]) + encoder.positions + self.times
        seen = kept(placed.flatten(1, 2), keep)
        summaries = encoder.summaries.expand(len(clips), -1, -1).to(seen.dtype)
        tokens = encoder.blocks(torch.cat([summaries, seen], dim=1))
        return encoder.output[0](tokens[:, summaries.shape[1] :])

    def picture_encoder(self) -> nn.Module:
        """The picture's encoder that gives what this one gives for a clip of one tubelet in which nothing moves.

        Kernels are summed over the tubelet's pictures (the reverse of inflating them, Carreira & Zisserman 2017). What
        the encoder has behind its patches' tokens is as it was drawn.
        """
        colours, places = self.patches.weight.detach().tensor_split((3 * self.tubelet,), dim=1)
        own = self.encoder.state_dict()
        own["patches.1.weight"] = torch.cat([colours.unflatten(1, (self.tubelet, 3)).sum(1), places], dim=1)
        own["patches.1.bias"] = self.patches.bias
        own["positions"] = own["positions"] + self.times[0]
        encoder = self.config.build()
        encoder.load_state_dict(own)
        return encoder


TokenEncoder: TypeAlias = ConvolutionalTokens | TubeletTokens
"""What can be pretrained: `grid`, `width`, `tokens` of a clip, and the `picture_encoder` that it becomes."""


def token_encoder(config: EncoderConfig, frames: int, tubelet: int) -> TokenEncoder:
    """A new encoder for clips of `frames` pictures; raises MaskError when there are no tokens of this kind."""
    if isinstance(config, ViTConfig):
        return TubeletTokens(config, frames, tubelet)
    if not isinstance(config, ConvConfig | GridConfig):
        raise MaskError(f"an encoder of kind '{config.kind}' has no tokens that lie anywhere; take conv, grid or vit.")
    if frames != 1:
        raise MaskError(f"an encoder of kind '{config.kind}' takes single pictures; set clip.frames to 1.")
    return ConvolutionalTokens(config)


def kept(tokens: Tensor, keep: Tensor | None) -> Tensor:
    """Of tokens (N, T, W) those at the indices keep (N, K), as (N, K, W); all of them without."""
    return tokens if keep is None else tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[2]))
