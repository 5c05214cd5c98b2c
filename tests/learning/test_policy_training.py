"""A policy learnt from wandering in the world of the disc finds its way to what it is shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from disc_world import PROVENANCE, disc_arrays

from ami_robot.actor.policy_network import PolicyNetwork, load_policy
from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.learning import policy as training
from ami_robot.learning.dataset import DataError
from ami_robot.learning.latents import CACHE_FILE, LatentEpisodes, cached_latents
from ami_robot.learning.policy import evaluate, hindsight, train_policy
from ami_robot.learning.policy_config import DEFAULT_POLICY_CONFIG, NetworkConfig, load_policy_config
from ami_robot.learning.train import TrainingError
from ami_robot.perception.checkpoint import CheckpointError, save_checkpoint
from ami_robot.perception.encoder import GoalHead, ImageEncoder
from ami_robot.perception.view import CLOSE_VIEW
from ami_robot.strict import StrictError
from ami_robot.world_model.predictor import Predictor

ENCODER = "e" * 64
LIMIT_M = 0.04


def walks(episodes, steps, seed):
    """Latents that are the hand's position in units of 10 cm, moved by the actions; the way there is random."""
    rng = np.random.default_rng(seed)
    actions = np.zeros((episodes, steps, 4), np.float32)
    heading = rng.normal(size=(episodes, 1, 3))
    moves = heading + 0.5 * rng.normal(size=(episodes, steps, 3))
    actions[..., :3] = LIMIT_M * moves / np.maximum(1, np.linalg.norm(moves, axis=-1, keepdims=True))
    proprio = np.zeros((episodes, steps + 1, 10), np.float32)
    proprio[:, 0, :3] = rng.uniform(-0.3, 0.3, (episodes, 3))
    proprio[:, 1:, :3] = proprio[:, :1, :3] + actions[..., :3].cumsum(1)
    return LatentEpisodes(
        *(torch.from_numpy(v) for v in (10 * proprio[..., :3], proprio, actions)),
        torch.zeros(episodes, steps + 1, 1, 3),
    )


@pytest.fixture(scope="module")
def small():
    full = load_policy_config(DEFAULT_POLICY_CONFIG)
    optimiser = replace(full.optimiser, steps=300, warmup_steps=10, batch_sequences=256, learning_rate=0.003)
    network = NetworkConfig(width=64, blocks=2)
    return replace(full, goal_steps=6, evaluate_every=100, save_every=50, network=network, optimiser=optimiser)


@pytest.fixture(scope="module")
def taught(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("policy")
    train_policy(walks(120, 12, seed=0), ENCODER, small, PROVENANCE, out)
    return out


def test_goals_are_what_was_seen_one_to_so_many_steps_later_and_every_distance_is_as_frequent(small):
    episodes = walks(20, 12, seed=1)
    latents, proprio, goals, left, actions = hindsight(episodes, small, (1, 0))
    assert left.min() == 1 and left.max() == 6
    one = left == 1
    np.testing.assert_allclose(goals[one], latents[one] + 10 * actions[one, :3], atol=1e-5)
    np.testing.assert_allclose(10 * proprio[:, :3], latents, atol=1e-5)
    again, other = hindsight(episodes, small, (1, 0)), hindsight(episodes, small, (1, 1))
    assert torch.equal(again[3], left) and not torch.equal(other[3], left)


def test_it_learns_what_leads_to_goals_it_never_saw(small, taught):
    network = load_policy(taught, ENCODER).network
    fresh = evaluate(network, walks(40, 12, seed=9), small)
    assert fresh["displacement_error_cm"] < 0.6 * fresh["mean_action_error_cm"]
    at, goal = np.zeros(3), np.array([0.6, -0.3, 0.2])
    for left in (3, 2, 1):
        proprio = np.concatenate([at / 10, np.zeros(7)])
        mean, std = network.act(at[None], proprio[None], goal, left)
        assert mean.shape == std.shape == (1, 4) and std.min() > 0
        at = at + 10 * mean[0, :3]
    assert np.linalg.norm(at - goal) < 0.25 * np.linalg.norm(goal)


def test_with_more_steps_left_it_takes_its_time(taught):
    network = load_policy(taught, ENCODER).network
    goal, nowhere = np.array([0.35, 0.0, 0.0]), np.zeros((1, 10))
    soon, later = (network.act(np.zeros((1, 3)), nowhere, goal, left)[0][0, 0] for left in (1, 6))
    assert soon > 1.5 * later > 0


def test_how_new_a_latent_is_comes_with_it(taught):
    novelty = load_policy(taught, ENCODER).novelty
    assert novelty.score(np.zeros(3)) < novelty.level(0.99) < novelty.score(np.full(3, 60.0))


def test_a_policy_for_the_latents_of_another_encoder_is_refused_in_one_sentence(taught):
    assert load_policy(taught).encoder_sha256 == ENCODER
    with pytest.raises(
        CheckpointError, match=r"latents of checkpoint eeeeeeeeeeee, these are of 000000000000"
    ) as caught:
        load_policy(taught, "0" * 64)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="no usable sizes of the policy"):
        load_policy(training.__file__.replace("learning/policy.py", "checkpoints/reach"))


def test_latents_of_another_size_are_refused_by_the_network(taught):
    with pytest.raises(ValueError, match="takes latents of 3 numbers, got 5 and 3"):
        load_policy(taught).network.act(np.zeros((1, 5)), np.zeros((1, 10)), np.zeros(3), 1)


def test_a_run_killed_and_resumed_ends_with_the_same_tensors(small, tmp_path, monkeypatch):
    config = replace(small, save_every=4, optimiser=replace(small.optimiser, steps=10, warmup_steps=2))
    episodes = walks(20, 12, seed=2)
    whole = train_policy(episodes, ENCODER, config, PROVENANCE, tmp_path / "whole")
    update = training._update

    def killed(*args):
        if args[-1] == 6:
            raise KeyboardInterrupt
        return update(*args)

    monkeypatch.setattr(training, "_update", killed)
    with pytest.raises(KeyboardInterrupt):
        train_policy(episodes, ENCODER, config, PROVENANCE, tmp_path / "cut")
    monkeypatch.setattr(training, "_update", update)
    torch.manual_seed(999)
    resumed = train_policy(episodes, ENCODER, config, PROVENANCE, tmp_path / "cut", resume=True)
    assert resumed.sha256 == whole.sha256


def test_tensorboard_follows_when_it_is_wanted(small, tmp_path):
    pytest.importorskip("tensorboard")
    config = replace(small, optimiser=replace(small.optimiser, steps=10, warmup_steps=2))
    train_policy(walks(20, 12, seed=2), ENCODER, config, PROVENANCE, tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard").iterdir())


def test_another_run_or_another_checkpoint_in_the_folder_is_not_overwritten(small, taught, tmp_path):
    episodes = walks(20, 12, seed=2)
    with pytest.raises(TrainingError, match="already holds a checkpoint"):
        train_policy(episodes, ENCODER, small, PROVENANCE, taught)
    with pytest.raises(TrainingError, match="another configuration or other data"):
        train_policy(episodes, "0" * 64, small, PROVENANCE, taught, resume=True)
    with pytest.raises(DataError, match="too few to hold some out"):
        train_policy(walks(1, 12, seed=2), ENCODER, small, PROVENANCE, tmp_path)


@pytest.fixture(scope="module")
def untrained(config, tmp_path_factory):
    """A checkpoint of the small encoder as it is before training."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {"encoder": config.encoder, "predictor": config.predictor}
    modules = {
        "encoder": config.encoder.build(),
        "predictor": Predictor(config.predictor, config.encoder.latent_dim),
        "goal_head": GoalHead(config.encoder),
    }
    return folder, save_checkpoint(folder, modules, sizes, {})


def test_an_encoder_of_another_view_than_the_datas_is_refused(untrained):
    data = replace(PROVENANCE, data_manifest={"preprocessing_id": CLOSE_VIEW})
    with pytest.raises(TrainingError, match=r"takes views .front-.*the data hold .close-"):
        data.require_view_of(untrained[1])
    PROVENANCE.require_view_of(untrained[1])


def test_latents_are_encoded_once_and_never_mixed_with_others(untrained, tmp_path):
    encoder = ImageEncoder(untrained[1])
    arrays = disc_arrays(4, 3, seed=0)
    shards = [{name: values[i : i + 2] for name, values in arrays.items()} for i in (0, 2)]
    fresh = cached_latents(shards, "data", encoder, tmp_path)
    assert fresh.latents.shape == (4, 4, 32) and fresh.actions.shape == (4, 3, 4)
    np.testing.assert_allclose(fresh.latents[2, 1], encoder.encode(arrays["images"][2, 1]), atol=1e-5)
    cached = cached_latents([], "data", encoder, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(vars(fresh).values(), vars(cached).values(), strict=True))
    with pytest.raises(DataError, match=f"{CACHE_FILE} is of other data or another encoder"):
        cached_latents(shards, "others", encoder, tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.update(gaol_steps=3), "unknown keys gaol_steps"),
        (lambda d: d.pop("goal_steps"), "lacks goal_steps"),
        (lambda d: d.update(goal_steps=0), "every number of steps has to be > 0"),
        (lambda d: d.update(held_out_fraction=1.0), "held_out_fraction has to be between 0 and 1"),
        (lambda d: d["network"].update(width=0), "network.width and network.blocks"),
        (lambda d: d["optimiser"].update(warmup_steps=99999), "warmup_steps has to be less"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(tmp_path, change, sentence):
    data = yaml.safe_load(DEFAULT_POLICY_CONFIG.read_text())
    change(data)
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(StrictError, match=sentence):
        load_policy_config(path)


def test_the_verb_makes_a_policy_of_collected_episodes(small, untrained, tmp_path, capsys):
    data, out, path = tmp_path / "data", tmp_path / "out", tmp_path / "small.yaml"
    data.mkdir()
    arrays = disc_arrays(6, 6, seed=0)
    write_shard(data, 0, [{name: values[i] for name, values in arrays.items()} for i in range(6)])
    write_manifest(data, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(data)})
    values = small.as_dict()
    values["optimiser"].update(steps=6, warmup_steps=1)
    path.write_text(yaml.safe_dump(values))
    command = ["train-policy", "--data", str(data), "--checkpoint", str(untrained[0]), "--config", str(path), "--out"]
    assert main([*command, str(out)]) == 0
    assert isinstance(load_policy(out, untrained[1].sha256).network, PolicyNetwork)
    assert {entry.name for entry in out.iterdir()} == {
        "model.safetensors", "checkpoint.yaml", "log.jsonl", "training_state.safetensors", CACHE_FILE,
    }  # fmt: skip
    assert main([*command, str(untrained[0])]) == 2, "the encoder's own folder"
    assert "already holds a checkpoint" in capsys.readouterr().err


def test_a_wrong_call_says_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train-policy", "--data", "nowhere", "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: nowhere is no data set") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
