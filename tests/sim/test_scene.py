import itertools

import numpy as np
import pytest

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_sim.scene import BLOCK_SPACING_M, MIN_START_GOAL_DISTANCE_M, START_LOWER_M, START_UPPER_M, Scene

SEEDS = range(40)


def test_a_seed_always_gives_the_same_scene_and_another_seed_another():
    first, again, other = Scene.from_seed(3), Scene.from_seed(3), Scene.from_seed(4)
    np.testing.assert_array_equal(first.start_joint_positions, again.start_joint_positions)
    assert [block.rgba for block in first.blocks] == [block.rgba for block in again.blocks]
    np.testing.assert_array_equal(first.light_direction, again.light_direction)
    assert np.abs(first.start_joint_positions - other.start_joint_positions).max() > 0.01


@pytest.mark.parametrize("at", ["start", "goal"])
def test_starts_and_goals_lie_in_their_box_within_the_joint_limits(at):
    spec, kinematics = load_spec(), Kinematics()
    for seed in SEEDS:
        joints = getattr(Scene.from_seed(seed), f"{at}_joint_positions")
        assert (joints > spec.joint_position.command_lower_rad).all()
        assert (joints < spec.joint_position.command_upper_rad).all()
        tool = kinematics.tool_position(joints)
        assert (tool > START_LOWER_M - 1e-3).all()
        assert (tool < START_UPPER_M + 1e-3).all()


def test_the_goal_is_never_where_the_arm_starts():
    for seed in SEEDS:
        scene = Scene.from_seed(seed)
        start = Kinematics().tool_position(scene.start_joint_positions)
        assert np.linalg.norm(scene.goal_position - start) >= MIN_START_GOAL_DISTANCE_M


def test_blocks_stand_apart_on_the_table():
    for seed in SEEDS:
        blocks = Scene.from_seed(seed).blocks
        assert len(blocks) == 3
        for block in blocks:
            assert block.position[2] == block.half_extent_m
        for one, other in itertools.combinations(blocks, 2):
            assert np.linalg.norm(one.position[:2] - other.position[:2]) >= BLOCK_SPACING_M
