"""How unlike everything in the training data a latent is: its Mahalanobis distance from them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ami_robot.types import Array

_LEVELS = 1001  # quantiles kept, 0 to 1
_LEAST_VARIANCE = 1e-6  # of the mean variance of the latents: directions that are never used must not count infinitely


class Novelty(nn.Module):
    """Root-mean-square distance from the training latents, in units of their spread in each direction; about 1 inside.

    Lee et al., "A simple unified framework for detecting out-of-distribution samples" (2018), without classes. What is
    a great distance is said by latents held out: `level` gives the quantiles of theirs.
    """

    centre: Tensor
    whitening: Tensor
    quantiles: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(latent_dim))
        self.register_buffer("whitening", torch.eye(latent_dim))
        self.register_buffer("quantiles", torch.zeros(_LEVELS))

    def fit(self, latents: Tensor, held_out: Tensor) -> None:
        """From training latents (N, D), and levels from others (M, D)."""
        values = latents.double()
        covariance = torch.cov(values.T)
        variances, directions = torch.linalg.eigh(covariance)
        variances = variances.clamp_min(_LEAST_VARIANCE * float(variances.mean()))
        self.centre.copy_(values.mean(0))
        self.whitening.copy_((directions / variances.sqrt()).T)
        scores = np.array([self.score(latent) for latent in held_out.numpy()])
        self.quantiles.copy_(torch.from_numpy(np.quantile(scores, np.linspace(0, 1, _LEVELS))))

    @torch.inference_mode()
    def score(self, latent: Array) -> float:
        """Of one latent (D,); NaN for one that holds NaN."""
        difference = torch.from_numpy(np.array(latent, np.float32)) - self.centre
        return float((self.whitening @ difference).square().mean().sqrt())

    def level(self, quantile: float) -> float:
        """The score that this share of the held-out latents does not exceed; infinite for 1 (nothing is above it)."""
        if quantile >= 1:
            return float("inf")
        return float(np.interp(quantile, np.linspace(0, 1, len(self.quantiles)), self.quantiles.numpy()))
