"""How new a latent is: about 1 where the training latents are, whatever their scale, and far above off them."""

import numpy as np
import pytest
import torch

from ami_robot.perception.novelty import Novelty

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(8, 8)) * np.logspace(-1, 1, 8)


def latents(count):
    return torch.from_numpy((RNG.normal(size=(count, 8)) @ MIXING.T + 3.0).astype(np.float32))


@pytest.fixture(scope="module")
def novelty():
    fitted = Novelty(8)
    fitted.fit(latents(4000), latents(1000))
    return fitted


def test_latents_like_those_of_the_training_score_one_whatever_their_scale(novelty):
    scores = [novelty.score(latent) for latent in latents(500).numpy()]
    assert np.sqrt(np.mean(np.square(scores))) == pytest.approx(1.0, abs=0.05)


def test_a_level_is_exceeded_by_its_share_of_fresh_latents(novelty):
    scores = np.array([novelty.score(latent) for latent in latents(2000).numpy()])
    assert np.mean(scores > novelty.level(0.9)) == pytest.approx(0.1, abs=0.03)
    assert novelty.level(1.0) == np.inf


def test_a_small_step_along_a_direction_that_hardly_varies_is_new(novelty):
    usual = latents(1)[0].numpy()
    narrow = np.linalg.svd(MIXING)[0][:, -1] * np.linalg.svd(MIXING)[1][-1]
    wide = np.linalg.svd(MIXING)[0][:, 0] * np.linalg.svd(MIXING)[1][-1]
    assert novelty.score(usual + 30 * narrow) > 5
    assert novelty.score(usual + 30 * wide) == pytest.approx(novelty.score(usual), rel=0.05)


def test_nan_scores_nan(novelty):
    assert np.isnan(novelty.score(np.full(8, np.nan)))


def test_latents_that_never_vary_in_some_direction_do_not_make_it_infinite():
    flat = latents(500)
    flat[:, 0] = 1.0
    fitted = Novelty(8)
    fitted.fit(flat, flat[:100])
    assert np.isfinite(fitted.score(flat[0].numpy())) and fitted.level(0.5) < 2
