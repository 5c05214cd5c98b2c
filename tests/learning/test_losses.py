import numpy as np
import pytest
import torch

from ami_robot.learning import losses
from ami_robot.learning.dataset import Episodes, WindowSampler
from ami_robot.learning.jepa import JEPA, augment
from ami_robot.learning.probes import effective_rank


def test_a_collapsed_representation_is_punished_by_variance():
    spread = torch.randn(512, 16, generator=torch.Generator().manual_seed(0))
    assert losses.variance(1e-3 * spread) > 0.9
    assert losses.variance(2 * spread) < 1e-6


def test_dimensions_that_repeat_each_other_are_punished_by_covariance():
    independent = torch.randn(4096, 8, generator=torch.Generator().manual_seed(0))
    repeated = independent[:, :1].expand(-1, 8)
    assert losses.covariance(repeated) > 5  # 8 x 7 covariances of 1, over 8 dimensions
    assert losses.covariance(independent) < 0.05


def test_variance_pulls_a_collapsed_representation_apart():
    latents = (1e-3 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    losses.variance(latents).backward()
    assert (latents.grad * (latents - latents.mean(0))).sum() < 0  # descent moves away from the mean


def test_the_prediction_error_reaches_the_target_too():
    predicted, encoded = torch.zeros(3, 2, requires_grad=True), torch.ones(3, 2, requires_grad=True)
    losses.squared(predicted, encoded).mean().backward()
    assert encoded.grad.abs().sum() > 0


def test_few_large_errors_do_not_decide_the_smooth_distance():
    predicted, encoded = torch.tensor([0.5, 10.0]), torch.zeros(2)
    assert losses.smooth_l1(predicted, encoded).tolist() == [0.25, 19.0]
    assert losses.squared(predicted, encoded).tolist() == [0.25, 100.0]


def test_the_likelihood_is_greatest_where_the_deviation_is_that_of_the_errors():
    generator = torch.Generator().manual_seed(0)
    true = 0.3 * torch.randn((4000, 3), generator=generator)
    slopes = []
    for deviation in (0.15, 0.3, 0.6):
        said = torch.full((4000,), deviation, requires_grad=True)
        losses.gaussian(torch.zeros(4000, 3), said, true).mean().backward()
        slopes.append(float(said.grad.sum()))
    assert slopes[0] < -0.5 and abs(slopes[1]) < 0.1 and slopes[2] > 0.5


def sigreg(latents, projections=256, knots=17):
    return losses.sigreg(latents, projections, knots, torch.Generator().manual_seed(7))


def test_gaussian_latents_have_the_null_value_of_sigreg_however_many_they_are():
    t = np.linspace(0, 3, 2001)  # E N |phi - phi_0|^2 = 1 - phi_0^2, integrated over both half lines
    null = 2 * np.trapezoid((1 - np.exp(-(t**2))) * np.exp(-(t**2) / 2), t)
    for count in (64, 512):
        values = [sigreg(torch.randn(count, 16, generator=torch.Generator().manual_seed(s))) for s in range(30)]
        assert np.mean(values) == pytest.approx(null, rel=0.1)


@pytest.mark.parametrize(
    "change",
    [
        lambda z: 0 * z,  # all the same
        lambda z: 2 * z,
        lambda z: 0.5 * z,
        lambda z: z + 1,
        lambda z: z[:, :1].expand(-1, z.shape[1]),  # one direction alone
        lambda z: z.sign(),  # the right mean and covariance, no Gaussian
    ],
    ids=["collapsed", "too wide", "too narrow", "off centre", "one direction", "two points"],
)
def test_latents_that_are_no_unit_gaussian_are_punished_by_sigreg_the_more_of_them_there_are(change):
    gaussian = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
    many, few = sigreg(change(gaussian)), sigreg(change(gaussian[:128]))
    assert many > 2 * sigreg(gaussian)
    assert many > 1.5 * few


def test_sigreg_pulls_a_narrow_representation_apart():
    latents = (0.1 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    sigreg(latents).backward()
    assert (latents.grad * latents).sum() < 0


def test_a_straight_path_is_straight_at_any_pace_and_a_bend_is_not():
    way = torch.tensor([0.0, 1.0, 1.5, 4.0])[None, :, None] * torch.tensor([1.0, 2.0, -1.0])
    assert losses.straightening(way) < 1e-6
    corner = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])
    assert losses.straightening(corner).item() == pytest.approx(1)
    assert losses.straightening(corner[:, [0, 1, 0]]).item() == pytest.approx(2)


def test_the_outcome_that_happened_is_responsible_unless_it_was_most_unlikely():
    errors = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    log_prior = torch.tensor([[0.5, 1e-9], [0.5, 1.0]]).log()
    shares = losses.responsibilities(log_prior, errors, temperature=0.1)
    assert shares[0, 0] > 0.999 and shares[1, 1] > 0.999
    assert losses.code_prior(log_prior, shares).item() == pytest.approx(np.log(2) / 2, abs=0.01)


def test_effective_rank_counts_directions():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(32, 32, generator=generator))[0]
    assert abs(effective_rank(torch.randn(5000, 5, generator=generator) @ basis[:5]) - 5) < 0.1
    assert effective_rank(torch.randn(100, 1, generator=generator) @ basis[:1]) < 1.01


def test_every_term_of_the_configuration_is_computed(config, episodes: Episodes):
    model = JEPA(config)
    model.fit_normalisation(episodes)
    batch = WindowSampler(episodes, config.window).draw(8, (0,))
    terms = model.losses(batch, torch.Generator(), torch.Generator())
    assert set(terms) == {name for name, weight in vars(config.loss).items() if weight}
    assert all(term.dtype == torch.float32 and term.ndim == 0 for term in terms.values())


def test_augmentation_changes_the_light_of_each_picture_within_its_bounds(config):
    pictures = torch.full((64, 3, 8, 8), 0.2)
    light = config.augmentation
    seen = augment(pictures, light, torch.Generator().manual_seed(0)).mean((1, 2, 3)) - 0.2
    assert seen.std() > 0.01
    assert seen.abs().max() < 0.2 * light.contrast + light.brightness + light.noise
