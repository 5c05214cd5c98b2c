import pytest
import yaml
from disc_world import disc_arrays

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.perception.checkpoint import read_description


@pytest.fixture
def arguments(tmp_path, config):
    """A short training's."""
    data = tmp_path / "data"
    data.mkdir()
    arrays = disc_arrays(6, 6, seed=0)
    write_shard(data, 0, [{name: values[i] for name, values in arrays.items()} for i in range(6)])
    write_manifest(data, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(data)})
    values = config.as_dict()
    values["optimiser"].update(steps=6, warmup_steps=1, batch_sequences=4)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return ["train", "--data", str(data), "--config", str(path), "--out", str(tmp_path / "out")]


def test_collected_episodes_become_a_checkpoint(tmp_path, arguments):
    assert main(arguments) == 0
    made = {entry.name for entry in (tmp_path / "out").iterdir()}
    assert made == {"model.safetensors", "checkpoint.yaml", "MODEL_CARD.md", "log.jsonl", "training_state.safetensors"}


def test_another_seed_is_trained_with_and_recorded(tmp_path, arguments):
    assert main([*arguments, "--seed", "7"]) == 0
    assert read_description(tmp_path / "out")["record"]["training"]["seed"] == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere", "--out", "out"], "nowhere is no data set"),
        (["--data", "nowhere", "--out", "out", "--config", "none.yaml"], "cannot read none.yaml"),
    ],
)
def test_a_wrong_call_says_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ") and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
