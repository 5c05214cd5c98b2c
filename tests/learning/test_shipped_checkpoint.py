"""The checkpoint that ships, against pictures drawn now: a stale checkpoint fails here, not in somebody's demo."""

import numpy as np
import pytest
from disc_world import REACH

from ami_robot.learning.card import CARD_FILE, render_model_card
from ami_robot.learning.config import TrainingConfig, load_config
from ami_robot.perception.camera import load_camera
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint, read_description
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.view import TrainingView
from ami_robot.strict import read
from ami_robot.types import TOOL_POSITION, TOOL_TARGET
from ami_robot.world_model.model import LatentWorldModel
from ami_sim.scene import Scene
from ami_sim.world import World

SEEDS = range(3000, 3016)  # never collected, never benchmarked


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint()


def test_goal_pictures_never_seen_are_located_well_within_the_success_radius(checkpoint):
    camera = load_camera()
    encoder, view, errors = ImageEncoder(checkpoint), TrainingView(camera, camera), []
    world = World(Scene.from_seed(0), camera)
    for seed in SEEDS:
        scene = Scene.from_seed(seed).at_goal()
        world.reset(scene)
        found = encoder.decode_tool_position(encoder.encode(view(world.render())))
        errors.append(np.linalg.norm(found - scene.goal_position))
    world.close()
    assert np.mean(errors) < 0.01 and max(errors) < 0.03


def test_imagination_follows_the_command(checkpoint):
    camera = load_camera()
    world = World(Scene.from_seed(SEEDS[0]), camera)
    latent = ImageEncoder(checkpoint).encode(TrainingView(camera, camera)(world.render()))
    proprio = np.zeros(10)
    proprio[TOOL_POSITION] = proprio[TOOL_TARGET] = world.tool_position()
    world.close()
    away = np.where(proprio[:3] > (0.49, 0.0, 0.17), -1, 1) * np.eye(3)  # towards the middle, one axis each
    actions = np.zeros((4, 6, 4))
    actions[:3, :4, :3] = 0.025 * away[:, None]
    moved = LatentWorldModel(checkpoint).predict(latent, proprio, actions).proprio[:, -1, :3] - proprio[:3]
    np.testing.assert_allclose(moved, [*(0.1 * away), np.zeros(3)], atol=0.015)


def test_its_card_and_its_training_configuration_are_the_ones_beside_it(checkpoint):
    description = read_description(DEFAULT_CHECKPOINT)
    assert (DEFAULT_CHECKPOINT / CARD_FILE).read_text() == render_model_card(description)
    assert read(checkpoint.record["training"], TrainingConfig, "its record") == load_config(REACH)
