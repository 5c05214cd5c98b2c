"""A head for where the block is, fitted to the simulator's labels after everything else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_world import PROVENANCE, disc_arrays

from ami_robot.learning import train as training
from ami_robot.learning.card import CARD_FILE
from ami_robot.learning.dataset import DataError, Episodes, WindowSampler
from ami_robot.learning.jepa import JEPA
from ami_robot.learning.train import train
from ami_robot.perception.block_head import BlockHead
from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.perception.encoder import ImageEncoder, load_block_head
from ami_robot.strict import StrictError
from ami_robot.world_model.model import LatentWorldModel


@pytest.fixture(scope="module")
def short(config):
    return replace(config, optimiser=replace(config.optimiser, steps=40))


@pytest.fixture(scope="module")
def with_head(short, episodes, tmp_path_factory):
    out = tmp_path_factory.mktemp("with")
    train(episodes, replace(short, block_head=True), PROVENANCE, out)
    return out


def test_the_block_is_found_in_pictures_never_seen(with_head):
    checkpoint = load_checkpoint(with_head)
    metrics, encoder = checkpoint.record["metrics"], ImageEncoder(checkpoint)
    assert metrics["block_head"]["mean_cm"] < 0.8 * metrics["probes"]["mean_blocks"]["mean_cm"]
    fresh = disc_arrays(20, 1, seed=77)
    found = np.array([encoder.decode_block_position(encoder.encode(frames[0])) for frames in fresh["images"]])
    errors_m = np.linalg.norm(found - fresh["blocks"][:, 0, 0], axis=1)
    assert errors_m.mean() < 0.8 * 0.01 * metrics["probes"]["mean_blocks"]["mean_cm"]
    assert "Block head" in (with_head / CARD_FILE).read_text()


def test_it_has_no_part_in_anything_else(with_head, short, episodes, tmp_path):
    train(episodes, short, PROVENANCE, tmp_path)
    plain, more = load_checkpoint(tmp_path), load_checkpoint(with_head)
    assert [name for name, tensor in plain.tensors.items() if not torch.equal(tensor, more.tensors[name])] == []
    assert {name.split(".")[0] for name in more.tensors.keys() - plain.tensors.keys()} == {"block_head"}
    encoder = ImageEncoder(plain)
    assert encoder.decode_block_position(np.zeros(encoder.latent_dim)) is None
    with pytest.raises(CheckpointError, match="no head for the block; train with block_head: true"):
        load_block_head(plain)
    assert "Block head" not in (tmp_path / CARD_FILE).read_text()


def test_where_encoder_and_predictor_learn_its_place_too_it_is_found_better_now_and_later(
    with_head, short, episodes, tmp_path
):
    taught = replace(short, block_head=True, loss=replace(short.loss, block_position=5.0))
    train(episodes, taught, PROVENANCE, tmp_path)
    errors_m = []
    for folder in (with_head, tmp_path):
        checkpoint, fresh = load_checkpoint(folder), disc_arrays(60, 4, seed=77)
        encoder, model, head = ImageEncoder(checkpoint), LatentWorldModel(checkpoint), BlockHead(checkpoint)
        latents = encoder.encode_many(fresh["images"][:, 0])
        imagined = [
            model.predict(latent, fresh["proprio"][number, 0], fresh["actions"][number, None]).image_latents[0, -1]
            for number, latent in enumerate(latents)
        ]
        found = head.decode(np.stack([latents, np.stack(imagined)], axis=1))
        errors_m.append(np.linalg.norm(found - fresh["blocks"][:, [0, -1], 0], axis=-1).mean(axis=0))
    assert (errors_m[1] < 0.9 * errors_m[0]).all(), errors_m


@pytest.mark.parametrize("part", ["encoder", "predictor"])
def test_its_place_teaches_what_sees_and_what_imagines(part, short, episodes):
    model = JEPA(replace(short, block_head=True, loss=replace(short.loss, block_position=1.0)))
    model.fit_normalisation(episodes)
    batch = WindowSampler(episodes, short.window).draw(8, (0,))
    model.losses(batch, torch.Generator(), torch.Generator())["block_position"].backward()
    if part == "encoder":
        assert max(weight.grad.abs().max() for weight in model.encoder.parameters()) > 0
    else:  # whose output is zero before it has learnt anything: only the last layer's weights are told then
        assert model.predictor.networks[0].output.weight.grad.abs().max() > 0


def test_it_is_fitted_to_what_is_imagined_as_much_as_to_what_is_seen(short, episodes, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        training, "fit_head", lambda head, latents, positions, config, what: given.update({what: (latents, positions)})
    )
    train(episodes, replace(short, block_head=True), PROVENANCE, tmp_path)
    seen = given["goal head"][0].flatten(0, 1)
    latents, positions = given["block head"]
    assert torch.equal(latents[: len(seen)], seen) and len(positions) == len(latents)
    imagined = latents[len(seen) :]
    assert 0.9 * len(seen) < len(imagined) <= len(seen)
    assert torch.cdist(imagined, seen).amin(1).median() > 0  # of no picture


def test_it_says_how_far_off_it_may_be_and_the_world_model_says_so_of_what_it_imagines(with_head):
    checkpoint, fresh = load_checkpoint(with_head), disc_arrays(200, 4, seed=77)
    latents = torch.from_numpy(ImageEncoder(checkpoint).encode_many(fresh["images"][:, 0]))
    with torch.inference_mode():
        found, deviation = load_block_head(checkpoint).place(latents)
    off_m = (found - torch.from_numpy(fresh["blocks"][:, 0, 0])).abs()
    shares = (off_m / deviation[:, None]).square().mean()
    assert 0.5 < shares < 2.0  # of a Gaussian: 1
    outcomes = LatentWorldModel(checkpoint).predict(latents[0].numpy(), fresh["proprio"][0, 0], fresh["actions"][:3])
    with torch.inference_mode():
        said = load_block_head(checkpoint).place(torch.from_numpy(outcomes.image_latents))[1]
    np.testing.assert_allclose(outcomes.spread, said.numpy(), rtol=1e-5)


def test_its_place_is_learnt_only_where_it_has_a_head(short):
    with pytest.raises(StrictError, match="block_position needs block_head: true"):
        replace(short, loss=replace(short.loss, block_position=1.0))


def test_of_several_blocks_none_is_the_one(short, tmp_path):
    arrays = disc_arrays(4, 6, seed=0)
    arrays["blocks"] = arrays["blocks"].repeat(3, axis=2)
    with pytest.raises(DataError, match="needs episodes with one block, these have 3"):
        train(Episodes.from_arrays(arrays), replace(short, block_head=True), PROVENANCE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
