"""What is asked of the arm, each a pure function of a seed: how it starts, what the goal picture shows, what counts.

A task lasts a fixed number of steps and succeeds when its error stays within its tolerance throughout the last HOLD_S:
an arm that passes the goal, or lets the block roll on, has not reached it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import MODEL_STEP_S, Array
from ami_sim.judge import EPISODE_S, HOLD_S, SUCCESS_DISTANCE_M
from ami_sim.scene import BLOCK_TOOL_SPACING_M, Block, Scene, reachable
from ami_sim.world import PHYSICS_HZ, Snapshot, World

BLOCK_TOLERANCE_M = 0.04
PLACE_LOWER_M, PLACE_UPPER_M = np.array([0.38, -0.22]), np.array([0.60, 0.22])
"""Where a block may start or end: the hand fits behind it on every side."""

HALF_EXTENT_M = (0.022, 0.026)
"""Of a block that is to be gripped: the gripper's 8 cm go round its diagonal at any yaw."""

STIFFNESS_N_PER_M = 6e3  # rubber: 20 N of a finger dent it by 5 mm; foam gives way until the fingers slip off
PUSH_M, LIFT_ASIDE_M, CARRY_M = (0.08, 0.18), (0.0, 0.10), (0.12, 0.25)
"""From a block's start to its goal, in the plane."""

LIFT_M = (0.10, 0.18)  # from a block's start to its goal, upwards: 5 cm and the tolerance at least
CARRIED_M = 0.04  # a block that was this far above its start was carried, not pushed
GRASP_HEIGHT_M = 0.035  # of the tool above the table, around a block; the fingertips are 9 mm below
PUSH_HEIGHT_M = 0.04
RETRACTED_M = 0.12  # a hand this far from a block, in the plane or above it, is in no touch with it
CLEAR_M = 0.02  # between a block and the nearest part of a hand that has let it go
OPEN_WIDTH_M = 0.08
FINGER_M = 0.022  # from the tool to the farthest side of the closed fingers, and a little


@dataclass(frozen=True, eq=False)
class Task:
    """A start, a goal and a measure. The goal's arm and tool are the scene's, the block in question is its first."""

    name: str
    scene: Scene
    steps: int  # of 0.2 s
    tolerance_m: float
    measure: Callable[[Task, World], float]
    goal_block_position: Array  # (3,), m: the first block's centre
    goal_gripper_width: float = 0.0  # m
    carried: bool = False  # whether the block has to have been CARRIED_M above its start

    def error(self, world: World) -> float:
        """How far the world is from the goal, m; infinite while a condition that has no distance is not met."""
        return self.measure(self, world)

    def goal_snapshot(self) -> Snapshot:
        """Where everything is at the goal: what stands about stays, the first block has moved and not turned."""
        fingers = [self.goal_gripper_width / 2] * 2
        positions = np.array([block.position for block in self.scene.blocks])
        positions[0] = self.goal_block_position
        half_yaws = np.array([block.yaw / 2 for block in self.scene.blocks])
        orientations = np.stack([0 * half_yaws, 0 * half_yaws, np.sin(half_yaws), np.cos(half_yaws)], axis=1)
        return Snapshot(np.concatenate([self.scene.goal_joint_positions, fingers]), positions, orientations)

    def goal_image(self, camera: CameraModel) -> np.ndarray:
        """The goal as the camera sees it, (height, width, 3) uint8 rgb."""
        world = World(self.scene, camera)
        try:
            world.mirror(self.goal_snapshot())
            return world.render()
        finally:
            world.close()


class TaskJudge:
    """One episode's judge: connect on_substep to the arm's, ask for success after the last step."""

    def __init__(self, task: Task, world: World):
        self.highest_m = 0.0  # of the block's centre above its start, so far
        self._task, self._world = task, world
        self._worst_m, self._judged = 0.0, 0  # in the last HOLD_S: greatest error, number of substeps

    def on_substep(self, t_s: float, *_: object) -> None:
        """The truth after a physics substep, s since the start."""
        start = self._task.scene.blocks[0].position
        self.highest_m = max(self.highest_m, float(self._world.block_poses()[0][0, 2] - start[2]))
        end_s = self._task.steps * MODEL_STEP_S
        if end_s - HOLD_S + 1e-9 < t_s < end_s + 1e-9:
            self._worst_m = max(self._worst_m, self._task.error(self._world))
            self._judged += 1

    @property
    def error_m(self) -> float:
        """The greatest error in the last HOLD_S; infinite unless all of its substeps were seen."""
        return self._worst_m if self._judged == round(HOLD_S * PHYSICS_HZ) else float("inf")

    @property
    def success(self) -> bool:
        """Within tolerance throughout the last HOLD_S, and carried if that is asked for."""
        carried = not self._task.carried or self.highest_m > CARRIED_M
        return carried and self.error_m <= self._task.tolerance_m


def reach(seed: int) -> Task:
    """Bring the tool to where the picture shows it, above three blocks."""
    scene = Scene.from_seed(seed)
    steps = round(EPISODE_S / MODEL_STEP_S)
    return Task("reach", scene, steps, SUCCESS_DISTANCE_M, _tool_error, scene.blocks[0].position)


def push(seed: int) -> Task:
    """Push the block to where the picture shows it, with the hand behind it; the arm has to go round it first."""
    start, place, _ = _push_draw(seed)
    ahead = (place - start.blocks[0].position)[:2]
    behind_m = start.blocks[0].half_extent_m * np.sqrt(2) + FINGER_M
    tool = np.append(place[:2] - behind_m * ahead / np.linalg.norm(ahead), PUSH_HEIGHT_M)
    return Task("push", _ending_at(start, tool), 50, BLOCK_TOLERANCE_M, _planar_error, place)


def push_retracted(seed: int) -> Task:
    """The same as push, but the picture shows the arm above the table, away from the block: no hint where to push."""
    start, place, rng = _push_draw(seed)
    _, tool = reachable(rng, Kinematics())
    while not _leaves_alone(tool, place):
        _, tool = reachable(rng, Kinematics())
    return Task("push_retracted", _ending_at(start, tool), 50, BLOCK_TOLERANCE_M, _planar_error, place)


def pick_lift(seed: int) -> Task:
    """Take the block and hold it in the air where the picture shows it."""
    start, place, rng = _start(seed, 2, LIFT_ASIDE_M)
    place[2] += rng.uniform(*LIFT_M)
    block = start.blocks[0]
    tool = place + np.array([0.0, 0.0, GRASP_HEIGHT_M - block.half_extent_m])
    return Task("pick_lift", _ending_at(start, tool), 50, BLOCK_TOLERANCE_M, _error, place, grip_width(block))


def pick_place(seed: int) -> Task:
    """Take the block, carry it through the air, put it down where the picture shows it, let go and rise."""
    start, place, _ = _start(seed, 3, CARRY_M)
    tool = place + np.array([0.0, 0.0, RETRACTED_M])
    scene = _ending_at(start, tool)
    return Task("pick_place", scene, 70, BLOCK_TOLERANCE_M, _released_error, place, OPEN_WIDTH_M, carried=True)


TASKS: dict[str, Callable[[int], Task]] = {
    task.__name__: task for task in (reach, push, push_retracted, pick_lift, pick_place)
}
"""What can be asked for, by name. Seeds below collect.FIRST_SEED are for tests and evaluation."""


def one_block(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with one block that can be gripped, clear of where the arm starts."""
    tool = Kinematics().tool_position(scene.start_joint_positions)
    xy = rng.uniform(PLACE_LOWER_M, PLACE_UPPER_M)
    while np.linalg.norm(xy - tool[:2]) < BLOCK_TOOL_SPACING_M:
        xy = rng.uniform(PLACE_LOWER_M, PLACE_UPPER_M)
    half = float(rng.uniform(*HALF_EXTENT_M))
    rgba = scene.blocks[rng.integers(len(scene.blocks))].rgba
    yaw = float(rng.uniform(-np.pi, np.pi))
    block = Block(half, np.append(xy, half), yaw, rgba, stiffness_n_per_m=STIFFNESS_N_PER_M)
    return replace(scene, blocks=(block,))


def place_from(start: Array, distance_m: tuple[float, float], rng: np.random.Generator) -> Array:
    """A random place (3,) for a block at `start` (3,), so far away in the plane."""
    while True:
        way_m, heading = rng.uniform(*distance_m), rng.uniform(-np.pi, np.pi)
        place = start + way_m * np.array([np.cos(heading), np.sin(heading), 0.0])
        if (place[:2] > PLACE_LOWER_M).all() and (place[:2] < PLACE_UPPER_M).all():
            return place


def grip_width(block: Block) -> float:
    """How far apart, m, the fingers are that hold the block: they close along y of base_link."""
    return 2 * block.half_extent_m * (abs(np.cos(block.yaw)) + abs(np.sin(block.yaw)))


def _start(seed: int, draw: int, distance_m: tuple[float, float]) -> tuple[Scene, Array, np.random.Generator]:
    """The start of a task, where its block (3,) is to go in the plane, and what draws the rest."""
    rng = np.random.default_rng([seed, draw])
    scene = one_block(Scene.from_seed(seed), rng)
    return scene, place_from(scene.blocks[0].position, distance_m, rng), rng


def _push_draw(seed: int) -> tuple[Scene, Array, np.random.Generator]:
    return _start(seed, 1, PUSH_M)


def _leaves_alone(tool: Array, block: Array) -> bool:
    """Whether a hand is away from a block (3,) and not between it and the camera, which stands in front."""
    off_m = tool - block
    hides = off_m[0] > 0 and abs(off_m[1]) < RETRACTED_M
    return bool(np.linalg.norm(off_m[:2]) >= RETRACTED_M and tool[2] >= RETRACTED_M) and not hides


def _ending_at(scene: Scene, tool: Array) -> Scene:
    """The scene with the goal's arm at a tool position (3,), m."""
    joints, _ = Kinematics().inverse(tool)
    return replace(scene, goal_joint_positions=joints, goal_position=tool)


def _tool_error(task: Task, world: World) -> float:
    return float(np.linalg.norm(world.tool_position() - task.scene.goal_position))


def _planar_error(task: Task, world: World) -> float:
    return float(np.linalg.norm((world.block_poses()[0][0] - task.goal_block_position)[:2]))


def _error(task: Task, world: World) -> float:
    return float(np.linalg.norm(world.block_poses()[0][0] - task.goal_block_position))


def _released_error(task: Task, world: World) -> float:
    return _error(task, world) if world.clearance_to_block(0, CLEAR_M) >= CLEAR_M else float("inf")
