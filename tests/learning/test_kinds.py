"""Every family learns: its loss falls, nothing collapses, a killed run goes on to the same tensors."""

import json
from dataclasses import replace

import pytest
import torch
from disc_world import PROVENANCE, disc_arrays

from ami_robot.learning import probes
from ami_robot.learning import train as training
from ami_robot.learning.config import LossWeights, ObjectiveConfig
from ami_robot.learning.dataset import Episodes, WindowSampler
from ami_robot.learning.jepa import JEPA
from ami_robot.learning.train import train
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.slots import SlotsConfig
from ami_robot.perception.vit import ViTConfig
from ami_robot.world_model.adaln_mlp import AdaLNMLPConfig
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.token_transformer import TokenTransformerConfig

CONV = ConvConfig(16, (8, 16, 16, 16), 32, 32)
GRID = GridConfig((16, 16, 16), 4, 2, 32)
SLOTS = SlotsConfig((16, 16, 16), 4, 4, 32)
VIT = ViTConfig(16, 32, 1, 2, 2, 8, 32)
TOKENS = TokenTransformerConfig(32, 1, 2)
PREDICTION = LossWeights(1.0, 1.0, 1.0, 1.0, inverse_dynamics=0.0, variance=0.0, covariance=0.0)
VICREG = replace(PREDICTION, inverse_dynamics=0.4, variance=2.5, covariance=0.1)
PIXELS = replace(PREDICTION, one_step=0.0, multi_step=0.0, reconstruction=10.0)
FAMILIES = {
    "grid, tokens, VICReg": (GRID, TOKENS, VICREG, ObjectiveConfig()),
    "slots, ensemble of tokens, SIGReg": (
        SLOTS,
        replace(TOKENS, members=2),
        replace(PREDICTION, sigreg=0.02),
        ObjectiveConfig(sigreg_projections=64),
    ),
    "ViT, AdaLN, smooth L1, straightening": (
        VIT,
        AdaLNMLPConfig(32, 1),
        replace(VICREG, straightening=0.1),
        ObjectiveConfig(distance="smooth_l1"),
    ),
    "conv, latent variable": (CONV, MLPConfig(32, 1, codes=2), replace(VICREG, code_prior=0.1), ObjectiveConfig()),
    "slots, moving average of the encoder": (SLOTS, TOKENS, PREDICTION, ObjectiveConfig(target_decay=0.9)),
    "grid, pixels": (replace(GRID, cells=8), MLPConfig(32, 1), PIXELS, ObjectiveConfig()),
}


@pytest.fixture(autouse=True)
def _one_probe(monkeypatch):
    """The probe by a small network takes longer than these trainings do."""
    monkeypatch.setattr(probes, "mlp_probe", lambda fit, labels, seed: probes.linear_probe(fit, labels))


@pytest.fixture(scope="module")
def few() -> Episodes:
    return Episodes.from_arrays(disc_arrays(30, 8, seed=2))


@pytest.fixture(params=FAMILIES)
def family(request, config):
    encoder, predictor, loss, objective = FAMILIES[request.param]
    optimiser = replace(config.optimiser, steps=101, batch_sequences=8)
    sections = {"encoder": encoder, "predictor": predictor, "loss": loss, "objective": objective}
    return replace(config, optimiser=optimiser, head=replace(config.head, steps=50), **sections)


def test_its_loss_falls_and_nothing_collapses(family, few, tmp_path):
    train(few, family, PROVENANCE, tmp_path)
    first, _, last, final = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    terms = {name for name, weight in vars(family.loss).items() if weight}
    assert terms <= first.keys() and terms | {"step", "loss", "gradient_norm"} == first.keys()
    assert last["step"] == 100 and last["loss"] < 0.9 * first["loss"]
    assert last["proprio"] < 1e-3, "the arm of the discs is linear; what is solved for has to stay solved"
    found = final["final"]["probes"]
    known = [found[f"linear_{what}"]["mean_cm"] / found[f"mean_{what}"]["mean_cm"] for what in ("tool", "blocks")]
    assert min(known) < 0.95, "neither the tool nor the block can be read out better than by guessing"
    assert final["final"]["effective_rank"] > 2.5
    checkpoint = load_checkpoint(tmp_path)
    fresh = disc_arrays(1, 4, seed=5)
    latent = ImageEncoder(checkpoint).encode(fresh["images"][0, 0])
    outcomes = LatentWorldModel(checkpoint).predict(latent, fresh["proprio"][0, 0], fresh["actions"])
    assert outcomes.image_latents.shape == (1, 4, family.encoder.latent_dim)
    several = family.predictor.members > 1 or family.predictor.codes > 1
    assert (outcomes.spread is not None) == several
    assert not [name for name in checkpoint.tensors if name.startswith(("target_encoder", "decoder", "inverse"))]


WITH_MORE_STATE = ["slots, ensemble of tokens, SIGReg", "slots, moving average of the encoder", "grid, pixels"]


@pytest.mark.parametrize("family", WITH_MORE_STATE, indirect=True)
def test_killed_and_resumed_it_ends_with_the_same_tensors(family, few, tmp_path, monkeypatch):
    config = replace(family, optimiser=replace(family.optimiser, steps=8), head=replace(family.head, steps=3))
    whole = train(few, config, PROVENANCE, tmp_path / "whole")
    update = training._update

    def killed(model, optimiser, batch, step):
        if step == 6:
            raise KeyboardInterrupt
        return update(model, optimiser, batch, step)

    monkeypatch.setattr(training, "_update", killed)
    with pytest.raises(KeyboardInterrupt):
        train(few, config, PROVENANCE, tmp_path / "cut")
    monkeypatch.setattr(training, "_update", update)
    assert train(few, config, PROVENANCE, tmp_path / "cut", resume=True).sha256 == whole.sha256


def test_the_target_follows_the_encoder_and_gives_it_no_gradient(config, few):
    loss = replace(PREDICTION, multi_step=0.0, proprio=0.0, tool_position=0.0)
    model = JEPA(replace(config, encoder=SLOTS, loss=loss, objective=ObjectiveConfig(target_decay=0.75)))
    before = model.target_encoder.appearance.weight.clone()
    batch = WindowSampler(few, config.window).draw(4, (0,))
    model.weighted_sum(model.losses(batch, torch.Generator(), torch.Generator())).backward()
    assert all(parameter.grad is None for parameter in model.target_encoder.parameters())
    with torch.no_grad():
        model.encoder.appearance.weight += 1
    model.update_target_encoder()
    torch.testing.assert_close(model.target_encoder.appearance.weight, before + 0.25)
