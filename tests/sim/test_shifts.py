from dataclasses import fields

import cv2
import numpy as np
import pytest

from ami_robot.perception.camera import load_camera
from ami_robot.safety.kinematics import Kinematics
from ami_sim.env import TabletopEnv
from ami_sim.scene import Block
from ami_sim.shifts import CAMERA_DEG, CAMERA_M, DISTRACTOR_SPACING_M, FRICTIONS, SHIFTS, shifted
from ami_sim.tasks import HALF_EXTENT_M, OPEN_WIDTH_M, TASKS

SEEDS = range(12)
CHANGES = {
    "colour": {"rgba", "table_rgba"},
    "light": {"light_direction", "light_ambient"},
    "camera": set(),
    "size": {"half_extent_m", "position"},
    "friction": {"friction"},
    "distractors": {"blocks"},
}


def changed(before, after):
    """Names of the fields of two scenes, or of their first blocks, that differ."""
    names = set()
    for one, other, skip in ((before, after, "blocks"), (before.blocks[0], after.blocks[0], "")):
        for field in fields(one):
            if field.name != skip and not np.array_equal(getattr(one, field.name), getattr(other, field.name)):
                names.add(field.name)
    return names | ({"blocks"} if len(before.blocks) != len(after.blocks) else set())


@pytest.mark.parametrize("task_name", TASKS)
@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_changes_what_it_is_named_after_and_is_a_function_of_the_seed(name, task_name):
    for seed in SEEDS:
        task, camera = TASKS[task_name](seed), load_camera()
        after, seen_by = shifted(name, task, camera)
        again, _ = shifted(name, task, camera)
        assert changed(task.scene, after.scene) == CHANGES[name]
        assert changed(after.scene, again.scene) == set()
        assert (seen_by is camera) == (name != "camera")


def test_every_shift_has_been_said_what_it_changes():
    assert set(CHANGES) == set(SHIFTS)


def test_the_camera_stands_3_cm_off_and_is_turned_by_5_degrees():
    camera = load_camera()
    for seed in SEEDS:
        _, seen_by = shifted("camera", TASKS["push"](seed), camera)
        assert np.linalg.norm(seen_by.position - camera.position) == pytest.approx(CAMERA_M)
        turn, _ = cv2.Rodrigues(seen_by.rotation @ camera.rotation.T)
        assert np.degrees(np.linalg.norm(turn)) == pytest.approx(CAMERA_DEG)


def test_a_moved_camera_is_that_of_one_episode():
    task, camera = TASKS["push"](0), load_camera()
    _, seen_by = shifted("camera", task, camera)
    env = TabletopEnv(fast=True)
    pictures = [
        env.reset(seed=0, options={"scene": task.scene, "camera": each})[0]["image"] for each in (None, seen_by, None)
    ]
    env.close()
    assert (pictures[0] != pictures[1]).mean() > 0.05
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_larger_blocks_rest_on_the_table_and_fit_the_gripper():
    for seed in SEEDS:
        task, _ = shifted("size", TASKS["pick_place"](seed), load_camera())
        half = task.scene.blocks[0].half_extent_m
        assert HALF_EXTENT_M[1] < half < OPEN_WIDTH_M / (2 * np.sqrt(2))
        assert task.scene.blocks[0].position[2] == half
        assert task.goal_block_position[2] == pytest.approx(half)


def test_friction_is_halved_or_doubled_and_the_default_is_what_blocks_had():
    block = Block(0.025, np.array([0.5, 0.0, 0.025]), 0.0, (1.0, 0.0, 0.0, 1.0))
    assert (block.friction, block.stiffness_n_per_m) == (0.5, 3e3)
    seen = {shifted("friction", TASKS["push"](seed), load_camera())[0].scene.blocks[0].friction for seed in SEEDS}
    assert seen == set(FRICTIONS) == {block.friction / 2, block.friction * 2}


def test_distractors_stand_clear_of_the_hand_and_of_the_way_of_the_block():
    for name in TASKS:
        for seed in SEEDS:
            task, _ = shifted("distractors", TASKS[name](seed), load_camera())
            own = len(TASKS[name](seed).scene.blocks)
            assert 1 <= len(task.scene.blocks) - own <= 2
            tool = Kinematics().tool_position(task.scene.start_joint_positions)
            way = np.linspace(task.scene.blocks[0].position, task.goal_block_position, 9)
            for other in task.scene.blocks[own:]:
                for point in (tool, *way):
                    assert np.linalg.norm((other.position - point)[:2]) > DISTRACTOR_SPACING_M - 0.005
