"""Stand-ins: the record of an episode that never ran, in which the arm went straight to its goal; a raw model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml

from ami_robot.configurator.configurator import CHECKPOINTS, REACH
from ami_robot.perception.camera import load_camera
from ami_robot.perception.checkpoint import save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import GoalHead
from ami_robot.safety.kinematics import Kinematics
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.predictor import Predictor
from ami_sim.demo.record import EpisodeRecord
from ami_sim.scene import Scene
from ami_sim.world import render_goal_image


def untrained_checkpoint(folder: Path, latent_dim: int = 32) -> Path:
    """A checkpoint that has learned nothing: enough for the wiring."""
    encoder, predictor = ConvConfig(latent_dim, (8, 8, 8, 8), 32, 16), MLPConfig(width=32, blocks=1)
    modules = {
        "encoder": encoder.build(),
        "goal_head": GoalHead(encoder),
        "predictor": Predictor(predictor, encoder.latent_dim),
    }
    save_checkpoint(folder, modules, {"encoder": encoder, "predictor": predictor}, {"made": "untrained"})
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


ROWS = ["joint_position", "joint_velocity", "workspace", "table"]


def record_of(seed: int, success: bool = True, violations: tuple[str, ...] = ()) -> EpisodeRecord:
    rng, scene, kinematics = np.random.default_rng(seed), Scene.from_seed(seed), Kinematics()
    judged_s = np.arange(1, 1930) / 240
    way = 1 - np.exp(-judged_s / 1.2)
    start_m = float(np.linalg.norm(kinematics.tool_position(scene.start_joint_positions) - scene.goal_position))
    distances_m = start_m * (1 - way) + (0.004 if success else 0.06)
    states_s = np.arange(0, 8.1, 1 / 15)
    share = (1 - np.exp(-states_s / 1.2))[:, None]
    joints = scene.start_joint_positions * (1 - share) + scene.goal_joint_positions * share
    plans_s = np.arange(0.2, 8.0, 0.2)
    tools = kinematics.tool_position(joints)
    paths = np.stack([tools[np.minimum(int(t * 15) + 3 * np.arange(1, 7), len(tools) - 1)] for t in plans_s])
    blocks = np.array([block.position for block in scene.blocks])
    turns = np.array([[0, 0, np.sin(block.yaw / 2), np.cos(block.yaw / 2)] for block in scene.blocks])
    return EpisodeRecord(
        seed=seed,
        goal_image=render_goal_image(scene, load_camera()),
        success=success,
        judged_s=judged_s,
        distances_m=distances_m,
        violations=list(violations),
        checked_commands=38,
        max_measured_acceleration=9.1,
        min_clearance_m=0.041,
        outcome="done",
        reason="",
        steps=len(plans_s),
        refusals=1,
        interventions=2,
        real_time_factor=0.998,
        states_s=states_s,
        joint_positions=np.concatenate([joints, np.zeros((len(joints), 2))], axis=1),
        block_positions=np.repeat(blocks[None], len(joints), axis=0),
        block_orientations=np.repeat(turns[None], len(joints), axis=0),
        plans_s=plans_s,
        plan_ms=rng.gamma(20, 3.5, len(plans_s)),
        plan_costs=np.where(np.arange(len(plans_s)) == 7, np.nan, 5 * np.exp(-plans_s) + 0.2),
        imagined_tool_paths=paths,
        camera_to_command_ms=200 + rng.gamma(3, 4, len(plans_s)),
        reports_s=plans_s,
        margin_rows=list(ROWS),
        margins=np.abs(rng.normal(0.4, 0.1, (len(plans_s), len(ROWS)))),
    )
