"""The noise has the spectrum and the variance it claims."""

import numpy as np
import pytest

from ami_robot.actor.coloured_noise import coloured_noise


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_power_falls_as_one_over_f_to_the_beta(beta):
    noise = coloured_noise(np.random.default_rng(0), (400, 128, 1), beta)[..., 0]
    power = (np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(0)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, 64)), np.log(power), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.1)


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 31])
def test_variance_is_one_at_every_step_for_odd_and_even_lengths(steps):
    noise = coloured_noise(np.random.default_rng(1), (20000, steps, 3), 2.0)
    assert noise.shape == (20000, steps, 3)
    np.testing.assert_allclose(noise.std(axis=0), 1.0, atol=0.03)


def test_brownian_neighbours_agree_and_axes_are_independent():
    noise = coloured_noise(np.random.default_rng(2), (20000, 6, 2), 2.0)
    assert np.mean(noise[:, 2, 0] * noise[:, 3, 0]) > 0.4
    white = coloured_noise(np.random.default_rng(2), (20000, 6, 1), 0.0)
    assert abs(np.mean(white[:, 2] * white[:, 3])) < 0.03
    assert abs(np.mean(noise[:, 2, 0] * noise[:, 2, 1])) < 0.03
