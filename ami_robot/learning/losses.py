"""The terms of the training loss. All take and give float32 tensors; every mean is over all elements."""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-4  # keeps the root of a vanishing variance differentiable


def prediction(predicted: Tensor, encoded: Tensor) -> Tensor:
    """Mean-squared error of latents. The target is not detached: variance and covariance prevent collapse instead."""
    return (predicted - encoded).square().mean()


def variance(latents: Tensor) -> Tensor:
    """VICReg's hinge on the standard deviation of each dimension, (N, D) -> scalar (Bardes et al. 2022, eq. 1)."""
    return torch.relu(1 - (latents.var(dim=0) + _EPSILON).sqrt()).mean()


def covariance(latents: Tensor) -> Tensor:
    """VICReg's squared off-diagonal covariances, (N, D) -> scalar (Bardes et al. 2022, eq. 3 to 4)."""
    centred = latents - latents.mean(dim=0)
    matrix = centred.T @ centred / (len(latents) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / latents.shape[1]
