"""The goal-conditioned policy network, after GC-IDM (arXiv 2605.08732): an MLP on latents that knows the steps left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.perception.novelty import Novelty
from ami_robot.types import ACTION_DIM, PROPRIO_DIM, Array

_LOG_STD = (-3.0, 2.0)
"""Least and greatest, in units of the actions' spread over the data."""


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of the policy."""

    latent_dim: int
    width: int
    blocks: int
    max_steps: int  # the furthest goal it was taught, in model steps


class PolicyNetwork(nn.Module):
    """(z, p, goal z, steps left) -> mean and spread of the next action.

    Inside, everything is in units of its spread over the training data, kept as buffers.
    """

    latent_mean: Tensor
    latent_std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(2 * config.latent_dim + PROPRIO_DIM, config.width)
        self.blocks = nn.ModuleList(_Block(config.width, config.max_steps) for _ in range(config.blocks))
        self.output = nn.Linear(config.width, 2 * ACTION_DIM)
        for name, size in (("latent", config.latent_dim), ("proprio", PROPRIO_DIM), ("action", ACTION_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def forward(self, latents: Tensor, proprio: Tensor, goals: Tensor, steps_left: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the standard deviation, both (N, A) in units of the actions' spread.

        Args:
            latents: (N, D).
            proprio: (N, P), m and m/s.
            goals: (N, D).
            steps_left: (N,), from 1; what is more than `max_steps` counts as that.
        """
        known = [(latents - self.latent_mean) / self.latent_std, (goals - self.latent_mean) / self.latent_std]
        hidden = self.input(torch.cat([*known, (proprio - self.proprio_mean) / self.proprio_std], dim=-1))
        step = steps_left.clamp(1, self.config.max_steps) - 1
        for block in self.blocks:
            hidden = block(hidden, step)
        mean, log_std = self.output(hidden).chunk(2, dim=-1)
        return mean, log_std.clamp(*_LOG_STD)

    @torch.inference_mode()
    def act(self, latents: Array, proprio: Array, goal_latent: Array, steps_left: int) -> tuple[Array, Array]:
        """See `GoalConditioned.act`; raises ValueError on a latent of another size."""
        z, p, goal = (torch.from_numpy(np.array(v, np.float32)) for v in (latents, proprio, goal_latent))
        if z.shape[1:] != goal.shape or goal.shape != (self.config.latent_dim,):
            raise ValueError(
                f"the policy takes latents of {self.config.latent_dim} numbers, got {z.shape[1]} and {len(goal)}."
            )
        mean, log_std = self(z, p, goal.expand_as(z), torch.full((len(z),), steps_left))
        std = log_std.exp() * self.action_std
        return (mean * self.action_std + self.action_mean).double().numpy(), std.double().numpy()


class _Block(nn.Module):
    """LayerNorm whose scale and shift are looked up by the steps left, GELU, linear."""

    def __init__(self, width: int, max_steps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Embedding(max_steps, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        scale, shift = self.modulation(step).chunk(2, dim=-1)
        return self.linear(nn.functional.gelu(self.norm(x) * (1 + scale) + shift))


@dataclass(frozen=True)
class Taught:
    """What `ami train-policy` leaves."""

    network: PolicyNetwork
    novelty: Novelty
    encoder_sha256: str  # the checkpoint whose latents it was taught on


def load_policy(directory: Path | str, encoder_sha256: str | None = None) -> Taught:
    """The policy and how new a latent is to it; `encoder_sha256` is what latents come from, where that is known.

    Raises:
        CheckpointError: the folder holds none, or one for the latents of another encoder.
    """
    checkpoint = load_checkpoint(directory)
    sizes = checkpoint.sizes("policy", PolicyConfig)
    taught = str(checkpoint.record.get("encoder_sha256", ""))
    if encoder_sha256 not in (None, taught):
        raise CheckpointError(
            f"the policy in {directory} was taught on latents of checkpoint {taught[:12]}, these are of "
            f"{str(encoder_sha256)[:12]}; use the two together that belong together, or run `ami train-policy` again."
        )
    novelty = checkpoint.fill(Novelty(sizes.latent_dim), "novelty")
    return Taught(checkpoint.fill(PolicyNetwork(sizes), "policy"), novelty, taught)
