import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_world import PROVENANCE, disc_arrays

from ami_robot.learning import train as training
from ami_robot.learning.card import update_model_card
from ami_robot.learning.log import LOG_FILE
from ami_robot.learning.run_state import STATE_FILE, TrainingError
from ami_robot.learning.train import train
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.world_model.model import LatentWorldModel


@pytest.fixture(scope="module")
def trained(config, episodes, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    train(episodes, config, PROVENANCE, out)
    return out


@pytest.fixture(scope="module")
def metrics(trained):
    return load_checkpoint(trained).record["metrics"]


def test_the_true_actions_predict_better_than_wrong_ones(metrics):
    for row in metrics["prediction"].values():
        assert row["wrong_over_true_action"] > 1.5
        assert row["copy_last"] < 0.7


def test_the_tool_is_found_in_pictures_never_seen(trained, metrics):
    assert metrics["goal_head"]["mean_cm"] < 0.3 * metrics["probes"]["mean_tool"]["mean_cm"]
    encoder = ImageEncoder(load_checkpoint(trained))
    fresh = disc_arrays(1, 6, seed=77)
    found = np.array([encoder.decode_tool_position(encoder.encode(image)) for image in fresh["images"][0]])
    assert np.linalg.norm(found - fresh["proprio"][0, :, :3], axis=1).mean() < 0.03


def test_the_representation_keeps_more_than_the_two_directions_of_the_tool(metrics):
    assert metrics["effective_rank"] > 4


def test_the_released_model_imagines_where_the_tool_goes(trained):
    checkpoint = load_checkpoint(trained)
    encoder, model = ImageEncoder(checkpoint), LatentWorldModel(checkpoint)
    fresh = disc_arrays(1, 4, seed=5)
    latent = encoder.encode(fresh["images"][0, 0])
    outcomes = model.predict(latent, fresh["proprio"][0, 0], fresh["actions"])
    assert outcomes.image_latents.shape == (1, 4, 32) and outcomes.proprio.dtype == np.float32
    assert np.abs(outcomes.proprio[0, :, :3] - fresh["proprio"][0, 1:, :3]).max() < 0.02


def test_the_log_names_every_loss_term_and_the_final_figures(trained, config):
    entries = [json.loads(line) for line in (trained / LOG_FILE).read_text().splitlines()]
    assert {name for name, weight in vars(config.loss).items() if weight} <= set(entries[0])
    assert entries[-1]["final"]["probes"].keys() >= {"linear_tool", "mlp_tool", "linear_blocks", "mlp_blocks"}


def test_the_model_card_is_generated_and_takes_planning_figures(trained, metrics):
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{metrics['goal_head']['mean_cm']:.2f} cm" in card and "Not measured yet" in card
    before = load_checkpoint(trained).sha256
    update_model_card(trained, {"reached": 19, "episodes": 20})
    card = (trained / "MODEL_CARD.md").read_text()
    assert "reached: 19" in card and "Not measured yet" not in card
    assert load_checkpoint(trained).sha256 == before


def short(config):
    return replace(config, optimiser=replace(config.optimiser, steps=10), head=replace(config.head, steps=5))


def test_a_run_killed_and_resumed_ends_with_the_same_tensors(config, episodes, tmp_path, monkeypatch):
    config = short(config)
    whole = train(episodes, config, PROVENANCE, tmp_path / "whole")
    update = training._update

    def killed(model, optimiser, batch, step):
        if step == 6:  # between two saved states: steps 4 and 5 are done again
            raise KeyboardInterrupt
        return update(model, optimiser, batch, step)

    monkeypatch.setattr(training, "_update", killed)
    with pytest.raises(KeyboardInterrupt):
        train(episodes, config, PROVENANCE, tmp_path / "cut")
    monkeypatch.setattr(training, "_update", update)
    torch.manual_seed(999)
    resumed = train(episodes, config, PROVENANCE, tmp_path / "cut", resume=True)
    assert resumed.sha256 == whole.sha256


def test_another_run_in_the_folder_is_neither_overwritten_nor_continued(config, episodes, tmp_path):
    config = short(config)
    train(episodes, config, PROVENANCE, tmp_path)
    with pytest.raises(TrainingError, match="already holds a training run"):
        train(episodes, config, PROVENANCE, tmp_path)
    with pytest.raises(TrainingError, match="another configuration or other data"):
        train(episodes, replace(config, seed=3), PROVENANCE, tmp_path, resume=True)


def test_resuming_from_nothing_or_from_a_cut_state_is_refused(config, episodes, tmp_path):
    with pytest.raises(TrainingError, match="cannot resume"):
        train(episodes, config, PROVENANCE, tmp_path / "none", resume=True)
    (tmp_path / STATE_FILE).write_bytes(b"\x10\0\0\0")
    with pytest.raises(TrainingError, match="cannot resume"):
        train(episodes, config, PROVENANCE, tmp_path, resume=True)
