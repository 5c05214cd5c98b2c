"""Scenes that begin, and people who stand, where a story wants them to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array
from ami_sim.scene import BLOCK_TOOL_SPACING_M, Scene
from ami_sim.walks import WORKPLACE_M, Walk, standing
from ami_sim.world import World

_SEEDS_APART = 1_000_000  # of scenes whose blocks are tried


def at_position(seed: int, start: Array, goal: Array, *clear: Array) -> Scene:
    """A scene with the tool starting and its goal at these points, (3,) m; no block lies there or at `clear` ones."""
    kinematics = Kinematics()
    begin, end = kinematics.inverse(np.asarray(start))[0], kinematics.inverse(np.asarray(goal))[0]
    scene = Scene.from_seed(seed)
    while not _clear(scene, start, goal, *clear):
        scene = Scene.from_seed(scene.seed + _SEEDS_APART)
    goal_position = kinematics.tool_position(end)
    return replace(scene, seed=seed, start_joint_positions=begin, goal_joint_positions=end, goal_position=goal_position)


def _clear(scene: Scene, *tools: Array) -> bool:
    gaps = [np.linalg.norm(block.position[:2] - tool[:2]) for block in scene.blocks for tool in tools]
    return bool(min(gaps) > BLOCK_TOOL_SPACING_M)


def stand_off(scene: Scene, bearing: float, distance_m: float) -> Array:
    """Where (2,), m, somebody has to stand in this direction, rad, of the workplace to be that far from the arm."""
    direction = np.array([np.cos(bearing), np.sin(bearing)])
    world = World(scene)
    try:
        near_m, far_m = 0.2, 2.5
        for _ in range(14):
            middle_m = (near_m + far_m) / 2.0
            world.add_people([standing(WORKPLACE_M + middle_m * direction)])
            nearest = world.nearest_person(far_m)
            too_near = nearest is not None and nearest.distance_m < distance_m
            near_m, far_m = (middle_m, far_m) if too_near else (near_m, middle_m)
        return WORKPLACE_M + far_m * direction
    finally:
        world.close()


def backing_away(place: Array, way_m: float, speed_m_per_s: float, start_s: float) -> Walk:
    """Stand at `place` (2,) with the eyes on the arm until `start_s`, and step back."""
    here = standing(place)
    out = place + way_m * (place - WORKPLACE_M) / np.linalg.norm(place - WORKPLACE_M)
    times_s = np.array([start_s, start_s + way_m / speed_m_per_s])
    return Walk(times_s, np.array([place, out]), np.repeat(here.headings, 2), np.repeat(here.hands, 2, axis=0))
