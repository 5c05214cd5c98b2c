"""The training configuration: one strict YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ami_robot.perception.encoder import EncoderConfig
from ami_robot.strict import StrictError, plain, read_file
from ami_robot.world_model.predictor import PredictorConfig

DEFAULT_CONFIG = Path(__file__).with_name("reach.yaml")


@dataclass(frozen=True)
class WindowConfig:
    """What one training sequence is."""

    steps: int  # model steps that are imagined, H
    targets: int  # how many of those steps are compared with encoded frames; the first always is
    contact_share: float = 0.0  # of the windows, at least this many show a block that moves; 0 takes them as they come


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW (Loshchilov & Hutter 2019) with a linear warm-up and a cosine to zero."""

    steps: int
    warmup_steps: int
    batch_sequences: int  # of all processes together
    learning_rate: float
    weight_decay: float
    gradient_clip: float  # largest norm
    precision: Literal["bf16", "fp32"] = "bf16"  # of matrix products


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term in the sum; see losses.py. A term of weight 0 is not computed."""

    one_step: float
    multi_step: float
    proprio: float
    tool_position: float
    inverse_dynamics: float
    variance: float
    covariance: float
    sigreg: float = 0.0  # belongs to one batch size, see losses.sigreg
    straightening: float = 0.0
    code_prior: float = 0.0  # of the predictor's latent variable
    block_position: float = 0.0  # of the block, from encoded and from imagined latents; its labels are the simulator's
    reconstruction: float = 0.0  # of the pictures, from encoded and from imagined latents: the pixel baseline


@dataclass(frozen=True)
class ObjectiveConfig:
    """What the terms are made of."""

    distance: Literal["l2", "smooth_l1"] = "l2"  # between imagined and encoded latents
    target_decay: float = 0.0  # of an exponential moving average of the encoder that gives the targets; 0: no such one
    inverse_dynamics_width: int = 512
    sigreg_projections: int = 256
    sigreg_knots: int = 17
    code_temperature: float = 0.1  # latent error, mean-squared, by which outcomes of different codes are told apart


@dataclass(frozen=True)
class AugmentationConfig:
    """How far each training picture's light is changed, in the unit of full brightness; 0 leaves it as it is."""

    contrast: float  # half width of the uniform factor around 1
    brightness: float  # half width of the uniform offset
    noise: float  # standard deviation per pixel


@dataclass(frozen=True)
class HeadConfig:
    """Second stage: the heads alone, on the latents of the finished encoder."""

    steps: int
    batch_frames: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that, with the data, decides the checkpoint."""

    seed: int
    held_out_fraction: float  # of the episodes
    evaluate_every: int  # steps
    save_every: int  # steps
    encoder: EncoderConfig
    predictor: PredictorConfig
    window: WindowConfig
    optimiser: OptimiserConfig
    loss: LossWeights
    augmentation: AugmentationConfig
    head: HeadConfig
    objective: ObjectiveConfig = ObjectiveConfig()
    block_head: bool = False  # whether to fit a head for where the block is; its labels are the simulator's

    def __post_init__(self) -> None:
        """Raise StrictError on values that do not go together."""
        window, optimiser, loss = self.window, self.optimiser, self.loss
        for wrong, sentence in (
            (not 0 < self.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
            (not 1 <= window.targets <= window.steps, "window.targets has to be between 1 and window.steps"),
            (window.contact_share > 1, "window.contact_share has to be between 0 and 1"),
            (optimiser.warmup_steps >= optimiser.steps, "optimiser.warmup_steps has to be less than optimiser.steps"),
            (optimiser.batch_sequences < 2, "optimiser.batch_sequences has to be at least 2"),
            (min(self.evaluate_every, self.save_every, self.head.steps) < 1, "every number of steps has to be > 0"),
            (self.objective.target_decay >= 1, "objective.target_decay has to be less than 1"),
            (self.objective.sigreg_knots < 2, "objective.sigreg_knots has to be at least 2"),
            (self.objective.sigreg_projections < 1, "objective.sigreg_projections has to be at least 1"),
            (self.objective.code_temperature <= 0, "objective.code_temperature has to be > 0"),
            (self.objective.inverse_dynamics_width < 1, "objective.inverse_dynamics_width has to be at least 1"),
            (loss.straightening and window.targets < 2, "loss.straightening needs window.targets of at least 2"),
            (
                (self.predictor.codes > 1) != (loss.code_prior > 0),
                "predictor.codes of more than 1 and loss.code_prior go together: one trains what the other needs",
            ),
            (loss.block_position and not self.block_head, "loss.block_position needs block_head: true"),
        ):
            if wrong:
                raise StrictError(f"{sentence}.")

    def as_dict(self) -> dict[str, Any]:
        """Plain YAML values."""
        return plain(self)


def load_config(path: Path | str = DEFAULT_CONFIG) -> TrainingConfig:
    """Read a training configuration; raises StrictError, see `read_file`."""
    return read_file(path, TrainingConfig)
