"""`ami eval` as a process: whole from the command to the page, killed and gone on with, refused in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from ami_robot.cli.main import main
from ami_robot.configurator.configurator import ANALYTIC, REACH
from ami_robot.perception.camera import CLOSE_CAMERA, load_camera
from ami_robot.perception.checkpoint import read_description, write_description
from ami_robot.perception.view import CLOSE_VIEW, TrainingView
from ami_robot.pool import INTERRUPTED
from ami_sim.evaluation.contestants import Contestants, entered
from ami_sim.evaluation.suites import parse_suite
from ami_sim.world import World
from tests.untrained import untrained_agent, untrained_checkpoint

EPISODES, WAIT_S = 2, 240.0
PUSH = REACH.with_name("push.yaml")
ROWS = ("short", "analytic", "hold", "expert")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A checkpoint that has learned nothing, and a task that searches with it for a moment."""
    return untrained_agent(tmp_path_factory.mktemp("models"))


def words(models: Path, out: Path, *more: str) -> list[str]:
    return [
        *("eval", "reach", "--episodes", str(EPISODES), "--task", str(models / "short.yaml"), str(ANALYTIC)),
        *("--checkpoint", str(models / "checkpoint"), "--controls", "hold", "expert", "--films", "1"),
        *("--out", str(out), *more),
    ]


def started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ami_robot.cli.main", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines(out: Path) -> list[str]:
    path = out / "episodes.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def stopped_after(command: list[str], out: Path, episodes: int, number: signal.Signals) -> subprocess.Popen[str]:
    """The evaluation, ended by a signal when it has kept so many episodes."""
    process, give_up_s = started(command), time.monotonic() + WAIT_S
    while len(lines(out)) < episodes:
        assert process.poll() is None and time.monotonic() < give_up_s, process.communicate()
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    process.wait(30)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    return process


@pytest.fixture(scope="module")
def evaluated(untrained, tmp_path_factory):
    """A folder in which an evaluation was killed, and the same command ended; and what was kept when it was killed."""
    out = tmp_path_factory.mktemp("evaluation") / "out"
    assert stopped_after(words(untrained, out), out, 1, signal.SIGKILL).returncode == -signal.SIGKILL
    kept = lines(out)
    assert 0 < len(kept) < EPISODES * len(ROWS)
    process = started(words(untrained, out, "--workers", "1"))
    said, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    return out, kept, said


def test_after_a_kill_the_same_command_goes_on_and_plays_no_episode_twice(evaluated):
    out, kept, _ = evaluated
    assert lines(out)[: len(kept)] == kept
    played = [json.loads(line) for line in lines(out)]
    assert sorted((e["row"], e["seed"]) for e in played) == sorted(
        (row, seed) for row in ROWS for seed in range(EPISODES)
    )


def test_the_results_say_who_did_how_well_and_how_they_came_about(evaluated):
    out, _, said = evaluated
    results = json.loads((out / "results.json").read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert tuple(rows) == ROWS and {row["suite"] for row in rows.values()} == {"reach"}
    assert rows["expert"]["successes"] == 2 and rows["hold"]["successes"] == rows["short"]["successes"] == 0
    assert rows["expert"]["interval_95"] == pytest.approx([0.3424, 1.0], abs=1e-4)
    assert rows["short"]["plan_ms"]["p95"] >= rows["short"]["plan_ms"]["p50"] > 0 and rows["hold"]["plan_ms"] is None
    assert rows["analytic"]["plan_ms"] is None and rows["short"]["unsearched_ms"] is None
    for episode in map(json.loads, lines(out)):
        calls = {"short": "search_ms", "analytic": "unsearched_ms"}.get(episode["row"])
        if calls:  # one step late: nothing is asked before the second of 40 steps
            assert len(episode[calls]) + sum(episode["planner_refusals"].values()) == 39
    assert [(pair["first"], pair["second"]) for pair in results["pairs"]] == [("short", "analytic")]
    assert results["command"].startswith("ami eval reach --episodes 2 --seed 0 --task ")
    assert len(results["checkpoint_sha256"]) == 64 and results["seeds"] == {"reach": [0, 1]}
    for name in ROWS:
        assert f"| reach | {name} | " in said
    assert "exact McNemar p = " in said


def test_the_page_names_every_row_and_seed_and_shows_the_first_failure_of_each_agent(evaluated):
    out, _, _ = evaluated
    page = (out / "report.html").read_text()
    for name in ROWS:
        assert f"<td>{name}</td>" in page and f">{name}: cm from the goal<" in page
    assert page.count("<title>seed 0: ") == page.count("<title>seed 1: ") == len(ROWS)
    failed = {episode["row"] for episode in map(json.loads, lines(out)) if not episode["success"]}
    assert page.count("<video ") == len(failed - {"hold"}) > 0
    assert 'src="http' not in page and "src='http" not in page


def one_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ") and error.count("\n") == 1
    return error


def test_another_command_in_that_folder_is_refused(evaluated, untrained, capsys):
    out, _, _ = evaluated
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(words(untrained, out, "--seed", "5")) == 2
    assert "holds another evaluation (seeds: " in one_line(capsys)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["juggle"], "there is no suite 'juggle'"),
        (["push:fog"], "there is no shift 'fog'"),
        (["reach", "--seed", "999999"], "are not held out"),
        (["push", "pick_lift"], "several agents ship (push, carry), and each row plays all of them"),
        (["push", "--task", "push", "OTHERS"], "the tasks name several checkpoints (elsewhere, manipulation)"),
        (["reach", "--controls", "luck"], "there is no control 'luck'"),
        (["reach", "--controls", "--task"], "there is nobody to evaluate"),
        (["reach", "--task", "reach", str(REACH)], "two rows would be called 'reach'"),
        (["reach", "--task", "nowhere.yaml"], "nowhere.yaml"),
        (["reach", "--checkpoint", "UNTRAINED"], "its model_error is that of checkpoint a2a9dcbfba28"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line_before_anything_is_written(
    command, says, untrained, tmp_path, capsys
):
    others = tmp_path / "others.yaml"
    others.write_text(PUSH.read_text().replace("block_head: manipulation", "block_head: elsewhere"))
    known = {"UNTRAINED": str(untrained / "checkpoint"), "OTHERS": str(others)}
    command = [known.get(word, word) for word in command]
    assert main(["eval", *command, "--out", str(tmp_path / "out")]) == 2
    assert says in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_an_agent_sees_start_and_goal_through_the_camera_that_its_encoder_was_trained_with(tmp_path, monkeypatch):
    checkpoint = untrained_checkpoint(tmp_path / "checkpoint")
    write_description(checkpoint, read_description(checkpoint) | {"preprocessing_id": CLOSE_VIEW})
    contestants, seen = Contestants(entered([], [ANALYTIC], checkpoint, full=False)), []
    encode = contestants.encoder.encode
    monkeypatch.setattr(contestants.encoder, "encode", lambda image: seen.append(image) or encode(image))
    task, camera = parse_suite("push").episode(0, contestants.camera)
    actor = contestants.actor("analytic", task, camera)
    observation, _ = contestants.env.reset(seed=0, options={"scene": task.scene, "camera": camera})
    actor(contestants.env, observation)
    contestants.env.close()
    close = load_camera(CLOSE_CAMERA)
    view, world = TrainingView(close, close), World(task.scene, close)
    start = view(world.render())
    world.close()
    np.testing.assert_array_equal(seen[0], view(task.goal_image(close)))
    np.testing.assert_array_equal(seen[1], start)


@pytest.mark.slow
def test_ctrl_c_says_in_one_line_how_to_go_on(untrained, tmp_path):
    process = stopped_after(words(untrained, tmp_path / "out"), tmp_path / "out", 1, signal.SIGINT)
    assert process.returncode == 130
    said = process.stderr.read().splitlines()
    assert [line for line in said if line and "episode" not in line and "pybullet" not in line] == [INTERRUPTED]


def test_a_suite_under_a_shift_is_held_against_the_same_task_without(tmp_path):
    suites = ["reach", "reach:colour"]
    assert main(["eval", *suites, "--episodes", "1", "--task", "--controls", "expert", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["suite"], row["of_nominal"]) for row in rows] == [("reach", None), ("reach:colour", 1.0)]
