"""From a latent back to the picture: for a baseline that predicts pixels, never for planning."""

from __future__ import annotations

from torch import Tensor, nn

from ami_robot.perception.conv import GROUPS
from ami_robot.perception.view import VIEW_PIXELS

_CHANNELS = (64, 32, 16)
_CELLS = VIEW_PIXELS // 2 ** len(_CHANNELS)  # a side of the picture before it is enlarged


class PictureDecoder(nn.Module):
    """(N, D) -> (N, 3, 64, 64) as `normalise_pictures` gives them, by transposed convolutions."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, _CHANNELS[0] * _CELLS**2),
            nn.Unflatten(1, (_CHANNELS[0], _CELLS, _CELLS)),
        ]
        for inputs, outputs in zip(_CHANNELS, (*_CHANNELS[1:], 3), strict=True):
            layers += [
                nn.GroupNorm(GROUPS, inputs),
                nn.SiLU(),
                nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, D) -> (N, 3, 64, 64), float32."""
        return self.layers(latents).float()
