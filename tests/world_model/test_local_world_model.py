"""What world models in this process can be asked beside predictions: single steps, and how outcomes change."""

import numpy as np
import pytest

from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.types import PROPRIO_DIM
from ami_robot.world_model.kinematic import KinematicModel
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.protocol import LocalWorldModel


@pytest.fixture(scope="module")
def learned():
    return LatentWorldModel(load_checkpoint())


def situation(latent_dim):
    rng = np.random.default_rng(0)
    proprio = np.array([0.5, 0.0, 0.2, 0.0, 0.0, 0.0, 0.5, 0.01, 0.2, 0.04])
    return rng.normal(size=latent_dim), proprio, rng.normal(scale=0.02, size=(3, 4, 4))


def check(model, latent_dim, step, relative):
    latent, proprio, actions = situation(latent_dim)
    outcomes, pull_back = model.differentiate(latent, proprio, actions)
    told = model.predict(latent, proprio, actions)
    np.testing.assert_allclose(outcomes.image_latents, told.image_latents, atol=1e-4)
    np.testing.assert_allclose(outcomes.proprio, told.proprio, atol=1e-4)
    rng = np.random.default_rng(1)
    on_latents, on_proprio = rng.normal(size=told.image_latents.shape), rng.normal(size=(3, 4, PROPRIO_DIM))
    slopes, ahead = pull_back(on_latents, on_proprio), rng.normal(size=actions.shape)
    ends = []
    for sign in (-1, 1):
        moved, _ = model.differentiate(latent, proprio, actions + sign * step * ahead)
        ends.append(np.sum(moved.image_latents * on_latents, (1, 2)) + np.sum(moved.proprio * on_proprio, (1, 2)))
    found = (ends[1] - ends[0]) / (2 * step)
    np.testing.assert_allclose(np.sum(slopes * ahead, axis=(1, 2)), found, rtol=relative)


def test_the_kinematic_model_pulls_slopes_back_exactly():
    check(KinematicModel(), 2, 1e-3, 1e-7)


def test_the_learned_model_pulls_slopes_back(learned):
    check(learned, learned.latent_dim, 1e-3, 0.02)


@pytest.mark.parametrize("kind", ["kinematic", "learned"])
def test_steps_from_many_beliefs_are_the_prediction_taken_step_by_step(kind, learned):
    model, latent_dim = (learned, learned.latent_dim) if kind == "learned" else (KinematicModel(), 2)
    latent, proprio, actions = situation(latent_dim)
    told = model.predict(latent, proprio, actions)
    latents, states = np.tile(latent, (3, 1)), np.tile(proprio, (3, 1))
    for step in range(actions.shape[1]):
        latents, states = model.step(latents, states, actions[:, step])
        np.testing.assert_allclose(latents, told.image_latents[:, step], atol=1e-4)
        np.testing.assert_allclose(states, told.proprio[:, step], atol=1e-4)


def test_both_are_known_to_be_local_and_a_service_is_not(learned):
    class Service:
        def predict(self, *args): ...

    assert isinstance(learned, LocalWorldModel) and isinstance(KinematicModel(), LocalWorldModel)
    assert not isinstance(Service(), LocalWorldModel)
