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
