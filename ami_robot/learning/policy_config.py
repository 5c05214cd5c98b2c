"""How a policy is trained: one strict YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ami_robot.learning.config import OptimiserConfig
from ami_robot.strict import StrictError, plain, read_file

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

    def __post_init__(self) -> None:
        """Raise StrictError on values that do not go together."""
        optimiser = self.optimiser
        for wrong, sentence in (
            (not 0 < self.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
            (optimiser.warmup_steps >= optimiser.steps, "optimiser.warmup_steps has to be less than optimiser.steps"),
            (min(self.goal_steps, self.evaluate_every, self.save_every) < 1, "every number of steps has to be > 0"),
            (min(self.network.width, self.network.blocks) < 1, "network.width and network.blocks have to be > 0"),
            (optimiser.batch_sequences < 1, "optimiser.batch_sequences has to be at least 1"),
        ):
            if wrong:
                raise StrictError(f"{sentence}.")

    def as_dict(self) -> dict[str, Any]:
        """Plain YAML values."""
        return plain(self)


def load_policy_config(path: Path | str = DEFAULT_POLICY_CONFIG) -> PolicyTrainingConfig:
    """Read a configuration; raises StrictError, see `read_file`."""
    return read_file(path, PolicyTrainingConfig)
