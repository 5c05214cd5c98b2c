"""By how far an imagined block is to be expected off: learned from errors, beside the checkpoint, refused elsewhere."""

import numpy as np
import pytest
import torch
import yaml
from disc_world import disc_arrays

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.learning.error_predictor import learn, load_error_config
from ami_robot.learning.uncertainty import auroc
from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.types import ACTION_DIM
from ami_robot.world_model.error_predictor import FOLDER, ErrorPredictor, ErrorPredictorConfig, ImaginedBlock, features
from ami_robot.world_model.model import LatentWorldModel

CASES, FRAMES = 2000, 6


def data(folder, seed, blocks=1):
    """A data set in which the blocks move in every other episode."""
    arrays = disc_arrays(30, 12, seed)
    arrays["blocks"][::2] += np.linspace(0, 0.1, 13, dtype=np.float32)[:, None, None]
    arrays["blocks"] = np.repeat(arrays["blocks"], blocks, axis=2)
    folder.mkdir()
    write_shard(folder, 0, [{name: values[i] for name, values in arrays.items()} for i in range(30)])
    write_manifest(folder, {"recipe": {"seed": seed}, "shards": 1, "content_sha256": content_sha256(folder)})
    return folder


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    """Data, a checkpoint trained on them, other data, and the configuration of a short training of what is tested."""
    folder = tmp_path_factory.mktemp("trained")
    values = config.as_dict() | {"block_head": True}
    values["optimiser"] |= {"steps": 20, "batch_sequences": 8}
    values["head"] |= {"steps": 20}
    (folder / "model.yaml").write_text(yaml.safe_dump(values))
    command = ["train", "--data", str(data(folder / "data", 0)), "--config", str(folder / "model.yaml")]
    assert main([*command, "--out", str(folder / "run")]) == 0
    short = yaml.safe_load(load_error_config.__defaults__[0].read_text())
    short["optimiser"] |= {"steps": 20, "warmup_steps": 2, "batch_sequences": 8}
    (folder / "short.yaml").write_text(yaml.safe_dump(short))
    data(folder / "other", 1)
    return folder


def learned(folder, *more, of="other", out="out"):
    words = ["train-error-predictor", "--data", str(folder / of), "--checkpoint", str(folder / "run")]
    return main([*words, "--config", str(folder / "short.yaml"), "--out", str(folder / out), *more])


def test_what_was_gone_through_says_how_far_off_the_block_is_when_no_single_frame_does():
    generator = torch.Generator().manual_seed(0)

    def cases():
        """The block is 5 cm off after a frame with a closed gripper, else 5 mm, both in the mean."""
        proprio = torch.zeros(CASES, FRAMES, 10)
        proprio[..., 9] = 0.08 - 0.08 * (torch.rand(CASES, FRAMES, generator=generator) < 0.1)
        after = (proprio[..., 9] < 0.04).cummax(1).values
        off = torch.where(after, 0.05, 0.005) * torch.empty(CASES, FRAMES).exponential_(generator=generator)
        return features(torch.zeros(CASES, FRAMES, 3), torch.full((CASES, FRAMES), 0.01), proprio), off, after

    network = ErrorPredictor(ErrorPredictorConfig(16))
    learn(network, *cases()[:2], load_error_config())
    known, off, after = cases()
    with torch.inference_mode():
        expected = network(known)
    assert expected[after].mean().item() == pytest.approx(0.05, rel=0.1)
    assert expected[~after].mean().item() == pytest.approx(0.005, rel=0.1)
    truth = auroc(after.flatten().numpy().astype(float), (off > 0.03).flatten().numpy())
    assert auroc(expected.flatten().numpy(), (off > 0.03).flatten().numpy()) > truth - 0.02


def test_the_world_model_says_what_was_learned_beside_its_checkpoint(trained, capsys):
    alone = LatentWorldModel(load_checkpoint(trained / "run"))
    assert learned(trained, out=f"run/{FOLDER}") == 0
    record = load_checkpoint(trained / "run" / FOLDER).record
    assert record["checkpoint_sha256"] == load_checkpoint(trained / "run").sha256
    assert record["metrics"]["windows"] > 0 and f"{record['metrics']}" in capsys.readouterr().out
    checkpoint = load_checkpoint(trained / "run")
    model, start = LatentWorldModel(checkpoint), np.zeros(alone.latent_dim)
    actions = np.random.default_rng(0).uniform(-0.04, 0.04, (3, 5, ACTION_DIM))
    said, before = model.predict(start, np.zeros(10), actions), alone.predict(start, np.zeros(10), actions)
    np.testing.assert_array_equal(said.image_latents, before.image_latents)
    begin = torch.zeros(3, 1, alone.latent_dim), torch.zeros(3, 1, 10)
    way = [
        torch.cat([first, torch.from_numpy(rest)], 1)
        for first, rest in zip(begin, (said.image_latents, said.proprio), strict=True)
    ]
    np.testing.assert_allclose(said.spread, ImaginedBlock.of(checkpoint)(*way)[1][:, 1:].numpy(), rtol=1e-5)
    assert said.spread.shape == before.spread.shape == (3, 5) and abs(said.spread - before.spread).min() > 0
    description = trained / "run" / FOLDER / "checkpoint.yaml"
    description.write_text(description.read_text().replace(checkpoint.sha256, "a" * 64))
    with pytest.raises(CheckpointError, match="learned the errors of checkpoint aaaaaaaaaaaa"):
        LatentWorldModel(checkpoint)


def test_what_cannot_teach_it_is_refused_in_a_sentence_and_nothing_is_written(trained, capsys):
    data(trained / "two", 2, blocks=2)
    for of, says in (("data", "was trained on these data"), ("two", "needs episodes with one block, these have 2")):
        assert learned(trained, of=of, out="refused") == 2
        error = capsys.readouterr().err
        assert says in error and error.count("ami: error: ") == 1 and not (trained / "refused").exists()
