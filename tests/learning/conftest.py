"""Episodes of a disc that is pushed about: small enough to learn from in seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from disc_world import REACH, disc_arrays

from ami_robot.learning.config import TrainingConfig, load_config
from ami_robot.learning.dataset import Episodes


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def episodes() -> Episodes:
    return Episodes.from_arrays(disc_arrays(200, 12, seed=1))


@pytest.fixture(scope="session")
def config() -> TrainingConfig:
    """The shipped configuration, shrunk."""
    full = load_config(REACH)
    return replace(
        full,
        held_out_fraction=0.2,
        evaluate_every=1000,
        save_every=4,
        encoder=replace(full.encoder, latent_dim=32, channels=(16, 32, 32, 32), hidden=64, head_hidden=64),
        predictor=replace(full.predictor, width=64, blocks=2),
        window=replace(full.window, steps=4),
        loss=replace(full.loss, tool_position=1.0),
        optimiser=replace(full.optimiser, steps=200, warmup_steps=5, batch_sequences=32, learning_rate=0.003),
        head=replace(full.head, steps=300, batch_frames=128),
    )
