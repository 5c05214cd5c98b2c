"""The joint-embedding predictive architecture while it learns: encoder, predictor, heads and the sum of loss terms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ami_robot.learning import losses
from ami_robot.learning.config import AugmentationConfig, TrainingConfig
from ami_robot.learning.dataset import Batch, Episodes
from ami_robot.learning.decoder import PictureDecoder
from ami_robot.perception.encoder import GoalHead, PlaceHead, normalise_pictures
from ami_robot.types import ACTION_DIM, TOOL_POSITION
from ami_robot.world_model.predictor import Predictor, Rollouts

_LEAST_SPREAD_M = 1e-3  # a quantity that hardly varies in the data (a closed gripper) is not blown up to unit spread


Terms = dict[str, Callable[[], Tensor]]
"""How each term is computed, by its name in LossWeights."""


@dataclass(frozen=True)
class _Pass:
    """A batch of B windows after encoder and predictor."""

    batch: Batch
    pictures: Tensor  # (B * (K + 1), 3, 64, 64), as they were taken
    latents: Tensor  # (B, K + 1, D)
    targets: Tensor  # (B, K, D)
    rollouts: Rollouts
    imagined: Tensor  # (C, M, B, K, D)
    shares: Tensor  # (C, B), see losses.responsibilities

    def shared_out(self, errors: Tensor) -> Tensor:
        """The mean of (C, M, B, K, ...), of each code's part as much as it is responsible for."""
        return (self.shares.view(len(self.shares), 1, -1, *(1,) * (errors.ndim - 3)) * errors).sum(0).mean()


class JEPA(nn.Module):
    """What is trained together. Only encoder, predictor, goal head and block head go into the checkpoint."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        latent_dim, width = config.encoder.latent_dim, config.objective.inverse_dynamics_width
        self.encoder = config.encoder.build()
        self.predictor = Predictor(config.predictor, latent_dim, config.encoder.tokens)
        self.goal_head = GoalHead(config.encoder)
        self.inverse_dynamics = nn.Sequential(nn.Linear(2 * latent_dim, width), nn.SiLU(), nn.Linear(width, ACTION_DIM))
        if config.objective.target_decay:
            self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        if config.loss.reconstruction:
            self.decoder = PictureDecoder(latent_dim)
        if config.block_head:
            self.block_head = PlaceHead(config.encoder)

    def start_encoder_from(self, tensors: dict[str, Tensor]) -> None:
        """Set the encoder, and its moving average if there is one, to what was pretrained."""
        for encoder in (self.encoder, getattr(self, "target_encoder", self.encoder)):
            encoder.load_state_dict(tensors)

    def fit_normalisation(self, episodes: Episodes) -> None:
        """Set the buffers of means and spreads from the training episodes."""
        for name, values in (("proprio", episodes.proprio), ("action", episodes.actions)):
            flat = torch.from_numpy(values).flatten(0, 1).double()
            getattr(self.predictor, f"{name}_mean").copy_(flat.mean(0))
            getattr(self.predictor, f"{name}_std").copy_(flat.std(0).clamp_min(_LEAST_SPREAD_M))
        self.predictor.fit_linear_step(torch.from_numpy(episodes.proprio), torch.from_numpy(episodes.actions))
        self.goal_head.mean.copy_(self.predictor.proprio_mean[TOOL_POSITION])
        self.goal_head.std.copy_(self.predictor.proprio_std[TOOL_POSITION])
        if self.config.block_head:
            blocks = torch.from_numpy(episodes.blocks).flatten(0, 2).double()
            self.block_head.mean.copy_(blocks.mean(0))
            self.block_head.std.copy_(blocks.std(0).clamp_min(_LEAST_SPREAD_M))

    def losses(self, batch: Batch, generator: torch.Generator, shared: torch.Generator) -> dict[str, Tensor]:
        """Each unweighted term that has a weight, by its name in LossWeights.

        Args:
            batch: of this process.
            generator: for what is drawn for each picture.
            shared: for what all processes have to draw alike.
        """
        passed = self._pass(batch, generator)
        formulas = self._prediction_terms(passed) | self._head_terms(passed) | self._latent_terms(passed, shared)
        return {name: formula() for name, formula in formulas.items() if getattr(self.config.loss, name)}

    def _pass(self, batch: Batch, generator: torch.Generator) -> _Pass:
        taken = normalise_pictures(batch.pictures.flatten(0, 1))
        pictures = augment(taken, self.config.augmentation, generator)
        with self._autocast(pictures):
            latents = self.encoder(pictures).float().unflatten(0, batch.pictures.shape[:2])
            rollouts = self.predictor.rollouts(latents[:, 0], batch.proprio[:, 0], batch.actions)
            targets = self._targets(pictures, latents)
        imagined = rollouts.latents[..., [step - 1 for step in batch.targets], :].float()
        errors = losses.squared(imagined, targets).mean(dim=(1, 3, 4))
        shares = losses.responsibilities(rollouts.log_prior, errors, self.config.objective.code_temperature)
        return _Pass(batch, taken, latents, targets, rollouts, imagined, shares)

    def _targets(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """What the imagined latents should be, (B, K, D): the encoder's, or those of its moving average, detached."""
        if not self.config.objective.target_decay:
            return latents[:, 1:]
        with torch.no_grad():
            pictures = pictures.unflatten(0, latents.shape[:2])[:, 1:]
            return self.target_encoder(pictures.flatten(0, 1)).float().unflatten(0, pictures.shape[:2])

    @torch.no_grad()
    def update_target_encoder(self) -> None:
        """Move the target encoder towards the encoder (BYOL, Grill et al. 2020, eq. 1); without one do nothing."""
        if decay := self.config.objective.target_decay:
            for mean, value in zip(self.target_encoder.parameters(), self.encoder.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)

    def _prediction_terms(self, passed: _Pass) -> Terms:
        """Imagination against what came: latents, proprioception, pictures, where the block is, which code it was."""
        distance, normalise = losses.DISTANCES[self.config.objective.distance], self.predictor.normalise_proprio
        imagined, targets, rollouts = passed.imagined, passed.targets, passed.rollouts
        terms: Terms = {
            "one_step": lambda: passed.shared_out(distance(imagined[..., 0, :], targets[:, 0])),
            "proprio": lambda: passed.shared_out(
                losses.squared(normalise(rollouts.proprio), normalise(passed.batch.proprio[:, 1:]))
            ),
            "code_prior": lambda: losses.code_prior(rollouts.log_prior, passed.shares),
            "reconstruction": lambda: self._reconstruction(passed),
            "block_position": lambda: self._block_position(passed),
        }
        if targets.shape[1] > 1:
            terms["multi_step"] = lambda: passed.shared_out(distance(imagined[..., 1:, :], targets[:, 1:]))
        return terms

    def _reconstruction(self, passed: _Pass) -> Tensor:
        """Mean-squared error of the pictures decoded from encoded and from imagined latents, (-0.5..0.5)^2."""
        with self._autocast(passed.pictures):
            drawn = self.decoder(passed.latents.flatten(0, 1))
            foreseen = self.decoder(passed.imagined.flatten(0, 3)).unflatten(0, passed.imagined.shape[:4])
        future = passed.pictures.unflatten(0, passed.latents.shape[:2])[:, 1:]
        return losses.squared(drawn, passed.pictures).mean() + passed.shared_out(losses.squared(foreseen, future))

    def _block_position(self, passed: _Pass) -> Tensor:
        """Squared error of the block's position, read from encoded and imagined latents, in units of its spread."""
        std = self.block_head.std
        with self._autocast(passed.latents):
            seen, foreseen = self.block_head(passed.latents), self.block_head(passed.imagined)
        true = passed.batch.blocks[:, :, 0] / std
        return losses.squared(seen / std, true).mean() + passed.shared_out(losses.squared(foreseen / std, true[:, 1:]))

    def _head_terms(self, passed: _Pass) -> Terms:
        """What has to be readable from the encoder's latents. Predicted ones would leak the action into its guess."""
        batch, latents, std = passed.batch, passed.latents, self.goal_head.std
        with self._autocast(latents):
            located = self.goal_head(latents)
            guessed = self.inverse_dynamics(latents[:, :2].flatten(1)).float()
        pictured = batch.proprio[:, [0, *batch.targets], TOOL_POSITION]
        done = self.predictor.normalise_actions(batch.actions[:, 0])
        return {
            "tool_position": lambda: losses.squared(located / std, pictured / std).mean(),
            "inverse_dynamics": lambda: losses.squared(guessed, done).mean(),
        }

    def _latent_terms(self, passed: _Pass, shared: torch.Generator) -> Terms:
        """How the encoder's latents are spread, and how they move."""
        flat, objective = passed.latents.flatten(0, 1), self.config.objective
        return {
            "variance": lambda: losses.variance(flat),
            "covariance": lambda: losses.covariance(flat),
            "sigreg": lambda: losses.sigreg(flat, objective.sigreg_projections, objective.sigreg_knots, shared),
            "straightening": lambda: losses.straightening(passed.latents),
        }

    def _autocast(self, values: Tensor) -> torch.autocast:
        bf16 = self.config.optimiser.precision == "bf16"
        return torch.autocast(values.device.type, torch.bfloat16, enabled=bf16)

    def weighted_sum(self, terms: dict[str, Tensor]) -> Tensor:
        """The training loss."""
        return torch.stack([getattr(self.config.loss, name) * term for name, term in terms.items()]).sum()


def augment(pictures: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Another light for each picture of (N, 3, 64, 64): contrast, brightness, sensor noise."""
    if config.contrast:
        pictures = pictures * (1 + config.contrast * _uniform(len(pictures), generator))
    if config.brightness:
        pictures = pictures + config.brightness * _uniform(len(pictures), generator)
    if config.noise:
        noise = torch.randn(pictures.shape, generator=generator, device=generator.device)
        pictures = pictures + config.noise * noise
    return pictures


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand((count, 1, 1, 1), generator=generator, device=generator.device) - 1
