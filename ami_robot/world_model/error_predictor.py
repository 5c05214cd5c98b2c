"""Where a world model imagines the block, and how far off that is to be expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ami_robot.perception.checkpoint import DESCRIPTION_FILE, Checkpoint, CheckpointError, load_checkpoint
from ami_robot.perception.encoder import PlaceHead, load_block_head
from ami_robot.types import PROPRIO_DIM, TOOL_POSITION

FOLDER = "error_predictor"
"""Below that of the checkpoint that it is for: with its own files, since it is fitted to a finished model."""

_FEATURES = 3 + PROPRIO_DIM + 1  # the block's place; relative to the tool in place of the tool's; the head's own doubt
_LOG_ERROR_M = -4.5  # 1 cm: where training begins


@dataclass(frozen=True)
class ErrorPredictorConfig:
    """Sizes."""

    width: int


class ErrorPredictor(nn.Module):
    """What is imagined of block and arm, step by step -> the distance from the block by which it is to be expected off.

    The block head's standard deviation is that of pictures which the model was trained on, and knows one frame. This
    network learned from the errors on episodes that were new to the model (direct epistemic uncertainty prediction,
    Lahlou et al. 2023), and sees the way there: a gated recurrent unit (Cho et al. 2014).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ErrorPredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(_FEATURES))
        self.register_buffer("std", torch.ones(_FEATURES))
        self.input = nn.Linear(_FEATURES, config.width)
        self.way = nn.GRU(config.width, config.width, batch_first=True)
        self.output = nn.Linear(config.width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, K, F) of K frames that follow each other -> (N, K), m."""
        known = torch.relu(self.input((features - self.mean) / self.std))
        return (self.output(self.way(known)[0])[..., 0] + _LOG_ERROR_M).exp()


def features(places: Tensor, head_std: Tensor, proprio: Tensor) -> Tensor:
    """(N, K, F) of where the block is (N, K, 3), m, how unsure the head is (N, K), m, and proprioception (N, K, P)."""
    rest = proprio[..., TOOL_POSITION.stop :]
    return torch.cat([places, places - proprio[..., TOOL_POSITION], rest, head_std.log()[..., None]], dim=-1)


class ImaginedBlock:
    """Where the block is in what a model with a block head imagines, and the spread: how far off that may be.

    With an error predictor the spread is the distance to be expected, else the head's standard deviation.
    """

    def __init__(self, head: PlaceHead, predictor: ErrorPredictor | None) -> None:
        """Put together from its parts."""
        self._head, self._predictor = head, predictor

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ImaginedBlock:
        """Raises CheckpointError: there is no block head, or an error predictor that is not for this checkpoint."""
        return cls(load_block_head(checkpoint), load_error_predictor(checkpoint))

    def __call__(self, latents: Tensor, proprio: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, D) and (N, K, P) of the frame that is imagined from and those that follow -> (N, K, 3), (N, K), m."""
        places, std = self._head.place(latents)
        return places, std if self._predictor is None else self._predictor(features(places, std, proprio))


def load_error_predictor(checkpoint: Checkpoint) -> ErrorPredictor | None:
    """That of a checkpoint, None where there is none; raises CheckpointError, see `error_predictor_checkpoint`."""
    found = error_predictor_checkpoint(checkpoint)
    if found is None:
        return None
    return found.fill(ErrorPredictor(found.sizes("error_predictor", ErrorPredictorConfig)), "error_predictor")


def error_predictor_checkpoint(checkpoint: Checkpoint) -> Checkpoint | None:
    """What lies in FOLDER of the folder that a checkpoint was read from.

    Raises:
        CheckpointError: it cannot be used, or learned the errors of another checkpoint.
    """
    folder = Path(checkpoint.source) / FOLDER
    if not (folder / DESCRIPTION_FILE).exists():
        return None
    found = load_checkpoint(folder)
    of = str(found.record.get("checkpoint_sha256", ""))
    if of != checkpoint.sha256:
        raise CheckpointError(
            f"{folder} learned the errors of checkpoint {of[:12]}, this one is {checkpoint.sha256[:12]}; remove it, or "
            "run `ami train-error-predictor` again."
        )
    return found
