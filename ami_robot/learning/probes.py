"""What can be read out of latents: probes, and how many directions they use.

A low prediction loss says little: it is lowest when the representation has lost the objects. So what is read out of the
latents is measured, by probes that are fitted on training episodes and judged on held-out ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.losses import squared
from ami_robot.learning.run_state import adamw

_RIDGE = 1e-3  # of the linear probe, per sample, in units of the latents' unit variance
_CENTIMETRES = 100.0
_MOVING_M = 0.002  # from one frame to the next; the solver lets a block at rest tremble by less

Probe = Callable[[Tensor], Tensor]
"""(..., D) -> (..., K)."""


def effective_rank(latents: Tensor) -> float:
    """Exponential of the entropy of the normalised singular values of (N, D) (Roy & Vetterli 2007); 1 is collapse."""
    values = torch.linalg.svdvals((latents - latents.mean(0)).double())
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return float(torch.exp(torch.special.entr(shares).sum()))


def linear_probe(latents: Tensor, labels: Tensor) -> Probe:
    """Ridge regression (N, D) -> (N, K)."""
    mean, label_mean = latents.mean(0), labels.mean(0)
    centred = (latents - mean).double()
    gram = centred.T @ centred + _RIDGE * len(latents) * torch.eye(latents.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, centred.T @ (labels - label_mean).double())
    return lambda test: ((test - mean).double() @ weights).to(labels.dtype) + label_mean


def mlp_probe(latents: Tensor, labels: Tensor, seed: int, steps: int = 1500) -> Probe:
    """A small network fitted to (N, D) -> (N, K)."""
    mean, spread = labels.mean(0), labels.std(0).clamp_min(1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(latents.shape[1], 256), nn.SiLU(), nn.Linear(256, labels.shape[1]))
    fit_regression(network, latents, (labels - mean) / spread, steps, 512, 2e-3, 1e-4, seed, "probe")
    network.requires_grad_(False)
    return lambda test: network(test) * spread + mean


def fit_regression(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    steps: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    what: str,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Fit module(inputs) to labels by mean-squared error, or by the mean loss(inputs, labels): AdamW, cosine schedule.

    A terminal shows how far it is, as `what`.
    """
    loss = loss or (lambda given, wanted: squared(module(given), wanted))
    inputs, labels = inputs.clone(), labels.clone()  # tensors made for inference cannot enter training
    optimiser = adamw(module.parameters(), learning_rate, weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(steps), what, leave=False, disable=None):
        chosen = torch.randint(len(inputs), (batch,), generator=generator)
        optimiser.zero_grad()
        loss(inputs[chosen], labels[chosen]).mean().backward()
        optimiser.step()
        schedule.step()


def distances(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Mean and 95th percentile of the distance between positions (..., 3) m, in cm."""
    error = torch.linalg.vector_norm(predicted - true, dim=-1).flatten() * _CENTIMETRES
    return {"mean_cm": round(float(error.mean()), 3), "p95_cm": round(float(error.quantile(0.95)), 3)}


def positions(episodes: LatentEpisodes) -> Tensor:
    """(E, T + 1, 1 + B, 3), m: of the tool, then of the blocks; flattened they are what probes are fitted to."""
    return torch.cat([episodes.tool_position[..., None, :], episodes.blocks], dim=-2)


def fit_probes(training: LatentEpisodes, seed: int) -> dict[str, Probe]:
    """Probes (..., D) -> (..., (1 + B) * 3) by name; `mean` is what a representation that knows nothing reaches."""
    latents, labels = training.latents.flatten(0, 1), positions(training).flatten(2).flatten(0, 1)
    mean = labels.mean(0)
    return {
        "linear": linear_probe(latents, labels),
        "mlp": mlp_probe(latents, labels, seed),
        "mean": lambda test: mean.expand(*test.shape[:-1], -1),
    }


def probe_report(probes: dict[str, Probe], held_out: LatentEpisodes) -> dict[str, dict[str, float]]:
    """How well positions are read out of held-out latents; those of moving blocks apart, where any moves.

    A block moves in a frame if it was more than 2 mm away in the one before.
    """
    truth = positions(held_out)
    step = torch.linalg.vector_norm(held_out.blocks.diff(dim=1), dim=-1)  # (E, T, B)
    moving = torch.nn.functional.pad(step, (0, 0, 1, 0)) > _MOVING_M
    report = {}
    for name, probe in probes.items():
        found = probe(held_out.latents).unflatten(-1, (-1, 3))
        report[f"{name}_tool"] = distances(found[..., 0, :], truth[..., 0, :])
        report[f"{name}_blocks"] = distances(found[..., 1:, :], truth[..., 1:, :])
        if moving.any():
            report[f"{name}_moving_blocks"] = distances(found[..., 1:, :][moving], truth[..., 1:, :][moving])
    return report
