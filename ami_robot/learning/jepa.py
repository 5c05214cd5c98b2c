"""The joint-embedding predictive architecture while it learns: encoder, predictor, heads and the sum of loss terms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ami_robot.learning import losses
from ami_robot.learning.config import AugmentationConfig, TrainingConfig
from ami_robot.learning.dataset import Batch, Episodes
from ami_robot.perception.encoder import Encoder, GoalHead, normalise_pictures
from ami_robot.types import ACTION_DIM, TOOL_POSITION
from ami_robot.world_model.predictor import Predictor

_LEAST_SPREAD_M = 1e-3  # a quantity that hardly varies in the data (a closed gripper) is not blown up to unit spread


class JEPA(nn.Module):
    """What is trained together. Only encoder, predictor and goal head go into the checkpoint."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        latent_dim = config.encoder.latent_dim
        self.encoder = Encoder(config.encoder)
        self.predictor = Predictor(config.predictor, latent_dim)
        self.goal_head = GoalHead(config.encoder)
        self.inverse_dynamics = nn.Sequential(
            nn.Linear(2 * latent_dim, config.encoder.hidden), nn.SiLU(), nn.Linear(config.encoder.hidden, ACTION_DIM)
        )

    def fit_normalisation(self, episodes: Episodes) -> None:
        """Set the buffers of means and spreads from the training episodes."""
        for name, values in (("proprio", episodes.proprio), ("action", episodes.actions)):
            flat = torch.from_numpy(values).flatten(0, 1).double()
            getattr(self.predictor, f"{name}_mean").copy_(flat.mean(0))
            getattr(self.predictor, f"{name}_std").copy_(flat.std(0).clamp_min(_LEAST_SPREAD_M))
        self.goal_head.mean.copy_(self.predictor.proprio_mean[TOOL_POSITION])
        self.goal_head.std.copy_(self.predictor.proprio_std[TOOL_POSITION])

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Each unweighted term by its name in LossWeights."""
        sequences, frames = batch.pictures.shape[:2]
        pictures = augment(normalise_pictures(batch.pictures.flatten(0, 1)), self.config.augmentation, generator)
        with torch.autocast("cpu", torch.bfloat16):
            flat = self.encoder(pictures).float()
            latents = flat.unflatten(0, (sequences, frames))
            imagined, proprio = self.predictor.rollout(latents[:, 0], batch.proprio[:, 0], batch.actions)
            located = self.goal_head(flat).unflatten(0, (sequences, frames))
            guessed = self.inverse_dynamics(latents[:, :2].flatten(1)).float()  # on encoded pairs: predicted ones leak
        imagined = imagined[:, [step - 1 for step in batch.targets]].float()
        normalise = self.predictor.normalise_proprio
        pictured = batch.proprio[:, [0, *batch.targets], TOOL_POSITION]
        terms = {
            "one_step": losses.prediction(imagined[:, 0], latents[:, 1]),
            "proprio": losses.prediction(normalise(proprio), normalise(batch.proprio[:, 1:])),
            "tool_position": losses.prediction(located / self.goal_head.std, pictured / self.goal_head.std),
            "inverse_dynamics": losses.prediction(guessed, self.predictor.normalise_actions(batch.actions[:, 0])),
            "variance": losses.variance(flat),
            "covariance": losses.covariance(flat),
        }
        if frames > 2:
            terms["multi_step"] = losses.prediction(imagined[:, 1:], latents[:, 2:])
        return terms

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
        pictures = pictures + config.noise * torch.randn(pictures.shape, generator=generator)
    return pictures


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand((count, 1, 1, 1), generator=generator) - 1
