"""A checkpoint that has learned nothing: enough for the wiring."""

from __future__ import annotations

from pathlib import Path

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
