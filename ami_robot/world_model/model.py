"""The learned world model, in numpy."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.encoder import EncoderConfig, has_block_head
from ami_robot.types import ACTION_DIM, PROPRIO_DIM, Array, Outcomes
from ami_robot.world_model.error_predictor import ImaginedBlock
from ami_robot.world_model.predictor import Predictor, load_predictor
from ami_robot.world_model.protocol import PullBack

ROWS_AT_A_TIME = 16
"""Batches are filled up to a multiple of it. oneDNN keeps what it makes for each size it ever saw."""

_LEAST_WIDTH = 128  # a narrower layer takes longer to hand over to oneDNN than is saved


class LatentWorldModel:
    """The trained predictor of a checkpoint. Implements `WorldModel`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build from a checkpoint; raises CheckpointError when its tensors do not fit its configuration."""
        torch.set_num_threads(1)  # planning shares the machine with the camera, the encoder and the guardrail
        encoder: EncoderConfig = checkpoint.sizes("encoder", EncoderConfig)
        self._build = lambda: load_predictor(checkpoint)
        self._predictor = self._build()
        self._disagrees = len(self._predictor.networks) > 1 or self._predictor.codes > 1
        self._block = ImaginedBlock.of(checkpoint) if has_block_head(checkpoint) else None
        if torch.backends.mkldnn.is_available():
            _use_onednn(self._predictor)
        self.checkpoint_sha256 = checkpoint.sha256
        self.latent_dim = encoder.latent_dim

    @torch.inference_mode()
    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """See `WorldModel.predict`; float32. Raises ValueError on a wrong shape; NaN in gives NaN out."""
        latent, start, sequences = self._checked(image_latent, proprio, actions)
        candidates = len(sequences)
        sequences = nn.functional.pad(sequences, (0, 0, 0, 0, 0, -candidates % ROWS_AT_A_TIME))
        rollouts = self._predictor.rollouts(
            latent.expand(len(sequences), -1), start.expand(len(sequences), -1), sequences
        )
        latents, predicted = rollouts.most_likely()
        latents, predicted = latents[:candidates], predicted[:candidates]
        if self._block is not None:
            begin = (values.expand(candidates, 1, -1) for values in (latent, start))
            way = (torch.cat(parts, dim=1) for parts in zip(begin, (latents, predicted), strict=True))
            spread: Tensor | None = self._block(*way)[1][:, 1:]
        else:
            spread = rollouts.spread()[:candidates] if self._disagrees else None
        return Outcomes(latents.numpy(), predicted.numpy(), None if spread is None else spread.numpy())

    @torch.inference_mode()
    def step(self, image_latents: Array, proprio: Array, actions: Array) -> tuple[Array, Array]:
        """See `LocalWorldModel.step`; float32."""
        beliefs = len(actions)
        latents, start, sequences = (
            nn.functional.pad(torch.from_numpy(np.array(values, np.float32)), (0, 0, 0, -beliefs % ROWS_AT_A_TIME))
            for values in (image_latents, proprio, actions)
        )
        following, predicted = self._predictor.rollouts(latents, start, sequences[:, None]).most_likely()
        return following[:beliefs, 0].numpy(), predicted[:beliefs, 0].numpy()

    def differentiate(self, image_latent: Array, proprio: Array, actions: Array) -> tuple[Outcomes, PullBack]:
        """See `LocalWorldModel.differentiate`; errors as `predict`."""
        latent, start, sequences = self._checked(image_latent, proprio, actions)
        sequences.requires_grad_(True)
        latents, predicted = self._differentiable.rollouts(
            latent.expand(len(sequences), -1), start.expand(len(sequences), -1), sequences
        ).most_likely()

        def pull_back(on_latents: Array, on_proprio: Array) -> Array:
            slopes = [torch.from_numpy(np.asarray(values, np.float32)) for values in (on_latents, on_proprio)]
            return torch.autograd.grad((latents, predicted), sequences, slopes)[0].double().numpy()

        return Outcomes(latents.detach().numpy(), predicted.detach().numpy()), pull_back

    @cached_property
    def _differentiable(self) -> Predictor:
        """The predictor once more: what oneDNN computes with has no way back."""
        return self._build()

    def _checked(self, image_latent: Array, proprio: Array, actions: Array) -> tuple[Tensor, Tensor, Tensor]:
        latent, start, sequences = (
            torch.from_numpy(np.asarray(values, np.float32)) for values in (image_latent, proprio, actions)
        )
        widths = (*latent.shape, *start.shape, *sequences.shape[2:])
        if sequences.ndim != 3 or widths != (self.latent_dim, PROPRIO_DIM, ACTION_DIM):
            raise ValueError(
                f"the world model takes a latent ({self.latent_dim},), proprio ({PROPRIO_DIM},) and actions "
                f"(N, H, {ACTION_DIM}), got {tuple(latent.shape)}, {tuple(start.shape)} and {tuple(sequences.shape)}."
            )
        return latent, start, sequences


class _OneDNNLinear(nn.Module):
    """A linear layer whose product oneDNN computes: N=128, H=6 takes 9 ms with it, 14 ms with MKL, on one EPYC core."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight, self._bias = linear.weight.detach().to_mkldnn(), linear.bias.detach().to_mkldnn()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.to_mkldnn(), self._weight, self._bias).to_dense()


def _use_onednn(module: nn.Module) -> None:
    """Replace every wide linear layer inside."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and min(child.in_features, child.out_features) >= _LEAST_WIDTH:
            setattr(module, name, _OneDNNLinear(child))
        else:
            _use_onednn(child)
