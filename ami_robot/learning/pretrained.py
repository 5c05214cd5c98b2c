"""What training starts from, where it does not start from nothing."""

from __future__ import annotations

from torch import Tensor

from ami_robot.perception.checkpoint import Checkpoint, CheckpointError
from ami_robot.perception.encoder import EncoderConfig
from ami_robot.strict import plain


def pretrained_encoder(checkpoint: Checkpoint, config: EncoderConfig) -> dict[str, Tensor]:
    """The tensors of a checkpoint's encoder, for `config.build().load_state_dict`.

    Raises:
        CheckpointError: it has none, or one of another kind or size than `config`.
    """
    found = checkpoint.sizes("encoder", EncoderConfig)
    if found != config:
        raise CheckpointError(
            f"the encoder in {checkpoint.source} is {plain(found)}, the training configuration asks for "
            f"{plain(config)}: give it the same."
        )
    prefix = "encoder."
    return {key[len(prefix) :]: tensor for key, tensor in checkpoint.tensors.items() if key.startswith(prefix)}
