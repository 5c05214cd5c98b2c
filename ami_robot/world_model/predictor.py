"""The predictor: from a latent, the proprioception and actions to what comes, one model step after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.encoder import EncoderConfig
from ami_robot.types import ACTION_DIM, PROPRIO_DIM
from ami_robot.world_model.adaln_mlp import AdaLNMLPConfig
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.token_transformer import TokenTransformerConfig

PredictorConfig = MLPConfig | AdaLNMLPConfig | TokenTransformerConfig
"""The kinds of network that make a step, by their sizes; the first is what a description without a kind means. All of
them have `members`, `codes` and `network(latent_dim, tokens, action_dim)`."""

_PRIOR_WIDTH = 64


class Rollouts(NamedTuple):
    """What N action sequences would do, imagined by M networks for each of C values of the latent variable."""

    latents: Tensor  # (C, M, N, H, D)
    proprio: Tensor  # (C, M, N, H, P), m and m/s
    log_prior: Tensor  # (C, N): log-probability of each value

    def most_likely(self) -> tuple[Tensor, Tensor]:
        """Latents (N, H, D) and proprioception (N, H, P): the networks' mean under each row's most likely value."""
        if len(self.latents) == 1:
            return self.latents[0].mean(0), self.proprio[0].mean(0)
        chosen = (self.log_prior.argmax(0), torch.arange(self.latents.shape[2]))
        return self.latents.mean(1)[chosen], self.proprio.mean(1)[chosen]

    def spread(self) -> Tensor:
        """(N, H): root-mean-square deviation, over latent dimensions, networks and values, from the most likely one."""
        squares = (self.latents - self.most_likely()[0]).square().mean(dim=(1, -1))
        return (self.log_prior.exp()[..., None] * squares).sum(0).sqrt()


class Predictor(nn.Module):
    """Networks that make a step each, the units they work in, and how they are rolled out.

    Ensemble (Lakshminarayanan et al. 2017; trajectories as in PETS, Chua et al. 2018): `members` networks differ in
    their first weights alone, have their losses apart, and each goes on from its own imagination.

    Latent variable: what the action leaves open (which way a block tips) is one of `codes` values, held over the
    sequence and appended to each action as a one-hot vector; a prior says how likely each is, given where the sequence
    begins and its actions. Of the usual choices (Gaussian, straight-through codes, mixture) this is the mixture: few
    values can be enumerated, so its likelihood is exact, training and planning draw nothing, no second encoder of the
    future is needed, and what the variable can carry is at most log(codes).

    Proprioception and actions are in units of their spread over the training data, kept as buffers. An arm follows its
    target nearly as a linear system does: that part of a step is solved for, and the networks learn what it leaves.
    """

    proprio_mean: Tensor
    proprio_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    proprio_step: Tensor  # (P, P + A + 1): the linear part of a step's change of proprioception, in these units

    def __init__(self, config: PredictorConfig, latent_dim: int, tokens: int = 1) -> None:
        """Build with random weights.

        Args:
            config: of the networks.
            latent_dim: D.
            tokens: parts of equal width that the latent consists of.
        """
        super().__init__()
        self.latent_dim, self.codes = latent_dim, config.codes
        action_dim = ACTION_DIM + (config.codes if config.codes > 1 else 0)
        self.networks = nn.ModuleList(config.network(latent_dim, tokens, action_dim) for _ in range(config.members))
        if config.codes > 1:
            self.prior = nn.Sequential(
                nn.Linear(latent_dim + PROPRIO_DIM + ACTION_DIM, _PRIOR_WIDTH),
                nn.SiLU(),
                nn.Linear(_PRIOR_WIDTH, config.codes),
            )
        for name, size in (("proprio", PROPRIO_DIM), ("action", ACTION_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))
        self.register_buffer("proprio_step", torch.zeros(PROPRIO_DIM, PROPRIO_DIM + ACTION_DIM + 1))
        self.register_load_state_dict_pre_hook(_number_the_network)
        self.register_load_state_dict_pre_hook(_without_linear_step)

    def fit_linear_step(self, proprio: Tensor, actions: Tensor) -> None:
        """Solve for it by least squares, from episodes of proprioception (E, T + 1, P) and actions (E, T, A)."""
        before = self.normalise_proprio(proprio.double())
        known = _with_one(before[:, :-1], self.normalise_actions(actions.double())).flatten(0, 1)
        change = before.diff(dim=1).flatten(0, 1)
        solved = torch.linalg.lstsq(known, change, driver="gelsd").solution  # a gripper that never moves has no rank
        self.proprio_step.copy_(solved.T)

    def rollouts(self, latent: Tensor, proprio: Tensor, actions: Tensor) -> Rollouts:
        """Imagine action sequences.

        Args:
            latent: (N, D).
            proprio: (N, P), m and m/s.
            actions: (N, H, A), m.
        """
        start = torch.cat([latent, self.normalise_proprio(proprio)], dim=-1)
        actions = self.normalise_actions(actions)
        states = torch.stack(
            [
                torch.stack([self._roll_out(network, start, coded) for network in self.networks])
                for coded in self._with_codes(actions)
            ]
        )
        latents, normalised = states.split([self.latent_dim, PROPRIO_DIM], dim=-1)
        return Rollouts(latents, normalised * self.proprio_std + self.proprio_mean, self._log_prior(start, actions))

    def _roll_out(self, network: nn.Module, state: Tensor, actions: Tensor) -> Tensor:
        """Normalised state (N, D + P) and actions (N, H, ...) -> states (N, H, D + P)."""
        steps = []
        for action in actions.unbind(dim=1):
            known = _with_one(state[:, self.latent_dim :], action[:, :ACTION_DIM])
            with torch.autocast(known.device.type, enabled=False):  # bf16 would round away what it is for
                change = known.float() @ self.proprio_step.T
            state = network(state, action) + functional.pad(change, (self.latent_dim, 0))
            steps.append(state)
        return torch.stack(steps, dim=1)

    def _with_codes(self, actions: Tensor) -> list[Tensor]:
        """The normalised actions (N, H, A), for each value of the latent variable with that value appended."""
        if self.codes == 1:
            return [actions]
        one_hot = torch.eye(self.codes, device=actions.device)
        return [torch.cat([actions, code.expand(*actions.shape[:2], -1)], dim=-1) for code in one_hot]

    def _log_prior(self, start: Tensor, actions: Tensor) -> Tensor:
        """(C, N), from the start (N, D + P) and the mean over the actions (N, H, A) of what each says."""
        if self.codes == 1:
            return torch.zeros(1, len(start), device=start.device)
        steps = torch.cat([start[:, None].expand(-1, actions.shape[1], -1), actions], dim=-1)
        return self.prior(steps).float().mean(1).log_softmax(-1).T

    def normalise_proprio(self, proprio: Tensor) -> Tensor:
        """(..., P), m and m/s -> units of its spread."""
        return (proprio - self.proprio_mean) / self.proprio_std

    def normalise_actions(self, actions: Tensor) -> Tensor:
        """(..., A), m -> units of their spread."""
        return (actions - self.action_mean) / self.action_std


def load_predictor(checkpoint: Checkpoint) -> Predictor:
    """Of a checkpoint. Raises CheckpointError when it has none, or one that does not fit its sizes."""
    encoder: EncoderConfig = checkpoint.sizes("encoder", EncoderConfig)
    sizes: PredictorConfig = checkpoint.sizes("predictor", PredictorConfig)
    return checkpoint.fill(Predictor(sizes, encoder.latent_dim, encoder.tokens), "predictor")


def _with_one(proprio: Tensor, action: Tensor) -> Tensor:
    """(..., P + A + 1)."""
    return torch.cat([proprio, action, torch.ones_like(action[..., :1])], dim=-1)


def _number_the_network(predictor: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Checkpoints from when a predictor was one MLP name its layers without a number."""
    old = tuple(f"{prefix}{layer}." for layer in ("input", "blocks", "output"))
    for name in [key for key in tensors if key.startswith(old)]:
        tensors[f"{prefix}networks.0.{name.removeprefix(prefix)}"] = tensors.pop(name)


def _without_linear_step(predictor: Predictor, tensors: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Checkpoints from when the networks learned the whole step."""
    tensors.setdefault(f"{prefix}proprio_step", torch.zeros_like(predictor.proprio_step))
