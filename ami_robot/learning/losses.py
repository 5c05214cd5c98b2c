"""The terms of the training loss. All take and give float32 tensors; every mean is over all elements.

Where several processes train together, terms that look at the whole batch look at all processes' parts of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ami_robot.learning.ranks import mean_over_ranks, whole_batch, world_size

_EPSILON = 1e-4  # keeps the root of a vanishing variance differentiable
_LARGEST_FREQUENCY = 3.0  # of the characteristic function; a unit Gaussian has none left beyond it


def squared(predicted: Tensor, encoded: Tensor) -> Tensor:
    """Squared error of each element. The target is not detached: other terms prevent collapse instead."""
    return (predicted - encoded).square()


def smooth_l1(predicted: Tensor, encoded: Tensor) -> Tensor:
    """Huber's error of each element: x^2 up to 1, 2 |x| - 1 beyond, so that few large errors do not decide."""
    return 2 * nn.functional.smooth_l1_loss(predicted, encoded.expand_as(predicted), reduction="none")


def gaussian(mean: Tensor, deviation: Tensor, true: Tensor) -> Tensor:
    """Negative log-likelihood, without its constant, of (..., K) under a Gaussian as wide in each direction as (...).

    Times the deviation, held fixed: else what is hard is given up early (Seitzer et al. 2022, beta-NLL, beta = 0.5).
    """
    likelihood = squared(mean, true).sum(-1) / (2 * deviation.square()) + true.shape[-1] * deviation.log()
    return deviation.detach() * likelihood


DISTANCES = {"l2": squared, "smooth_l1": smooth_l1}
"""Between predicted and encoded latents, by the name in the training configuration."""


def variance(latents: Tensor) -> Tensor:
    """VICReg's hinge on the standard deviation of each dimension, (N, D) -> scalar (Bardes et al. 2022, eq. 1)."""
    return torch.relu(1 - (whole_batch(latents).var(dim=0) + _EPSILON).sqrt()).mean()


def covariance(latents: Tensor) -> Tensor:
    """VICReg's squared off-diagonal covariances, (N, D) -> scalar (Bardes et al. 2022, eq. 3 to 4)."""
    latents = whole_batch(latents)
    centred = latents - latents.mean(dim=0)
    matrix = centred.T @ centred / (len(latents) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / latents.shape[1]


def sigreg(latents: Tensor, projections: int, knots: int, generator: torch.Generator) -> Tensor:
    """Sketched isotropic Gaussian regularisation (LeJEPA, Balestriero & LeCun 2025), (N, D) -> scalar.

    The latents are projected on random directions; in each, Epps and Pulley's statistic compares their empirical
    characteristic function phi with that of a unit Gaussian:

        N * integral over t of |phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2),

    by the trapezoidal rule on `knots` frequencies. It is about 1.05 for Gaussian latents however many there are, and
    grows with N for others; so does its gradient, and a weight belongs to one batch size. N counts all processes.

    Args:
        latents: of this process, the same number in each.
        projections: number of directions.
        knots: number of frequencies in 0 to 3; the other half line is their mirror image.
        generator: draws the directions; has to be in the same state in all processes.
    """
    directions = torch.randn(latents.shape[1], projections, generator=generator, device=latents.device)
    projected = latents @ (directions / directions.norm(dim=0))
    frequencies = torch.linspace(0, _LARGEST_FREQUENCY, knots, device=latents.device)
    phases = projected[..., None] * frequencies  # (N, projections, knots)
    real, imaginary = mean_over_ranks(torch.stack([phases.cos().mean(0), phases.sin().mean(0)]))
    gaussian = torch.exp(-frequencies.square() / 2)
    distances = (real - gaussian).square() + imaginary.square()
    integrals = 2 * torch.trapezoid(distances * gaussian, frequencies, dim=-1)
    return len(latents) * world_size() * integrals.mean()


def straightening(latents: Tensor) -> Tensor:
    """1 - cosine between successive chords of each path, (N, T, D), T >= 3 -> scalar (temporal straightening).

    After Henaff et al. (2019), who found that vision straightens natural video; a straight path is easy to predict and
    its distances tell how far there is to go. The chords need not span equal times.
    """
    chords = latents.diff(dim=1)
    return (1 - nn.functional.cosine_similarity(chords[:, :-1], chords[:, 1:], dim=-1)).mean()


def responsibilities(log_prior: Tensor, errors: Tensor, temperature: float) -> Tensor:
    """How likely each of C outcomes was the one that happened, (C, N), (C, N) -> (C, N), summing to 1, no gradient.

    The posterior of a mixture of Gaussians around the outcomes, of variance temperature / 2. Weighting the errors with
    it, and training the prior on it, descends the mixture's negative log-likelihood (the M step of EM; MacKay 2003).
    """
    return (log_prior - errors / temperature).softmax(0).detach()


def code_prior(log_prior: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy between the prior and the responsibilities, (C, N), (C, N) -> scalar."""
    return -(shares * log_prior).sum(0).mean()
