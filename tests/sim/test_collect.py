import contextlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from ami_robot.cli.main import main
from ami_robot.episodes.shards import EpisodesError, EpisodeSet, content_sha256, read_shard, shard_path
from ami_robot.safety.spec import load_spec
from ami_robot.types import TOOL_TARGET
from ami_sim import collect as collecting
from ami_sim.collect import FIRST_SEED, Recipe, collect, collect_episode, collect_shard
from ami_sim.env import TabletopEnv

SMALL = Recipe(episodes=3, steps=4, seed=0, episodes_per_shard=2)


@pytest.fixture(scope="module")
def episodes():
    env = TabletopEnv(fast=True)
    yield [collect_episode(env, FIRST_SEED + number, 40) for number in range(12)]
    env.close()


def test_an_episode_has_its_arrays_in_shape_and_type(episodes):
    shapes = {name: (values.shape, values.dtype.name) for name, values in episodes[0].items()}
    assert shapes == {
        "images": ((41, 64, 64, 3), "uint8"),
        "proprio": ((41, 10), "float32"),
        "actions": ((40, 4), "float32"),
        "joint_positions": ((41, 7), "float32"),
        "blocks": ((41, 3, 3), "float32"),
        "behaviour": ((), "int64"),
        "seed": ((), "int64"),
    }
    assert all(np.isfinite(values).all() for values in episodes[0].values())


def test_actions_are_what_the_target_really_did(episodes):
    for episode in episodes:
        moved = np.diff(episode["proprio"][:, TOOL_TARGET], axis=0)
        np.testing.assert_allclose(episode["actions"][:, :3], moved, atol=1e-6)


def test_steps_cover_rest_to_the_longest_allowed_and_stay_within(episodes):
    lengths = np.concatenate([np.linalg.norm(episode["actions"][:, :3], axis=1) for episode in episodes])
    assert lengths.max() <= load_spec().tool_displacement.max_m_per_step + 1e-5
    shares = np.histogram(lengths, [0, 1e-3, 0.01, 0.02, 0.03, 0.041])[0] / len(lengths)
    assert (shares > 0.03).all(), shares


def test_scripted_episodes_push_blocks(episodes):
    moved = [np.linalg.norm(episode["blocks"][-1] - episode["blocks"][0], axis=1).max() > 0.005 for episode in episodes]
    assert np.mean(moved) > 0.15
    assert {int(episode["behaviour"]) for episode in episodes} == {0, 1, 2}


def test_an_episode_is_a_function_of_its_seed(episodes):
    env = TabletopEnv(fast=True)
    again = collect_episode(env, FIRST_SEED + 3, 40)
    env.close()
    for name, values in again.items():
        np.testing.assert_array_equal(values, episodes[3][name])


def test_seeds_of_evaluation_scenes_are_never_collected():
    with pytest.raises(ValueError, match="kept for tests"):
        collect_episode(TabletopEnv(), 999_999, 1)


def test_collection_continues_where_it_was_left_and_gives_the_same_data(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    heard: list[int] = []
    manifest = collect(whole, SMALL, 2, heard.append)
    assert sum(heard) == SMALL.episodes
    halves.mkdir()
    collecting._begin(halves, SMALL)
    collect_shard(halves, SMALL, 1)
    kept = shard_path(halves, 1).stat().st_mtime_ns
    assert collect(halves, SMALL, 1)["content_sha256"] == manifest["content_sha256"] == content_sha256(whole)
    assert shard_path(halves, 1).stat().st_mtime_ns == kept
    data = EpisodeSet.open(whole).load()
    assert data["images"].shape == (3, 5, 64, 64, 3)
    assert data["seed"].tolist() == [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2]


def test_a_folder_with_other_data_is_left_alone(tmp_path):
    collecting._begin(tmp_path / "set", SMALL)
    with pytest.raises(EpisodesError, match="other recipe"):
        collect(tmp_path / "set", Recipe(episodes=4, steps=4, seed=0), 1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(EpisodesError, match="not empty"):
        collect(tmp_path, SMALL, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_command_collects_and_says_what(tmp_path, capsys):
    assert main(["collect", "--out", str(tmp_path / "set"), "--episodes", "1", "--steps", "2", "--workers", "1"]) == 0
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["content_sha256"] in capsys.readouterr().out
    assert manifest["recipe"]["steps"] == 2
    assert main(["collect", "--out", str(tmp_path / "set"), "--episodes", "1", "--steps", "3"]) == 2
    assert "ami: error:" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--episodes", "0"], ["--workers", "-1"], ["--seed", "-2"], ["--steps", "many"]])
def test_an_impossible_option_is_refused(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit) as end:
        main(["collect", "--out", str(tmp_path / "set"), *wrong])
    assert end.value.code == 2
    assert "ami: error:" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


@contextlib.contextmanager
def collecting_into(folder):
    """A process that collects, when its first shard is there."""
    command = [sys.executable, "-m", "ami_robot.cli.main", "collect", "--out", str(folder)]
    process = subprocess.Popen(
        [*command, "--episodes", "2000", "--steps", "1", "--workers", "2"], stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not shard_path(folder, 0).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # workers that were left behind would hold its other end


def test_workers_do_not_outlive_a_collection_that_is_killed(tmp_path):
    with collecting_into(tmp_path / "set") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        process.kill()
        _, left = psutil.wait_procs(workers, timeout=10)
        assert left == []


def test_ctrl_c_leaves_whole_shards_and_no_half_written_file(tmp_path):
    folder = tmp_path / "set"
    with collecting_into(folder) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert b"continues the collection" in said
    files = {path.name for path in folder.iterdir()}
    assert "manifest.json" in files
    assert "content_sha256" not in json.loads((folder / "manifest.json").read_text())
    shards = files - {"manifest.json"}
    assert shards
    for name in shards:
        assert read_shard(folder / name)["seed"].shape == (10,)
