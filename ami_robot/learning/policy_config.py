"""How a policy is trained: one strict YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ami_robot.learning.config import ConfigError, OptimiserConfig, _section

DEFAULT_POLICY_CONFIG = Path(__file__).with_name("policy.yaml")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the policy that the data do not decide."""

    width: int
    blocks: int


@dataclass(frozen=True)
class PolicyTrainingConfig:
    """Everything that, with data and encoder, decides the policy."""

    seed: int
    held_out_fraction: float  # of the episodes
    evaluate_every: int  # steps
    save_every: int  # steps
    goal_steps: int  # a goal is what was seen at most so many model steps later
    network: NetworkConfig
    optimiser: OptimiserConfig

    def as_dict(self) -> dict[str, Any]:
        """Plain YAML values."""
        return asdict(self)


def load_policy_config(path: Path | str = DEFAULT_POLICY_CONFIG) -> PolicyTrainingConfig:
    """Read a configuration.

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
    config = _section(data, PolicyTrainingConfig, str(path))
    for wrong, sentence in (
        (not 0 < config.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
        (
            config.optimiser.warmup_steps >= config.optimiser.steps,
            "optimiser.warmup_steps has to be less than steps",
        ),
        (min(config.goal_steps, config.evaluate_every, config.save_every) < 1, "every number of steps has to be > 0"),
        (min(config.network.width, config.network.blocks) < 1, "network.width and network.blocks have to be > 0"),
        (config.optimiser.batch_sequences < 1, "optimiser.batch_sequences has to be at least 1"),
    ):
        if wrong:
            raise ConfigError(f"{path}: {sentence}.")
    return config
