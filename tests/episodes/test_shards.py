import numpy as np
import pytest

from ami_robot.episodes.shards import (
    EpisodesError,
    EpisodeSet,
    content_sha256,
    read_shard,
    shard_path,
    write_manifest,
    write_shard,
)


def episode(value: int) -> dict[str, np.ndarray]:
    return {"images": np.full((3, 4, 4, 3), value, np.uint8), "actions": np.full((2, 4), value / 10, np.float32)}


def finished(folder, episodes_per_shard=2, episodes=5):
    shards = -(-episodes // episodes_per_shard)
    for shard in range(shards):
        numbers = range(shard * episodes_per_shard, min((shard + 1) * episodes_per_shard, episodes))
        write_shard(folder, shard, [episode(number) for number in numbers])
    write_manifest(folder, {"shards": shards, "content_sha256": content_sha256(folder)})
    return folder


def test_episodes_come_back_in_order_and_unchanged(tmp_path):
    data = EpisodeSet.open(finished(tmp_path)).load()
    assert data["images"].shape == (5, 3, 4, 4, 3)
    assert data["images"].dtype == np.uint8
    assert data["images"][:, 0, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(data["actions"][3], episode(3)["actions"])


def test_content_hash_names_the_data_not_the_files_dates(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        finished(tmp_path / name)
    assert content_sha256(tmp_path / "a") == content_sha256(tmp_path / "b")
    write_shard(tmp_path / "c", 2, [episode(5)])
    assert content_sha256(tmp_path / "a") != content_sha256(tmp_path / "c")


def test_an_unfinished_set_is_refused(tmp_path):
    write_shard(tmp_path, 0, [episode(0)])
    write_manifest(tmp_path, {"shards": 1})
    with pytest.raises(EpisodesError, match="unfinished"):
        EpisodeSet.open(tmp_path)


def test_a_missing_shard_is_noticed_when_opening(tmp_path):
    shard_path(finished(tmp_path), 1).unlink()
    with pytest.raises(EpisodesError, match="has 2 shards, its manifest says 3"):
        EpisodeSet.open(tmp_path)


def test_a_folder_without_manifest_is_no_data_set(tmp_path):
    with pytest.raises(EpisodesError, match="is no data set"):
        EpisodeSet.open(tmp_path)


def test_a_truncated_shard_is_refused_by_name(tmp_path):
    path = write_shard(tmp_path, 0, [episode(0)])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EpisodesError, match="shard_00000"):
        read_shard(path)


def test_episodes_of_different_lengths_leave_no_file_behind(tmp_path):
    short = {name: values[:1] for name, values in episode(1).items()}
    with pytest.raises(EpisodesError, match="differ"):
        write_shard(tmp_path, 0, [episode(0), short])
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_no_file_behind(tmp_path):
    with pytest.raises(ValueError, match="pickle"):
        write_shard(tmp_path, 0, [{"images": np.array([object()])}])
    assert not list(tmp_path.iterdir())
