import numpy as np
import pytest

from ami_robot.perception.camera import load_camera
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import MODEL_STEP_S
from ami_sim.judge import HOLD_S
from ami_sim.tasks import (
    BLOCK_TOLERANCE_M,
    CARRIED_M,
    CARRY_M,
    CLEAR_M,
    OPEN_WIDTH_M,
    PUSH_M,
    RETRACTED_M,
    TASKS,
    TaskJudge,
)
from ami_sim.world import PHYSICS_HZ, World

SEEDS = range(30)
WITH_A_BLOCK = [name for name in TASKS if name != "reach"]


def world_at_goal(task):
    world = World(task.scene)
    world.mirror(task.goal_snapshot())
    return world


def judged(task, world, from_s=0.0):
    """A judge that saw the world, as it stands, from from_s to the end of the task."""
    judge = TaskJudge(task, world)
    for substep in range(round(from_s * PHYSICS_HZ) + 1, round(task.steps * MODEL_STEP_S * PHYSICS_HZ) + 1):
        judge.on_substep(substep / PHYSICS_HZ)
    return judge


def put_block(world, position):
    """Set the first block down somewhere, without stepping."""
    snapshot = world.snapshot()
    snapshot.block_positions[0] = position
    world.mirror(snapshot)


@pytest.mark.parametrize("name", TASKS)
def test_a_seed_always_gives_the_same_task_and_another_seed_another(name):
    first, again, other = TASKS[name](3), TASKS[name](3), TASKS[name](4)
    for one in (again, other):
        same = np.array_equal(first.scene.goal_joint_positions, one.scene.goal_joint_positions)
        assert same == (one is again)
        assert np.array_equal(first.goal_block_position, one.goal_block_position) == (one is again)


@pytest.mark.parametrize("name", TASKS)
def test_nothing_is_solved_at_its_start_and_everything_at_its_goal(name):
    for seed in range(6):
        task = TASKS[name](seed)
        world = World(task.scene)
        assert task.error(world) > task.tolerance_m
        world.mirror(task.goal_snapshot())
        assert task.error(world) < 1e-3
        world.close()


def test_blocks_start_as_far_from_their_goals_as_the_task_says():
    for seed in SEEDS:
        for name, (least_m, most_m) in (("push", PUSH_M), ("pick_place", CARRY_M)):
            task = TASKS[name](seed)
            block = task.scene.blocks[0]
            way_m = np.linalg.norm((task.goal_block_position - block.position)[:2])
            assert least_m <= way_m <= most_m
            assert task.goal_block_position[2] == block.half_extent_m
        task = TASKS["pick_lift"](seed)  # within tolerance of the goal, a block is 5 cm up at the least
        assert task.goal_block_position[2] - task.scene.blocks[0].position[2] >= 0.05 + BLOCK_TOLERANCE_M


@pytest.mark.parametrize("name", WITH_A_BLOCK)
def test_the_open_gripper_goes_round_the_one_block_at_any_yaw(name):
    for seed in SEEDS:
        blocks = TASKS[name](seed).scene.blocks
        assert len(blocks) == 1
        assert 2 * np.sqrt(2) * blocks[0].half_extent_m < OPEN_WIDTH_M


@pytest.mark.parametrize("name", TASKS)
def test_the_goals_arm_is_where_the_guardrail_lets_it_be(name):
    spec = load_spec()
    for seed in SEEDS:
        scene = TASKS[name](seed).scene
        tool = Kinematics().tool_position(scene.goal_joint_positions)
        np.testing.assert_allclose(tool, scene.goal_position, atol=1e-3)
        assert (tool > spec.workspace.lower_m).all()
        assert (tool < spec.workspace.upper_m).all()
        assert (scene.goal_joint_positions > spec.joint_position.command_lower_rad).all()
        assert (scene.goal_joint_positions < spec.joint_position.command_upper_rad).all()


def test_the_retracted_picture_gives_no_hint_but_the_rest_of_the_push_is_the_same():
    for seed in SEEDS:
        hinted, plain = TASKS["push"](seed), TASKS["push_retracted"](seed)
        np.testing.assert_array_equal(hinted.scene.start_joint_positions, plain.scene.start_joint_positions)
        np.testing.assert_array_equal(hinted.scene.blocks[0].position, plain.scene.blocks[0].position)
        np.testing.assert_array_equal(hinted.goal_block_position, plain.goal_block_position)
        away = plain.scene.goal_position - plain.goal_block_position
        assert np.linalg.norm(away[:2]) >= RETRACTED_M
        assert plain.scene.goal_position[2] >= RETRACTED_M


@pytest.mark.parametrize("name", WITH_A_BLOCK)
def test_at_the_goal_the_hand_touches_a_block_only_to_hold_it(name):
    nearest = {"push": (0.0, 0.02), "push_retracted": (CLEAR_M, 1.0), "pick_place": (CLEAR_M, 1.0)}
    low_m, high_m = nearest.get(name, (-0.004, 0.012))  # the fingers are flat, a block at some yaw is not
    for seed in range(12):
        world = world_at_goal(TASKS[name](seed))
        assert low_m <= world.clearance_to_block(0, 1.0) <= high_m, seed
        world.close()


@pytest.mark.parametrize("seed", range(6))
def test_the_goal_picture_shows_the_block_where_it_is_to_be(seed):
    task, camera = TASKS["push_retracted"](seed), load_camera()
    world, snapshot = World(task.scene, camera), task.goal_snapshot()
    snapshot.block_positions[0] = [0.5, 0.0, -1.0]  # under the table: the same picture without the block
    world.mirror(snapshot)
    changed = np.abs(task.goal_image(camera).astype(int) - world.render()).sum(axis=2) > 30
    ahead = camera.rotation.T @ (task.goal_block_position - camera.position)
    expected = camera.matrix @ ahead / ahead[2]
    rows, columns = np.nonzero(changed)
    assert 12 <= len(rows) <= 200
    assert np.hypot(columns.mean() - expected[0], rows.mean() - expected[1]) < 2.0
    world.close()


def test_success_needs_the_whole_last_second():
    task = TASKS["push"](0)
    world = world_at_goal(task)
    end_s = task.steps * MODEL_STEP_S
    assert judged(task, world).success
    assert judged(task, world, from_s=end_s - HOLD_S).success
    assert not judged(task, world, from_s=end_s - HOLD_S / 2).success  # half of it was not seen
    judge = judged(task, world)
    put_block(world, task.goal_block_position + np.array([0.0, task.tolerance_m + 0.001, 0.0]))
    judge.on_substep(end_s)  # at its very end the block is off
    assert not judge.success
    world.close()


def test_a_block_that_was_pushed_to_its_place_was_not_carried_there():
    task = TASKS["pick_place"](0)
    world = world_at_goal(task)
    assert judged(task, world).error_m < 1e-3
    assert not judged(task, world).success
    judge = TaskJudge(task, world)
    put_block(world, task.scene.blocks[0].position + np.array([0.0, 0.0, CARRIED_M + 0.001]))
    judge.on_substep(1.0)
    put_block(world, task.goal_block_position)
    for substep in range(task.steps * 48):
        judge.on_substep((substep + 1) / PHYSICS_HZ)
    assert judge.success
    world.close()


def test_a_block_that_the_hand_still_holds_is_not_placed():
    task = TASKS["pick_place"](1)
    world = world_at_goal(task)
    snapshot = task.goal_snapshot()
    snapshot.joint_positions[:7], _ = Kinematics().inverse(task.goal_block_position + np.array([0.0, 0.0, 0.01]))
    world.mirror(snapshot)
    assert task.error(world) == np.inf
    world.close()
