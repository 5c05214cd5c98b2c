"""A stand-in: the record of an episode that never ran, in which the arm went straight to its goal."""

from __future__ import annotations

import numpy as np

from ami_robot.perception.camera import load_camera
from ami_robot.safety.kinematics import Kinematics
from ami_sim.demo.record import EpisodeRecord
from ami_sim.scene import Scene
from ami_sim.world import render_goal_image

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
        task="reach",
        seed=seed,
        length_s=8.0,
        tolerance_m=0.03,
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
        stops=[],
        real_time_factor=0.998,
        states_s=states_s,
        joint_positions=np.concatenate([joints, np.zeros((len(joints), 2))], axis=1),
        block_positions=np.repeat(blocks[None], len(joints), axis=0),
        block_orientations=np.repeat(turns[None], len(joints), axis=0),
        plans_s=plans_s,
        plan_ms=rng.gamma(20, 3.5, len(plans_s)),
        plan_costs=np.where(np.arange(len(plans_s)) == 7, np.nan, 5 * np.exp(-plans_s) + 0.2),
        tool_paths=paths,
        camera_to_command_ms=200 + rng.gamma(3, 4, len(plans_s)),
        reports_s=plans_s,
        margin_rows=list(ROWS),
        margins=np.abs(rng.normal(0.4, 0.1, (len(plans_s), len(ROWS)))),
    )
