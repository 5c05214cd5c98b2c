"""The predictor: from a latent, the proprioception and an action to what comes one model step later."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ami_robot.types import ACTION_DIM, PROPRIO_DIM


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes of the predictor."""

    width: int
    blocks: int


class Predictor(nn.Module):
    """Residual MLP that predicts changes: (z, p, a) -> (z + dz, p + dp).

    Inside, proprioception and actions are in units of their spread over the training data, kept as buffers.
    """

    proprio_mean: Tensor
    proprio_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, config: PredictorConfig, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.input = nn.Linear(latent_dim + PROPRIO_DIM + ACTION_DIM, config.width)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.blocks))
        self.output = nn.Linear(config.width, latent_dim + PROPRIO_DIM)
        nn.init.zeros_(self.output.weight)  # before it has learnt anything it says that nothing changes
        nn.init.zeros_(self.output.bias)
        for name, size in (("proprio", PROPRIO_DIM), ("action", ACTION_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """One step in normalised units: state (N, D + P), action (N, A) -> next state (N, D + P)."""
        hidden = self.input(torch.cat([state, action], dim=-1))
        for block in self.blocks:
            hidden = block(hidden)
        return state + self.output(hidden).float()

    def rollout(self, latent: Tensor, proprio: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Imagine action sequences.

        Args:
            latent: (N, D).
            proprio: (N, P), m and m/s.
            actions: (N, H, A), m.

        Returns:
            latents (N, H, D) and proprioception (N, H, P), m and m/s, after each step.
        """
        state = torch.cat([latent, self.normalise_proprio(proprio)], dim=-1)
        steps = []
        for action in self.normalise_actions(actions).unbind(dim=1):
            state = self(state, action)
            steps.append(state)
        latents, normalised = torch.stack(steps, dim=1).split([self.latent_dim, PROPRIO_DIM], dim=-1)
        return latents, normalised * self.proprio_std + self.proprio_mean

    def normalise_proprio(self, proprio: Tensor) -> Tensor:
        """(..., P), m and m/s -> units of its spread."""
        return (proprio - self.proprio_mean) / self.proprio_std

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """(..., A), m -> units of their spread."""
        return (actions - self.action_mean) / self.action_std


class _Block(nn.Module):
    """x + MLP(LayerNorm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)
