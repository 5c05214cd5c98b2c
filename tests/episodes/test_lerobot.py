"""What `ami export` writes, read back as others read it: parquet by pandas' rules, films by their time stamps."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

from ami_robot.cli.main import main
from ami_robot.episodes import lerobot
from ami_robot.episodes.export import FPS, export_lerobot
from ami_robot.episodes.lerobot import LeRobotError
from ami_robot.episodes.shards import EpisodeSet, content_sha256, write_manifest, write_shard
from ami_robot.perception.view import CLOSE_VIEW

STEPS, EPISODES, PER_SHARD = 6, 5, 2
BEHAVIOURS = ["push_about", "fumble"]
CAMERA = "observation.images.close"
JOINTS = tuple(f"joint{number}" for number in range(7))

pq = pytest.importorskip("pyarrow.parquet")


def episode(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    shade = 20 * number + 10 * np.arange(STEPS + 1)
    return {
        "images": np.broadcast_to(shade[:, None, None, None], (STEPS + 1, 64, 64, 3)).astype(np.uint8),
        "proprio": rng.normal(size=(STEPS + 1, 10)).astype(np.float32),
        "actions": rng.normal(size=(STEPS, 4)).astype(np.float32),
        "joint_positions": rng.normal(size=(STEPS + 1, 7)).astype(np.float32),
        "blocks": rng.normal(size=(STEPS + 1, 1, 3)).astype(np.float32),
        "block_orientations": rng.normal(size=(STEPS + 1, 1, 4)).astype(np.float32),
        "touching": rng.random(STEPS + 1) < 0.5,
        "behaviour": np.array(number % 2),
        "seed": np.array(1_000_000 + number),
        "randomised": np.array(number == 3),
    }


def data_set(folder, **manifest) -> EpisodeSet:
    folder.mkdir()
    shards = -(-EPISODES // PER_SHARD)
    for shard in range(shards):
        numbers = range(shard * PER_SHARD, min((shard + 1) * PER_SHARD, EPISODES))
        write_shard(folder, shard, [episode(number) for number in numbers])
    usual = {"shards": shards, "content_sha256": content_sha256(folder), "recipe": {"episodes": EPISODES}}
    write_manifest(folder, usual | {"behaviours": BEHAVIOURS, "preprocessing_id": CLOSE_VIEW} | manifest)
    return EpisodeSet.open(folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    heard: list[int] = []
    export_lerobot(data_set(folder / "ours"), folder / "theirs", "panda", JOINTS, heard.append)
    assert sum(heard) == EPISODES
    return folder / "theirs"


def rows(folder, kind):
    return [row for path in sorted((folder / kind).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_frame_is_an_observation_and_the_action_that_follows_it(exported):
    frames = rows(exported, "data")
    assert len(frames) == EPISODES * STEPS
    for index, frame in enumerate(frames):
        number, step = divmod(index, STEPS)
        ours = episode(number)
        assert (frame["index"], frame["episode_index"], frame["frame_index"]) == (index, number, step)
        assert frame["timestamp"] == np.float32(step / FPS)
        np.testing.assert_array_equal(np.float32(frame["observation.state"]), ours["proprio"][step])
        np.testing.assert_array_equal(np.float32(frame["action"]), ours["actions"][step])
        around = [*ours["blocks"][step].ravel(), *ours["block_orientations"][step].ravel()]
        np.testing.assert_array_equal(np.float32(frame["observation.environment_state"]), np.float32(around))
        assert frame["touching"] == ours["touching"][step]


def test_a_row_group_is_an_episode(exported):
    file = pq.ParquetFile(exported / "data/chunk-000/file-000.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [STEPS] * PER_SHARD


def test_an_episode_says_where_its_frames_are(exported):
    for number, row in enumerate(rows(exported, "meta/episodes")):
        assert (row["episode_index"], row["length"], row["tasks"]) == (
            number,
            STEPS,
            [["push about", "fumble"][number % 2]],
        )
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (number * STEPS, (number + 1) * STEPS)
        assert row["data/file_index"] == row[f"videos/{CAMERA}/file_index"] == number // PER_SHARD
        assert (row["seed"], row["randomised"]) == (1_000_000 + number, number == 3)


def test_a_film_shows_each_frame_at_its_time(exported):
    for number, row in enumerate(rows(exported, "meta/episodes")):
        path = exported / f"videos/{CAMERA}/chunk-000/file-{row[f'videos/{CAMERA}/file_index']:03d}.mp4"
        with av.open(str(path)) as film:
            frames = {frame.time: frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)}
        for step in range(STEPS):
            time_s = row[f"videos/{CAMERA}/from_timestamp"] + step / FPS
            shown = min(frames, key=lambda at: abs(at - time_s))
            assert abs(shown - time_s) < 1e-4  # LeRobot's tolerance
            assert np.abs(frames[shown].astype(float) - episode(number)["images"][step]).mean() < 3.0


def test_tasks_are_found_by_their_words(exported):
    table = pq.read_table(exported / "meta/tasks.parquet")
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    assert dict(zip(table["task"].to_pylist(), table["task_index"].to_pylist(), strict=True)) == {
        "push about": 0,
        "fumble": 1,
    }
    assert [frame["task_index"] for frame in rows(exported, "data")[::STEPS]] == [0, 1, 0, 1, 0]


def test_info_and_statistics_are_of_the_whole_set(exported):
    info = json.loads((exported / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 5, EPISODES * STEPS)
    assert info["features"][CAMERA]["shape"] == [64, 64, 3]
    assert info["features"]["observation.joint_positions"]["names"] == list(JOINTS)
    stats = json.loads((exported / "meta/stats.json").read_text())
    actions = np.concatenate([episode(number)["actions"] for number in range(EPISODES)])
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(stats["action"]["q90"], np.quantile(actions, 0.9, axis=0), rtol=1e-5)
    assert np.shape(stats[CAMERA]["mean"]) == (3, 1, 1) and 0.0 < stats[CAMERA]["mean"][0][0][0] < 1.0


def test_what_is_there_is_left_alone(tmp_path):
    data = data_set(tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(LeRobotError, match="not empty"):
        export_lerobot(data, tmp_path / "theirs", "panda", JOINTS, lambda count: None)
    assert (tmp_path / "theirs" / "notes.txt").read_text() == "mine"


def test_an_export_that_breaks_off_leaves_nothing(tmp_path):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    data = data_set(tmp_path / "ours")
    with pytest.raises(KeyboardInterrupt):
        export_lerobot(data, tmp_path / "theirs", "panda", JOINTS, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_the_command_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    data_set(tmp_path / "old", behaviours=None)
    write_manifest(tmp_path / "old", {k: v for k, v in EpisodeSet.open(tmp_path / "old").manifest.items() if v})
    assert main(["export", "--data", str(tmp_path / "old"), "--out", str(tmp_path / "theirs")]) == 2
    assert "collect it again" in capsys.readouterr().err
    data_set(tmp_path / "ours")
    monkeypatch.setattr(lerobot, "pa", None)
    assert main(["export", "--data", str(tmp_path / "ours"), "--out", str(tmp_path / "theirs")]) == 2
    assert "extra `lerobot`" in capsys.readouterr().err
    assert not (tmp_path / "theirs").exists()


def test_the_command_exports(tmp_path, capsys):
    data_set(tmp_path / "ours")
    assert main(["export", "--data", str(tmp_path / "ours"), "--out", str(tmp_path / "theirs")]) == 0
    assert str(tmp_path / "theirs") in capsys.readouterr().out
    assert len(rows(tmp_path / "theirs", "data")) == EPISODES * STEPS
