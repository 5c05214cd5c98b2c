"""What a model knows, measured on held-out episodes: the figures of the model card.

A low prediction loss says little: it is lowest when the representation has lost the objects. So what is read out of the
latents is measured (probes), how many directions they use (effective rank), and whether predictions beat a copy of the
present and react to the action.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ami_robot.learning.dataset import Episodes
from ami_robot.learning.jepa import JEPA
from ami_robot.perception.encoder import normalise_pictures
from ami_robot.types import TOOL_POSITION

_CHUNK = 512  # pictures encoded at once
_RIDGE = 1e-3  # of the linear probe, per sample, in units of the latents' unit variance
_CENTIMETRES = 100.0


@dataclass(frozen=True)
class Encoded:
    """Episodes with latents in place of images."""

    latents: Tensor  # (E, T + 1, D)
    proprio: Tensor  # (E, T + 1, P)
    actions: Tensor  # (E, T, A)
    blocks: Tensor  # (E, T + 1, B, 3)

    @property
    def tool_position(self) -> Tensor:
        """(E, T + 1, 3), m."""
        return self.proprio[..., TOOL_POSITION]


@torch.inference_mode()
def encode_episodes(encoder: nn.Module, episodes: Episodes) -> Encoded:
    """Encode all frames as at run time, on the encoder's device: no augmentation, stored statistics."""
    encoder.eval()
    device = next(iter(encoder.state_dict().values())).device  # a frozen one has no parameters
    images = torch.from_numpy(episodes.images)
    flat = images.flatten(0, 1)
    latents = torch.cat([encoder(normalise_pictures(part.to(device))).cpu() for part in flat.split(_CHUNK)])
    rest = (torch.from_numpy(values) for values in (episodes.proprio, episodes.actions, episodes.blocks))
    return Encoded(latents.unflatten(0, images.shape[:2]), *rest)


def effective_rank(latents: Tensor) -> float:
    """Exponential of the entropy of the normalised singular values of (N, D) (Roy & Vetterli 2007); 1 is collapse."""
    values = torch.linalg.svdvals((latents - latents.mean(0)).double())
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return float(torch.exp(torch.special.entr(shares).sum()))


def linear_probe(latents: Tensor, labels: Tensor, test_latents: Tensor) -> Tensor:
    """Ridge regression (N, D) -> (N, K), applied to (M, D)."""
    mean, label_mean = latents.mean(0), labels.mean(0)
    centred = (latents - mean).double()
    gram = centred.T @ centred + _RIDGE * len(latents) * torch.eye(latents.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, centred.T @ (labels - label_mean).double())
    return ((test_latents - mean).double() @ weights).to(labels.dtype) + label_mean


def mlp_probe(latents: Tensor, labels: Tensor, test_latents: Tensor, seed: int, steps: int = 1500) -> Tensor:
    """A small network fitted to (N, D) -> (N, K), applied to (M, D)."""
    spread = labels.std(0).clamp_min(1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        probe = nn.Sequential(nn.Linear(latents.shape[1], 256), nn.SiLU(), nn.Linear(256, labels.shape[1]))
    fit_regression(probe, latents, (labels - labels.mean(0)) / spread, steps, 512, 2e-3, 1e-4, seed)
    with torch.inference_mode():
        return probe(test_latents) * spread + labels.mean(0)


def fit_regression(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    steps: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> None:
    """Fit module(inputs) to labels by mean-squared error: AdamW with a cosine schedule."""
    inputs, labels = inputs.clone(), labels.clone()  # tensors made for inference cannot enter training
    optimiser = torch.optim.AdamW(module.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (batch,), generator=generator)
        optimiser.zero_grad()
        (module(inputs[chosen]) - labels[chosen]).square().mean().backward()
        optimiser.step()
        schedule.step()


def distances(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Mean and 95th percentile of the distance between positions (N, 3) m, in cm."""
    error = torch.linalg.vector_norm(predicted - true, dim=-1) * _CENTIMETRES
    return {"mean_cm": round(float(error.mean()), 3), "p95_cm": round(float(error.quantile(0.95)), 3)}


def probe_report(training: Encoded, held_out: Encoded, seed: int) -> dict[str, dict[str, float]]:
    """How well positions are read out of held-out latents by probes that were fitted on training latents."""
    fit, test = training.latents.flatten(0, 1), held_out.latents.flatten(0, 1)
    labels = torch.cat([training.tool_position, training.blocks.flatten(2)], dim=-1).flatten(0, 1)
    truth = torch.cat([held_out.tool_position, held_out.blocks.flatten(2)], dim=-1).flatten(0, 1)
    report = {}
    for name, found in (
        ("linear", linear_probe(fit, labels, test)),
        ("mlp", mlp_probe(fit, labels, test, seed)),
        ("mean", labels.mean(0).expand(len(truth), -1)),  # what a representation that knows nothing would reach
    ):
        report[f"{name}_tool"] = distances(found[:, :3], truth[:, :3])
        report[f"{name}_blocks"] = distances(found[:, 3:].reshape(-1, 3), truth[:, 3:].reshape(-1, 3))
    return report


@torch.inference_mode()
def prediction_report(model: JEPA, held_out: Encoded, steps: int, seed: int, windows: int = 2048) -> dict[str, object]:
    """How well the predictor imagines, after 1, steps / 2 and `steps` steps.

    copy_last: latent error over that of saying that nothing changes (< 1 is better than copying).
    wrong_over_true_action: latent error with another window's actions over that with the true ones (> 1 reacts).
    tool_*: error of the imagined tool position, from the imagined proprioception and from the imagined picture latent.
    """
    model.eval()
    generator = np.random.default_rng([seed, 2])
    episodes, frames = held_out.latents.shape[:2]
    episode = generator.integers(episodes, size=(windows, 1))
    frame = generator.integers(frames - steps, size=(windows, 1)) + np.arange(steps + 1)
    latents, proprio = held_out.latents[episode, frame], held_out.proprio[episode, frame]
    actions = held_out.actions[episode, frame[:, :-1]]
    rollouts = model.predictor.rollouts(latents[:, 0], proprio[:, 0], actions)
    imagined, imagined_proprio = rollouts.most_likely()
    misled, _ = model.predictor.rollouts(latents[:, 0], proprio[:, 0], actions.roll(1, dims=0)).most_likely()
    decoded = model.goal_head(imagined)
    report: dict[str, object] = {}
    for step in sorted({1, max(1, steps // 2), steps}):
        error = (imagined[:, step - 1] - latents[:, step]).square().mean()
        truth = proprio[:, step, TOOL_POSITION]
        report[f"step_{step}"] = {
            "copy_last": round(float(error / (latents[:, 0] - latents[:, step]).square().mean()), 4),
            "wrong_over_true_action": round(float((misled[:, step - 1] - latents[:, step]).square().mean() / error), 3),
            "tool_by_proprio": distances(imagined_proprio[:, step - 1, TOOL_POSITION], truth),
            "tool_by_latent": distances(decoded[:, step - 1], truth),
            "tool_moved": distances(proprio[:, 0, TOOL_POSITION], truth),
        }
    return report
