"""Every kind of predictor; ensembles; the latent variable."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ami_robot.learning import losses
from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.strict import StrictError, plain
from ami_robot.world_model.adaln_mlp import AdaLNMLPConfig
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.predictor import Predictor, Rollouts
from ami_robot.world_model.token_transformer import TokenTransformerConfig

SLOTS = {"kind": "slots", "channels": [8, 8, 8], "slots": 4, "appearance_dim": 3, "head_hidden": 8}
LATENT, TOKENS = 20, 4
KINDS = {
    "mlp": MLPConfig(16, 1),
    "adaln_mlp": AdaLNMLPConfig(16, 2),
    "token_transformer": TokenTransformerConfig(16, 1, 2),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def config(request):
    return request.param


def predictor(config, latent_dim=LATENT, tokens=TOKENS, seed=0):
    """With weights that do something: new ones say that nothing changes."""
    torch.manual_seed(seed)
    made = Predictor(config, latent_dim, tokens)
    for weight in made.networks.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return made.eval()


def inputs(rows=5, horizon=3, latent_dim=LATENT):
    generator = torch.Generator().manual_seed(1)
    shapes = ((rows, latent_dim), (rows, 10), (rows, horizon, 4))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def world_model(config, made):
    tensors = {f"predictor.{key}": tensor for key, tensor in made.state_dict().items()}
    return LatentWorldModel(Checkpoint(tensors, {"encoder": SLOTS, "predictor": plain(config)}, "0" * 64, "test"))


def test_before_training_nothing_changes(config):
    latent, proprio, actions = inputs()
    rollouts = Predictor(replace(config, members=2, codes=3), LATENT, TOKENS).rollouts(latent, proprio, actions)
    assert rollouts.latents.shape == (3, 2, 5, 3, LATENT) and rollouts.proprio.shape == (3, 2, 5, 3, 10)
    assert (rollouts.latents == latent[:, None]).all()
    assert (rollouts.spread() == 0).all()


def test_an_arm_that_follows_its_target_with_a_lag_is_known_before_training(config):
    generator = torch.Generator().manual_seed(2)
    episodes, steps = 6, 40
    actions = 0.02 * torch.randn((episodes, steps, 4), generator=generator)
    actions[..., 3] = 0.0  # a gripper that stays closed says nothing, and hinders nothing
    proprio = torch.zeros(episodes, steps + 1, 10)
    proprio[:, 0, :3] = proprio[:, 0, 6:9] = 0.5 + 0.1 * torch.randn((episodes, 3), generator=generator)
    for step in range(steps):
        proprio[:, step + 1, 6:9] = proprio[:, step, 6:9] + actions[:, step, :3]
        proprio[:, step + 1, 3:6] = 3.0 * (proprio[:, step, 6:9] - proprio[:, step, :3]) + actions[:, step, :3]
        proprio[:, step + 1, :3] = proprio[:, step, :3] + 0.2 * proprio[:, step + 1, 3:6]
    made = Predictor(config, LATENT, TOKENS)
    for name, values in (("proprio", proprio), ("action", actions)):
        getattr(made, f"{name}_mean").copy_(values.flatten(0, 1).mean(0))
        getattr(made, f"{name}_std").copy_(values.flatten(0, 1).std(0).clamp_min(1e-3))
    made.fit_linear_step(proprio[:4], actions[:4])
    rollouts = made.rollouts(torch.zeros(2, LATENT), proprio[4:, 0], actions[4:])
    torch.testing.assert_close(rollouts.proprio[0, 0], proprio[4:, 1:], atol=2e-3, rtol=0.0)


def test_a_checkpoint_from_before_the_linear_step_imagines_as_it_did(config):
    made = predictor(config)
    tensors = made.state_dict()
    del tensors["proprio_step"]
    other = Predictor(config, LATENT, TOKENS)
    other.fit_linear_step(torch.rand(2, 6, 10), torch.rand(2, 5, 4))
    other.load_state_dict(tensors)
    with torch.inference_mode():
        assert (other.eval().rollouts(*inputs()).proprio == made.rollouts(*inputs()).proprio).all()


def test_the_action_and_every_part_of_the_state_matter(config):
    made, (latent, proprio, actions) = predictor(config), inputs()
    with torch.inference_mode():
        usual = made.rollouts(latent, proprio, actions).most_likely()
        for changed in ((latent + 1, proprio, actions), (latent, proprio + 1, actions), (latent, proprio, actions + 1)):
            latents, predicted = made.rollouts(*changed).most_likely()
            moved = latents[:, -1] - changed[0], predicted[:, -1] - changed[1]
            for now, before, start in zip(moved, usual, (latent, proprio), strict=True):
                assert ((now - (before[:, -1] - start)).abs().mean(1) > 1e-4).all()


def test_a_checkpoint_imagines_what_the_predictor_does_and_one_network_has_no_spread(config):
    made = predictor(config)
    latent, proprio, actions = inputs(rows=1)
    outcomes = world_model(config, made).predict(latent[0].numpy(), proprio[0].numpy(), actions.numpy())
    with torch.inference_mode():
        latents, predicted = made.rollouts(latent, proprio, actions).most_likely()
    np.testing.assert_allclose(outcomes.image_latents, latents, atol=1e-5)
    np.testing.assert_allclose(outcomes.proprio, predicted, atol=1e-5)
    assert outcomes.spread is None


def test_an_ensemble_says_the_mean_and_how_far_its_members_are_apart(config):
    config = replace(config, members=3)
    made = predictor(config)
    latent, proprio, actions = inputs(rows=1)
    outcomes = world_model(config, made).predict(latent[0].numpy(), proprio[0].numpy(), actions.numpy())
    with torch.inference_mode():
        apart = made.rollouts(latent, proprio, actions).latents[0, :, 0].numpy()  # (3, H, D)
    np.testing.assert_allclose(outcomes.image_latents[0], apart.mean(0), atol=1e-5)
    np.testing.assert_allclose(outcomes.spread[0], np.sqrt(apart.var(0).mean(-1)), atol=1e-5)
    assert (outcomes.spread[0, 1:] > 0).all() and outcomes.spread.shape == (1, 3)


def test_members_that_were_taught_the_same_differ_where_nothing_was_taught():
    made = predictor(MLPConfig(32, 1, members=4), latent_dim=2, tokens=1)
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)

    def windows(low, high):
        latent = low + (high - low) * torch.rand((128, 2), generator=generator)
        return latent, torch.zeros(128, 10), torch.zeros(128, 2, 4)

    for _ in range(250):
        latent, proprio, actions = windows(-1, 1)
        truth = torch.stack([latent.roll(1, -1), latent], dim=1)  # swaps its two numbers at each step
        optimiser.zero_grad()
        losses.squared(made.rollouts(latent, proprio, actions).latents, truth).mean().backward()
        optimiser.step()
    with torch.inference_mode():
        known, strange = (made.rollouts(*windows(*where)).spread()[:, -1].median() for where in ((-1, 1), (3, 4)))
    assert strange > 5 * known


def test_the_latent_variable_tells_outcomes_apart_that_the_action_does_not_decide():
    """A latent jumps to +1 or, one time in four, to -1. Without the variable the best guess is in between: 0.5."""
    made = predictor(MLPConfig(16, 1, codes=2), latent_dim=1, tokens=1)
    optimiser = torch.optim.Adam(made.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    start = torch.zeros(256, 1), torch.zeros(256, 10), torch.zeros(256, 1, 4)
    for _ in range(200):
        truth = torch.where(torch.rand((256, 1), generator=generator) < 0.25, -1.0, 1.0)[:, None]
        rollouts = made.rollouts(*start)
        errors = losses.squared(rollouts.latents, truth)  # (2, 1, N, 1, 1)
        shares = losses.responsibilities(rollouts.log_prior, errors.mean((1, 3, 4)), temperature=0.1)
        loss = (shares[:, None, :, None, None] * errors).sum(0).mean() + losses.code_prior(rollouts.log_prior, shares)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        rollouts = made.rollouts(*(part[:1] for part in start))
    assert abs(rollouts.most_likely()[0].item() - 1) < 0.1
    assert sorted(rollouts.latents.flatten().tolist()) == pytest.approx([-1, 1], abs=0.1)
    assert rollouts.log_prior.exp().min().item() == pytest.approx(0.25, abs=0.07)
    assert rollouts.spread().item() == pytest.approx(2 * 0.25**0.5, abs=0.2)


def test_each_row_goes_by_its_own_most_likely_value():
    latents = torch.arange(2.0).view(2, 1, 1, 1, 1).expand(2, 1, 2, 3, 4)
    log_prior = torch.tensor([[0.9, 0.2], [0.1, 0.8]]).log()
    rollouts = Rollouts(latents, torch.zeros(2, 1, 2, 3, 10), log_prior)
    assert rollouts.most_likely()[0][:, 0, 0].tolist() == [0, 1]
    torch.testing.assert_close(rollouts.spread(), torch.tensor([0.1, 0.2])[:, None].sqrt().expand(2, 3))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MLPConfig(16, 1, members=0), "members has to be at least 1"),
        (lambda: AdaLNMLPConfig(16, 0), "blocks has to be at least 1"),
        (lambda: TokenTransformerConfig(16, 1, 3), "width has to be a positive multiple of heads"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(StrictError, match=sentence):
        make()
