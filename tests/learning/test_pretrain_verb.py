import pytest
import yaml
from disc_world import disc_arrays

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.learning.pretraining_config import load_pretraining_config


@pytest.fixture
def data(tmp_path):
    """A collection of frames alone: nobody knows what was done between them."""
    folder = tmp_path / "data"
    folder.mkdir()
    images = disc_arrays(6, 6, seed=0)["images"]
    write_shard(folder, 0, [{"images": episode} for episode in images])
    write_manifest(folder, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(folder)})
    return folder


def small(tmp_path, **changes):
    values = load_pretraining_config().as_dict()
    values["encoder"].update(channels=[8, 8, 16, 24], hidden=16, latent_dim=12)
    values["optimiser"].update(steps=4, warmup_steps=1, batch_sequences=4)
    values.update(changes)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_collected_frames_become_an_encoder(tmp_path, data, capsys):
    out = tmp_path / "out"
    assert main(["pretrain", "--data", str(data), "--config", small(tmp_path), "--out", str(out)]) == 0
    made = {entry.name for entry in out.iterdir()}
    assert made == {"model.safetensors", "checkpoint.yaml", "log.jsonl", "training_state.safetensors"}
    assert f"ami train --init {out}" in capsys.readouterr().out


def test_a_collapse_ends_in_a_sentence_and_leaves_no_encoder(tmp_path, data, capsys):
    config, out = small(tmp_path, effective_rank_min=1000.0), tmp_path / "out"
    assert main(["pretrain", "--data", str(data), "--config", config, "--out", str(out)]) == 2
    assert "the representation has collapsed" in capsys.readouterr().err.splitlines()[-1]
    assert not (out / "checkpoint.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pretrain", "--data", "nowhere", "--out", "out"], "nowhere is no data set"),
        (["pretrain", "--data", "nowhere", "--out", "out", "--config", "none.yaml"], "cannot read none.yaml"),
        (["backbone", "--folder", "none", "--data", "nowhere", "--out", "out"], "nowhere is no data set"),
        (["backbone", "--folder", "none", "--data", "nowhere", "--out", "out", "--config", "no.yaml"], "cannot read"),
    ],
)
def test_a_wrong_call_says_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ") and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
