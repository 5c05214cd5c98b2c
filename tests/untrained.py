"""A checkpoint that has learned nothing, and an agent with it: enough for the wiring."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from ami_robot.configurator.configurator import CHECKPOINTS, REACH
from ami_robot.perception.checkpoint import save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import GoalHead
from ami_robot.perception.view import FRONT_VIEW
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.predictor import Predictor


def untrained_checkpoint(
    folder: Path, latent_dim: int = 32, members: int = 1, preprocessing_id: str = FRONT_VIEW
) -> Path:
    encoder = ConvConfig(latent_dim, (8, 8, 8, 8), 32, 16)
    predictor = MLPConfig(width=32, blocks=1, members=members)
    modules = {
        "encoder": encoder.build(),
        "goal_head": GoalHead(encoder),
        "predictor": Predictor(predictor, encoder.latent_dim),
    }
    sizes = {"encoder": encoder, "predictor": predictor}
    save_checkpoint(folder, modules, sizes, {"made": "untrained"}, preprocessing_id)
    return folder


def untrained_agent(folder: Path) -> Path:
    """Below the folder: `checkpoint`, which has learned nothing, and `short.yaml`, which searches with it a moment."""
    torch.manual_seed(0)
    checkpoint = untrained_checkpoint(folder / "checkpoint", latent_dim=128)  # as wide as that whose error is known
    error = yaml.safe_load((CHECKPOINTS / "reach" / "model_error.yaml").read_text())
    error["checkpoint_sha256"] = yaml.safe_load((checkpoint / "checkpoint.yaml").read_text())["model_sha256"]
    (folder / "model_error.yaml").write_text(yaml.safe_dump(error))
    task = yaml.safe_load(REACH.read_text())
    task["model_error"] = str(folder / "model_error.yaml")
    task["icem"] |= {"candidates": 16, "iterations": 1, "elites": 4, "kept_elites": 1}
    (folder / "short.yaml").write_text(yaml.safe_dump(task))
    return folder
