"""The training configuration: one strict YAML file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from ami_robot.perception.encoder import EncoderConfig
from ami_robot.world_model.predictor import PredictorConfig

DEFAULT_CONFIG = Path(__file__).with_name("reach.yaml")

Section = TypeVar("Section")


class ConfigError(ValueError):
    """A training configuration that cannot be used; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True)
class WindowConfig:
    """What one training sequence is."""

    steps: int  # model steps that are imagined, H
    targets: int  # how many of those steps are compared with encoded frames; the first always is


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW (Loshchilov & Hutter 2019) with a linear warm-up and a cosine to zero."""

    steps: int
    warmup_steps: int
    batch_sequences: int
    learning_rate: float
    weight_decay: float
    gradient_clip: float  # largest norm


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term in the sum; see losses.py."""

    one_step: float
    multi_step: float
    proprio: float
    tool_position: float
    inverse_dynamics: float
    variance: float
    covariance: float


@dataclass(frozen=True)
class AugmentationConfig:
    """How far each training picture's light is changed, in the unit of full brightness; 0 leaves it as it is."""

    contrast: float  # half width of the uniform factor around 1
    brightness: float  # half width of the uniform offset
    noise: float  # standard deviation per pixel


@dataclass(frozen=True)
class HeadConfig:
    """Second stage: the goal head alone, on the latents of the finished encoder."""

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

    def as_dict(self) -> dict[str, Any]:
        """Plain YAML values."""
        values = asdict(self)
        values["encoder"]["channels"] = list(self.encoder.channels)
        return values


def load_config(path: Path | str = DEFAULT_CONFIG) -> TrainingConfig:
    """Read a training configuration.

    Raises:
        ConfigError: the file cannot be read, a key is missing or unknown, or a value is of the wrong type or range.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the training configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the training configuration {path} is not YAML: {str(error).splitlines()[0]}.") from error
    config = _section(data, TrainingConfig, str(path))
    window, optimiser = config.window, config.optimiser
    for wrong, sentence in (
        (not 0 < config.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
        (not 1 <= window.targets <= window.steps, "window.targets has to be between 1 and window.steps"),
        (optimiser.warmup_steps >= optimiser.steps, "optimiser.warmup_steps has to be less than optimiser.steps"),
        (optimiser.batch_sequences < 2, "optimiser.batch_sequences has to be at least 2"),
        (min(config.evaluate_every, config.save_every, config.head.steps) < 1, "every number of steps has to be > 0"),
    ):
        if wrong:
            raise ConfigError(f"{path}: {sentence}.")
    return config


def _section(data: Any, kind: type[Section], where: str) -> Section:
    """A mapping as the dataclass `kind`, its fields checked one by one."""
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(data, dict):
        raise ConfigError(f"{where} has to be a mapping with the keys {', '.join(known)}.")
    if missing := [key for key in known if key not in data]:
        raise ConfigError(f"{where} lacks {', '.join(missing)}.")
    if unknown := [str(key) for key in data if key not in known]:
        raise ConfigError(f"{where} has unknown keys {', '.join(unknown)}; known are {', '.join(known)}.")
    return kind(**{key: _value(data[key], hints[key], f"{where}: {key}") for key in known})


def _value(value: Any, kind: Any, where: str) -> Any:
    if is_dataclass(kind):
        return _section(value, kind, where)  # type: ignore[arg-type]
    if kind is int and type(value) is int and value >= 0:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value) and value >= 0:
        return float(value)
    if kind not in (int, float) and isinstance(value, list) and len(value) == 4:
        return tuple(_value(v, int, where) for v in value)
    wanted = {int: "a whole number >= 0", float: "a number >= 0, written with a point"}.get(kind, "four whole numbers")
    raise ConfigError(f"{where} has to be {wanted}, got {value!r}.")
