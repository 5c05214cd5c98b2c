import resource
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ami_robot.perception.camera import load_camera
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import load_spec
from ami_sim.arm import SimulatedArm
from ami_sim.scene import Scene
from ami_sim.world import World, render_goal_image

CAMERA = load_camera()


@pytest.fixture
def scene():
    return Scene.from_seed(7)


@pytest.fixture
def arm(scene):
    arm = SimulatedArm(scene, CAMERA)
    yield arm
    arm.close()


def move(arm, tool, substeps=120):
    """Move the tool to a point (3,) through the controller and let the physics run."""
    target, error_m = Kinematics().inverse(np.asarray(tool, float))
    assert error_m < 1e-3
    trajectory = move_to_rest(arm.desired_state(), target, load_spec())
    assert trajectory is not None
    assert arm.accept(trajectory) is None
    arm.advance(substeps)


def test_the_simulated_tool_is_where_the_agents_kinematics_says(arm):
    kinematics = Kinematics()
    for seed in range(5):
        scene = Scene.from_seed(seed)
        arm.reset(scene)
        np.testing.assert_allclose(
            arm.world.tool_position(), kinematics.tool_position(scene.start_joint_positions), atol=1e-6
        )


def test_motors_track_a_tool_at_0_2_m_per_s_within_3_mm_and_10_mrad(arm):
    kinematics, spec = Kinematics(), load_spec()
    tool = kinematics.tool_position(arm.desired_state().positions)
    tool[2] = 0.2
    move(arm, tool)
    joints = arm.desired_state().positions
    for step in range(15):
        tool = tool + np.array([0.0, 0.04 if step < 7 else -0.04, 0.0])
        joints, _ = kinematics.inverse(tool)
        assert arm.accept(move_to_rest(arm.desired_state(), joints, spec)) is None
        for _ in range(48):
            arm.advance(1)
            desired, measured = arm.desired_state().positions, arm.joint_states()[0][:7]
            assert np.abs(measured - desired).max() < 0.01
            assert np.linalg.norm(kinematics.tool_position(measured) - kinematics.tool_position(desired)) < 0.003


def test_a_point_is_drawn_at_the_pixel_the_camera_model_projects_it_to(arm):
    scene = arm.world.scene
    move(arm, [0.36, -0.2, 0.3])
    picture = arm.world.render(size=(512, 512)).astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    masks = (
        red > 1.7 * np.maximum(green, blue),
        green > 1.4 * np.maximum(red, blue),
        blue > 1.5 * np.maximum(red, green),
    )
    fine = CAMERA.resized(512, 512)
    for block, mask in zip(scene.blocks, masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert len(rows) > 100
        u, v = fine.project(block.position)
        assert abs(columns.mean() - u) < 4
        assert abs(rows.mean() - v) < 6  # top and front are seen, not the far side, and lit differently


def test_a_mirror_world_draws_the_same_picture_without_stepping(arm, scene):
    move(arm, [0.5, 0.1, 0.12])
    mirror = World(scene, CAMERA)
    before = mirror.render()
    mirror.mirror(arm.world.snapshot())
    np.testing.assert_array_equal(mirror.render(), arm.world.render())
    assert (mirror.render() != before).any()
    mirror.close()


def test_the_goal_image_shows_the_arm_at_the_goal_and_the_blocks_at_their_start(arm, scene):
    goal = render_goal_image(scene, CAMERA)
    assert goal.shape == (128, 128, 3)
    assert goal.dtype == np.uint8
    arm.reset(scene.at_goal())
    np.testing.assert_array_equal(goal, arm.world.render())
    np.testing.assert_allclose(arm.world.tool_position(), scene.goal_position, atol=1e-6)


def test_time_never_goes_back_on_reset_and_counts_whole_nanoseconds(arm, scene):
    arm.advance(7)
    assert arm.time_ns == round(7e9 / 240)
    arm.reset(scene)
    assert arm.time_ns == round(7e9 / 240)
    assert arm.time_s == 0.0
    arm.advance(1)
    assert arm.time_ns == round(8e9 / 240)


def test_joint_states_are_due_at_100_hz_and_frames_at_15_hz(arm):
    ticks, frames = 0, 0
    while arm.step_count < 240:
        substeps = min(arm.substeps_to_joint_states(), arm.substeps_to_frame())
        assert 1 <= substeps <= 3
        ticks += substeps == arm.substeps_to_joint_states()
        frames += substeps == arm.substeps_to_frame()
        arm.advance(substeps)
    assert (ticks, frames) == (100, 15)


def test_the_gripper_opens_at_its_speed_to_the_commanded_width(arm):
    arm.set_gripper(0.05)
    arm.advance(60)
    assert 0.015 < arm.joint_states()[0][7:].sum() < 0.03
    arm.advance(120)
    np.testing.assert_allclose(arm.joint_states()[0][7:], 0.025, atol=1e-3)
    for wrong in (-0.01, 0.09, float("nan")):
        with pytest.raises(ValueError, match="gripper width"):
            arm.set_gripper(wrong)


def test_a_pushed_block_moves_and_clearance_shrinks_near_the_table(arm, scene):
    block = scene.blocks[0].position
    high = arm.world.clearance_to_table()
    move(arm, [block[0], block[1] - 0.08 * np.sign(block[1]), 0.12], 240)
    move(arm, [block[0], block[1] - 0.08 * np.sign(block[1]), 0.035], 240)
    low = arm.world.clearance_to_table()
    assert 0.02 < low < 0.04 < high
    move(arm, [block[0], block[1] + 0.02 * np.sign(block[1]), 0.035], 300)
    moved = arm.world.block_poses()[0][0] - block
    assert moved[1] * np.sign(block[1]) > 0.02


def test_a_distorted_camera_sees_what_undistorting_it_gives_back(arm):
    bent = replace(CAMERA.resized(256, 256), distortion=np.array([-0.2, 0.05, 0.002, -0.001, 0.0]))
    straight = arm.world.render(replace(bent, distortion=np.zeros(5))).astype(float)
    picture = arm.world.render(bent)
    corrected = cv2.undistort(picture, bent.matrix, bent.distortion).astype(float)
    seen = cv2.undistort(np.full_like(picture, 255), bent.matrix, bent.distortion).min(axis=2) == 255
    assert picture.shape == (256, 256, 3) and seen.mean() > 0.8
    wrong, uncorrected = ((np.abs(image - straight).max(axis=2) > 60)[seen].mean() for image in (corrected, picture))
    assert wrong < 0.003 and uncorrected > 3 * wrong  # shares of the pixels; what is left is interpolation at edges


def test_robot_description_names_meshes_that_exist(arm):
    from pathlib import Path
    from xml.etree import ElementTree

    meshes = [mesh.attrib["filename"] for mesh in ElementTree.fromstring(arm.robot_description).iter("mesh")]
    assert len(meshes) > 10
    assert all(mesh.startswith("file:///") and Path(mesh.removeprefix("file://")).exists() for mesh in meshes)


def test_scenes_one_after_another_take_no_memory_for_good():
    """A collection, or a soak, goes through thousands."""
    scene = Scene.from_seed(0)
    world = World(scene)

    def resident_mb(resets: int) -> float:
        for _ in range(resets):
            world.reset(scene)
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    try:
        before_mb = resident_mb(30)
        assert resident_mb(100) - before_mb < 0.5
    finally:
        world.close()
