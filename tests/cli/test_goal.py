"""`ami goal` makes what the agent can pursue."""

import cv2
import numpy as np
import pytest

from ami_robot.agent import shown_goal
from ami_robot.cli.main import main
from ami_robot.configurator.configurator import REACH, build_agent, load_task
from ami_robot.episodes.goals import GoalError, read_goal
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.perception.camera import CLOSE_CAMERA, load_camera
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.view import TrainingView
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.world_model.kinematic import KinematicModel
from ami_sim.scene import Scene
from ami_sim.tasks import TASKS
from ami_sim.world import render_goal_image


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder(load_checkpoint())


def made(tmp_path, *words):
    out = tmp_path / "goal.npz"
    assert main(["goal", *words, "--out", str(out)]) == 0
    return read_goal(out)


def test_a_scene_and_a_picture_of_it_are_the_same_goal_and_its_place_is_read_from_it(tmp_path, encoder):
    scene = Scene.from_seed(7)
    path = tmp_path / "table.png"
    cv2.imwrite(str(path), render_goal_image(scene, load_camera())[..., ::-1])
    by_scene = made(tmp_path, "scene", "--seed", "7")
    by_picture = made(tmp_path, "picture", "--image", str(path))
    np.testing.assert_array_equal(by_scene.pictures, by_picture.pictures)
    goal = shown_goal(by_picture, encoder)
    assert goal.image_latent.shape == (encoder.latent_dim,) and goal.way == ()
    assert np.linalg.norm(goal.tool_position - scene.goal_position) < 0.03


def test_the_goal_of_a_task_is_shown_in_the_view_that_its_encoder_takes(tmp_path, encoder):
    shown = made(tmp_path, "scene", "--task", "push", "--seed", "7", "--view", "close")
    camera = load_camera(CLOSE_CAMERA)
    np.testing.assert_array_equal(shown.pictures[0], TrainingView(camera, camera)(TASKS["push"](7).goal_image(camera)))
    with pytest.raises(GoalError, match=r"shown in the view 'close-.*the encoder takes 'front-"):
        shown_goal(shown, encoder)


def test_a_pose_needs_no_picture(tmp_path, encoder):
    goal = shown_goal(made(tmp_path, "pose", "0.5", "0.1", "0.2"), encoder)
    assert goal.tool_position.tolist() == [0.5, 0.1, 0.2] and goal.image_latent is None


def test_a_block_is_wanted_somewhere_with_or_without_the_hand(tmp_path, encoder):
    free = shown_goal(made(tmp_path, "pose", "--block", "0.5", "-0.1", "0.02"), encoder)
    assert free.block_position.tolist() == [0.5, -0.1, 0.02] and free.tool_position is None
    both = shown_goal(made(tmp_path, "pose", "0.5", "0.1", "0.2", "--block", "0.5", "-0.1", "0.02"), encoder)
    assert both.block_position.tolist() == [0.5, -0.1, 0.02] and both.tool_position.tolist() == [0.5, 0.1, 0.2]


def test_an_encoder_with_a_head_for_the_block_reads_its_place_from_a_picture(tmp_path, encoder):
    class Reading(ImageEncoder):
        def decode_block_position(self, latent):
            return latent[:3]

    goal = shown_goal(made(tmp_path, "scene", "--seed", "7"), Reading(load_checkpoint()))
    np.testing.assert_array_equal(goal.block_position, goal.image_latent[:3])
    assert shown_goal(made(tmp_path, "scene", "--seed", "7"), encoder).block_position is None


def collected(folder):
    rng = np.random.default_rng(0)
    for shard in range(2):
        episodes = [{"images": rng.integers(0, 255, (11, 64, 64, 3), dtype=np.uint8)} for _ in range(2)]
        write_shard(folder, shard, episodes)
    write_manifest(folder, {"recipe": {}, "shards": 2, "content_sha256": content_sha256(folder)})
    return folder


def test_frames_of_a_demonstration_lie_on_the_way_to_its_last(tmp_path, encoder):
    data = tmp_path / "data"
    data.mkdir()
    collected(data)
    shown = made(tmp_path, "demonstration", "--data", str(data), "--episode", "3", "--every", "4")
    with np.load(data / "shard_00001.npz") as file:
        np.testing.assert_array_equal(shown.pictures, file["images"][1][[4, 8, 10]])
    goal = shown_goal(shown, encoder)
    assert len(goal.way) == 2
    np.testing.assert_array_equal(goal.image_latent, encoder.encode(shown.pictures[-1]))
    np.testing.assert_array_equal(goal.way[0].image_latent, encoder.encode(shown.pictures[0]))
    agent = build_agent(load_task(REACH), load_spec(), Kinematics(), KinematicModel())
    assert "section arrival" in agent.pursue(goal).reason, "a way is never ignored"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["picture", "--image", "none.png", "--out", "g.npz"], "none.png is not there"),
        (["scene", "--task", "dance", "--seed", "7", "--out", "g.npz"], "--task dance is none of reach, push"),
        (["pose", "0.5", "0.1", "nan", "--out", "g.npz"], "positions finite"),
        (["pose", "0.5", "0.1", "--out", "g.npz"], "has three numbers, X Y Z, got 2"),
        (["pose", "--out", "g.npz"], "a goal has either pictures or positions, at least one"),
        (["pose", "--block", "0.5", "0.1", "inf", "--out", "g.npz"], "positions finite"),
        (["pose", "0.5", "0.1", "0.2", "--out", "g.yaml"], "has to end in .npz"),
        (["demonstration", "--data", "none", "--episode", "0", "--out", "g.npz"], "none is no data set"),
        (["demonstration", "--data", "data", "--episode", "4", "--out", "g.npz"], "beyond the last of 4 episodes"),
    ],
)
def test_a_wrong_call_says_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    collected(tmp_path / "data")
    assert main(["goal", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ") and sentence in error and error.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]
