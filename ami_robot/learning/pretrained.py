"""What training starts from, where it does not start from nothing."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.perception.encoder import EncoderConfig
from ami_robot.strict import plain


def pretrained_encoder(folder: Path | str, config: EncoderConfig) -> dict[str, Tensor]:
    """The tensors of the encoder in a checkpoint's folder, for `config.build().load_state_dict`.

    Raises:
        CheckpointError: there is none, it is damaged, or its encoder is of another kind or size than `config`.
    """
    checkpoint = load_checkpoint(folder)
    found = checkpoint.sizes("encoder", EncoderConfig)
    if found != config:
        raise CheckpointError(
            f"the encoder in {folder} is {plain(found)}, the training configuration asks for {plain(config)}; give its "
            "`encoder` the same values."
        )
    prefix = "encoder."
    return {key[len(prefix) :]: tensor for key, tensor in checkpoint.tensors.items() if key.startswith(prefix)}
