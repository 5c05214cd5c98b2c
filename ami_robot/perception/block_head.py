"""Where the block is, read out of latents, in numpy: for planners, which look at imagined ones too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ami_robot.perception.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from ami_robot.perception.encoder import load_block_head
from ami_robot.types import Array


class BlockHead:
    """The block head of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build from a checkpoint; raises CheckpointError where it has no such head."""
        self._head = load_block_head(checkpoint)
        self.checkpoint_sha256 = checkpoint.sha256

    @torch.inference_mode()
    def decode(self, latents: Array) -> Array:
        """(..., D) -> (..., 3), m in base_link."""
        return self._head(torch.from_numpy(np.array(latents, np.float32))).double().numpy()

    def differentiate(self, latents: Array) -> tuple[Array, Callable[[Array], Array]]:
        """The same, and what takes slopes by positions (..., 3) back to slopes by latents (..., D)."""
        inputs = torch.from_numpy(np.array(latents, np.float32)).requires_grad_(True)
        positions = self._head(inputs)

        def pull_back(on_positions: Array) -> Array:
            slopes = torch.from_numpy(np.asarray(on_positions, np.float32))
            return torch.autograd.grad(positions, inputs, slopes)[0].double().numpy()

        return positions.detach().double().numpy(), pull_back


def read_block_head(directory: Path | str, encoder_sha256: str | None = None) -> BlockHead:
    """The head in a folder; `encoder_sha256` is the checkpoint that latents come from, where that is known.

    Raises:
        CheckpointError: the folder holds no such head, or one for the latents of another encoder.
    """
    head = BlockHead(load_checkpoint(directory))
    if encoder_sha256 not in (None, head.checkpoint_sha256):
        raise CheckpointError(
            f"the block head in {directory} reads latents of checkpoint {head.checkpoint_sha256[:12]}, these are of "
            f"{str(encoder_sha256)[:12]}; use the two together that belong together."
        )
    return head
