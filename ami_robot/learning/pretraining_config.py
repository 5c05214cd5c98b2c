"""The configuration of pretraining: one strict YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ami_robot.learning.config import AugmentationConfig, OptimiserConfig
from ami_robot.learning.masked_jepa import TokenPredictorConfig
from ami_robot.learning.masks import MaskConfig, draw_masks
from ami_robot.learning.token_encoders import token_encoder
from ami_robot.perception.encoder import EncoderConfig
from ami_robot.strict import StrictError, plain, read_file

DEFAULT_PRETRAINING = Path(__file__).with_name("image_jepa_conv.yaml")


@dataclass(frozen=True)
class ClipConfig:
    """What is one sample: a picture (1 and 1), or a clip of consecutive frames cut into tubelets."""

    frames: int
    tubelet: int  # frames in a token


@dataclass(frozen=True)
class TeacherConfig:
    """The moving average of the student: its momentum goes from `momentum` to 1 in a straight line over the run."""

    momentum: float


@dataclass(frozen=True)
class PretrainingConfig:
    """Everything that, with the frames, decides the pretrained encoder."""

    seed: int
    held_out_fraction: float  # of the episodes; the same ones as training with this seed and fraction holds out
    evaluate_every: int  # steps
    save_every: int  # steps
    effective_rank_min: float  # of held-out tokens, averaged over each clip: below it, they have collapsed
    encoder: EncoderConfig
    clip: ClipConfig
    masks: MaskConfig
    predictor: TokenPredictorConfig
    teacher: TeacherConfig
    optimiser: OptimiserConfig
    augmentation: AugmentationConfig

    def __post_init__(self) -> None:
        """Raise StrictError on values that do not go together."""
        optimiser = self.optimiser
        for wrong, sentence in (
            (not 0 < self.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
            (min(self.clip.frames, self.clip.tubelet) < 1, "clip.frames and clip.tubelet have to be at least 1"),
            (min(self.masks.targets, self.masks.context_tokens_min) < 1, "masks need a target and a token of context"),
            (self.teacher.momentum > 1, "teacher.momentum has to be between 0 and 1"),
            (optimiser.warmup_steps >= optimiser.steps, "optimiser.warmup_steps has to be less than optimiser.steps"),
            (optimiser.batch_sequences < 2, "optimiser.batch_sequences has to be at least 2"),
            (min(self.evaluate_every, self.save_every) < 1, "every number of steps has to be > 0"),
        ):
            if wrong:
                raise StrictError(f"{sentence}.")
        encoder = token_encoder(self.encoder, self.clip.frames, self.clip.tubelet)
        draw_masks(1, encoder.grid, self.masks, (self.seed,))

    def as_dict(self) -> dict[str, Any]:
        """Plain YAML values."""
        return plain(self)


def load_pretraining_config(path: Path | str = DEFAULT_PRETRAINING) -> PretrainingConfig:
    """Read a configuration of pretraining.

    Raises:
        StrictError: the file cannot be read, a key is missing or unknown, a value is of the wrong type or range, or the
            masks do not fit the encoder's grid.
    """
    return read_file(path, PretrainingConfig)
