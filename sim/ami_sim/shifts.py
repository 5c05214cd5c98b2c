"""What a policy was not trained on: named changes of a task's look, camera or physics, each a function of its seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array
from ami_sim.scene import BLOCK_LOWER_M, BLOCK_UPPER_M, Block, Scene
from ami_sim.tasks import Task

CAMERA_M, CAMERA_DEG = 0.03, 5.0
SHIFTED_HALF_EXTENT_M = 0.028
"""Above tasks.HALF_EXTENT_M, and the open gripper just goes round the diagonal. Blocks of 20 mm and less cannot
be held: the workspace's floor keeps the fingertips too high for them."""

FRICTIONS = (0.25, 1.0)  # half and double
DISTRACTORS = (1, 3)  # the least number, and one more than the greatest
DISTRACTOR_SPACING_M = 0.11  # between centres, and from the block's way: the hand passes between
OTHER_COLOURS = ((0.85, 0.65, 0.10), (0.55, 0.15, 0.65), (0.10, 0.65, 0.70), (0.95, 0.45, 0.10))
"""Yellow, violet, turquoise, orange: none of scene.BLOCK_COLOURS."""

PLACE_ATTEMPTS = 1000

Shift = Callable[[Task, CameraModel, np.random.Generator], tuple[Task, CameraModel]]


def shifted(name: str, task: Task, camera: CameraModel) -> tuple[Task, CameraModel]:
    """The task and the camera under a shift of SHIFTS; always the same for the same task."""
    rng = np.random.default_rng([task.scene.seed, list(SHIFTS).index(name)])
    return SHIFTS[name](task, camera, rng)


def colour(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """Blocks of other hues on a table that is darker, lighter or tinted."""
    hues = rng.permutation(len(OTHER_COLOURS))
    blocks = tuple(
        replace(block, rgba=(*OTHER_COLOURS[hue], 1.0)) for block, hue in zip(task.scene.blocks, hues, strict=False)
    )
    table = rng.choice([0.3, 0.75]) + rng.uniform(-0.08, 0.08, 3)
    return _with(task, blocks=blocks, table_rgba=(*table.tolist(), 1.0)), camera


def light(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """A lamp that stands lower and to one side, with less or more light all round than any scene has."""
    side = rng.choice([-1.0, 1.0])
    return _with(
        task,
        light_direction=np.array([rng.uniform(-1.0, 1.0), side * rng.uniform(1.2, 2.0), rng.uniform(0.8, 1.4)]),
        light_ambient=float(rng.choice([rng.uniform(0.3, 0.4), rng.uniform(0.7, 0.8)])),
    ), camera


def camera_pose(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """The camera stands 3 cm off and is turned by 5 degrees, for the goal picture, too."""
    return task, moved(camera, CAMERA_M, CAMERA_DEG, rng)


def size(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """Blocks that are larger than all others that are gripped."""
    half = SHIFTED_HALF_EXTENT_M
    grown_m = half - task.scene.blocks[0].half_extent_m
    blocks = tuple(
        replace(block, half_extent_m=half, position=np.append(block.position[:2], half)) for block in task.scene.blocks
    )
    place = task.goal_block_position + np.array([0.0, 0.0, grown_m])
    return replace(_with(task, blocks=blocks), goal_block_position=place), camera


def friction(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """Blocks that slide twice or half as well."""
    coefficient = float(rng.choice(FRICTIONS))
    return _with(task, blocks=tuple(replace(block, friction=coefficient) for block in task.scene.blocks)), camera


def distractors(task: Task, camera: CameraModel, rng: np.random.Generator) -> tuple[Task, CameraModel]:
    """One or two more blocks of other colours, clear of the block's way and of where the arm starts and ends."""
    tool = Kinematics().tool_position(task.scene.start_joint_positions)
    keep_clear = (task.scene.goal_position, tool, *np.linspace(task.scene.blocks[0].position, task.goal_block_position))
    more = others(task.scene, keep_clear, int(rng.integers(*DISTRACTORS)), rng)
    return _with(task, blocks=task.scene.blocks + more), camera


SHIFTS: dict[str, Shift] = {
    "colour": colour,
    "light": light,
    "camera": camera_pose,
    "size": size,
    "friction": friction,
    "distractors": distractors,
}


def moved(camera: CameraModel, by_m: float, by_deg: float, rng: np.random.Generator) -> CameraModel:
    """The camera somewhere else: so far off in a random direction, turned so far about a random axis."""
    off, axis = rng.normal(size=3), rng.normal(size=3)
    turn, _ = cv2.Rodrigues(np.radians(by_deg) * axis / np.linalg.norm(axis))
    position = camera.position + by_m * off / np.linalg.norm(off)
    return replace(camera, position=position, rotation=turn @ camera.rotation)


def others(scene: Scene, keep_clear: Sequence[Array], count: int, rng: np.random.Generator) -> tuple[Block, ...]:
    """So many more blocks of random colours, clear of the points (3,), m, and of the scene's blocks in the plane."""
    taken = [np.asarray(point)[:2] for point in (*keep_clear, *(block.position for block in scene.blocks))]
    hues, blocks = rng.permutation(len(OTHER_COLOURS)), []
    for hue in hues[:count]:
        for _ in range(PLACE_ATTEMPTS):
            place = rng.uniform(BLOCK_LOWER_M, BLOCK_UPPER_M)
            if all(np.linalg.norm(place - other) >= DISTRACTOR_SPACING_M for other in taken):
                break
        else:
            raise RuntimeError(f"no room for {count} more blocks in the scene of seed {scene.seed}.")
        taken.append(place)
        first, yaw = scene.blocks[0], float(rng.uniform(-np.pi, np.pi))
        centre = np.append(place, first.half_extent_m)
        blocks.append(replace(first, position=centre, yaw=yaw, rgba=(*OTHER_COLOURS[hue], 1.0)))
    return tuple(blocks)


def _with(task: Task, **changes: Any) -> Task:
    """The task with other fields of its scene."""
    return replace(task, scene=replace(task.scene, **changes))
