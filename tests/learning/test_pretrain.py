import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_world import PROVENANCE, disc_arrays

from ami_robot.learning import pretrain as pretraining
from ami_robot.learning.dataset import DataError, Episodes
from ami_robot.learning.frames import Frames, normalise_clips
from ami_robot.learning.log import LOG_FILE
from ami_robot.learning.pretrain import new_model, pretrain
from ami_robot.learning.pretrained import pretrained_encoder
from ami_robot.learning.pretraining_config import load_pretraining_config
from ami_robot.learning.run_state import TrainingError
from ami_robot.learning.train import train
from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.vit import ViTConfig

FOLDER = pretraining.__file__.rpartition("/")[0]
VIT = ViTConfig(patch=8, width=24, depth=1, heads=2, summaries=2, summary_dim=8, head_hidden=16)


@pytest.fixture(scope="module")
def frames():
    return Frames.from_arrays({"images": disc_arrays(20, 6, seed=2)["images"]})


def small(name, encoder, steps=6):
    """A shipped configuration, shrunk."""
    full = load_pretraining_config(f"{FOLDER}/{name}.yaml")
    return replace(
        full,
        held_out_fraction=0.2,
        evaluate_every=4,
        save_every=2,
        encoder=encoder,
        clip=replace(full.clip, frames=min(full.clip.frames, 4)),
        predictor=replace(full.predictor, width=16, depth=1, heads=2),
        optimiser=replace(full.optimiser, steps=steps, warmup_steps=2, batch_sequences=8),
    )


CONV = small("image_jepa_conv", ConvConfig(12, (8, 8, 16, 24), 16, 16))
GRID = small("image_jepa_conv", GridConfig((8, 8, 16), 4, 24, 16))
KINDS = {"conv": CONV, "grid": GRID, "picture": small("image_jepa_vit", VIT), "clip": small("video_jepa", VIT)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_and_resumed_ends_with_the_same_encoder(kind, frames, tmp_path, monkeypatch):
    config = KINDS[kind]
    whole = pretrain(frames, config, PROVENANCE, tmp_path / "whole")
    update = pretraining._update

    def killed(model, optimiser, training, settings, step):
        if step == 3:  # between two saved states: step 2 is done again
            raise KeyboardInterrupt
        return update(model, optimiser, training, settings, step)

    monkeypatch.setattr(pretraining, "_update", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(frames, config, PROVENANCE, tmp_path / "cut")
    monkeypatch.setattr(pretraining, "_update", update)
    torch.manual_seed(999)
    resumed = pretrain(frames, config, PROVENANCE, tmp_path / "cut", resume=True)
    assert resumed.sha256 == whole.sha256
    with pytest.raises(TrainingError, match="already holds a training run"):
        pretrain(frames, config, PROVENANCE, tmp_path / "cut")
    with pytest.raises(TrainingError, match="another configuration or other data"):
        pretrain(frames, replace(config, seed=1), PROVENANCE, tmp_path / "cut", resume=True)


def test_the_hidden_is_predicted_better_than_at_the_start_and_the_log_watches_the_rank(frames, tmp_path):
    config = replace(CONV, optimiser=replace(CONV.optimiser, steps=60, learning_rate=0.003), evaluate_every=20)
    start = pretraining.evaluate(new_model(config), frames.split(0.2, config.seed)[1], config)
    checkpoint = pretrain(frames, config, PROVENANCE, tmp_path)
    entries = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    looks = [entry["held_out"] for entry in entries if "held_out" in entry]
    assert len(looks) == 3 and checkpoint.record["metrics"] == looks[-1]
    assert looks[-1]["loss"] < 0.75 * start["loss"]
    assert all(look["effective_rank"] > 1 for look in looks)


def test_a_collapsed_representation_stops_the_run_in_a_sentence(frames, tmp_path):
    with pytest.raises(TrainingError, match=r"collapsed: its effective rank at step 4 is .* effective_rank_min 1000"):
        pretrain(frames, replace(CONV, effective_rank_min=1000.0), PROVENANCE, tmp_path)
    assert not (tmp_path / "checkpoint.yaml").exists()


def test_a_constant_representation_has_rank_one_and_the_best_of_losses(frames):
    model = new_model(CONV)
    for part in (model.student, model.teacher):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert pretraining.evaluate(model, frames, CONV)["effective_rank"] <= 1.01


def test_training_starts_from_the_pretrained_tensors(frames, tmp_path):
    pretrain(frames, CONV, PROVENANCE, tmp_path / "conv")
    encoder = CONV.encoder.build()
    encoder.load_state_dict(pretrained_encoder(load_checkpoint(tmp_path / "conv"), CONV.encoder))
    learnt = load_checkpoint(tmp_path / "conv").tensors["encoder.convolutions.0.weight"]
    assert torch.equal(encoder.convolutions[0].weight, learnt)
    assert not torch.equal(new_model(CONV).teacher.encoder.convolutions[0].weight, learnt)


@pytest.mark.parametrize("encoder", [replace(CONV.encoder, hidden=8), VIT], ids=["size", "kind"])
def test_an_encoder_of_another_size_or_kind_is_refused_in_a_sentence(frames, tmp_path, encoder):
    pretrain(frames, CONV, PROVENANCE, tmp_path)
    with pytest.raises(CheckpointError, match=r"encoder in .* is {.*the training configuration asks for"):
        pretrained_encoder(load_checkpoint(tmp_path), encoder)


def test_what_clips_taught_is_a_picture_encoder(frames, tmp_path):
    pretrain(frames, KINDS["clip"], PROVENANCE, tmp_path)
    vit = VIT.build()
    vit.load_state_dict(pretrained_encoder(load_checkpoint(tmp_path), VIT))
    assert vit(torch.zeros(2, 3, 64, 64)).shape == (2, 16)


def test_frames_hold_out_the_episodes_that_training_holds_out():
    arrays = disc_arrays(30, 4, seed=0)
    kept, held_out = Frames.from_arrays(arrays).split(0.2, 3)
    also_kept, also_held_out = Episodes.from_arrays(arrays).split(0.2, 3)
    assert (held_out.images == also_held_out.images).all() and (kept.images == also_kept.images).all()


def test_clips_are_of_consecutive_frames_of_one_episode():
    images = np.zeros((3, 10, 64, 64, 3), np.uint8)
    images[...] = (10 * np.arange(3)[:, None] + np.arange(10))[..., None, None, None]
    drawn = Frames(images).draw(50, 4, (0, 1))
    numbers = drawn[:, :, 0, 0, 0].astype(int)
    assert (np.diff(numbers, axis=1) == 1).all() and (numbers[:, 0] // 10 == numbers[:, -1] // 10).all()
    clip = normalise_clips(drawn)
    assert clip.shape == (50, 3, 4, 64, 64)
    assert torch.allclose(clip[:, 1, 2, 5, 6], torch.from_numpy(numbers[:, 2]) / 255 - 0.5)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"proprio": np.zeros(3)}, "lack the array images"),
        ({"images": np.zeros((2, 3, 32, 32, 3), np.uint8)}, r"it has to be \(E, T, 64, 64, 3\) uint8"),
        ({"images": np.zeros((2, 3, 64, 64, 3), np.float32)}, "uint8"),
    ],
)
def test_what_are_no_training_views_is_refused_in_a_sentence(arrays, sentence):
    with pytest.raises(DataError, match=sentence):
        Frames.from_arrays(arrays)


def test_clips_longer_than_the_episodes_are_refused_in_a_sentence(frames, tmp_path):
    config = replace(KINDS["clip"], clip=replace(KINDS["clip"].clip, frames=8))
    with pytest.raises(DataError, match=r"8 frames do not fit into episodes of 7"):
        pretrain(frames, config, PROVENANCE, tmp_path)


def test_a_world_model_is_trained_from_a_pretrained_encoder(config, episodes, tmp_path):
    training_config = replace(
        config,
        optimiser=replace(config.optimiser, steps=3, warmup_steps=1, learning_rate=0.0),
        head=replace(config.head, steps=2),
        objective=replace(config.objective, target_decay=0.9),
    )
    initial = pretrain(Frames(episodes.images), replace(CONV, encoder=config.encoder), PROVENANCE, tmp_path / "initial")
    trained = train(episodes, training_config, PROVENANCE, tmp_path / "trained", initial=initial)
    kept = "encoder.convolutions.0.weight"  # at a learning rate of 0
    assert torch.equal(trained.tensors[kept], initial.tensors[kept])
    assert trained.record["initial_sha256"] == initial.sha256
    with pytest.raises(TrainingError, match="another configuration or other data"):  # the start counts as well
        train(episodes, training_config, PROVENANCE, tmp_path / "trained", resume=True)
    wider = replace(training_config, encoder=replace(config.encoder, hidden=128))
    with pytest.raises(CheckpointError, match="the training configuration asks for"):
        train(episodes, wider, PROVENANCE, tmp_path / "wider", initial=initial)
