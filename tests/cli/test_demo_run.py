"""`ami demo` as a user runs it: the whole graph, its end by Ctrl-C, the death of a node, and bad input."""

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
from ami_robot.perception.checkpoint import TENSOR_FILE, load_checkpoint
from ami_sim.demo.record import EpisodeRecord
from tests.untrained import untrained_checkpoint

DEMO = [sys.executable, "-m", "ami_robot.cli.main", "demo"]
POSES = ["--planner", "analytic"]
START_S = 90.0  # a loaded machine; idle it is 2 s


@pytest.fixture
def start(tmp_path):
    """Start a demo; whatever is left of it at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}

    def _start(*words: str) -> subprocess.Popen[str]:
        with (tmp_path / "output").open("w") as output:
            started.append(
                subprocess.Popen(
                    [*DEMO, *words, "--out", str(tmp_path / "runs")],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    text=True,
                    start_new_session=True,
                )
            )
        return started[0]

    yield _start
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def wait_until_moving(process: subprocess.Popen[str], runs: Path) -> list[psutil.Process]:
    """The launcher and node processes, once the first goal is being pursued."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None
        logs = list(runs.glob("*/nodes.log"))
        if logs and "active: " in logs[0].read_text():
            time.sleep(1.0)
            return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.1)
    raise AssertionError("the graph did not come up")


def assert_nothing_half_written(runs: Path) -> None:
    assert not (runs / "latest").exists()
    written = {path.name for path in runs.glob("*/*")}
    assert "nodes.log" in written
    assert not {name for name in written if name.startswith("report.") or "mp4" in name}


@pytest.mark.graph
def test_two_goal_pictures_pass_through_seven_processes_and_leave_a_whole_report(start, tmp_path):
    checkpoint = untrained_checkpoint(tmp_path / "checkpoint")
    process = start("--episodes", "2", "--seed", "7", "--checkpoint", str(checkpoint))
    assert process.wait(240) == 0, (tmp_path / "output").read_text()
    latest = tmp_path / "runs" / "latest"
    report = json.loads((latest / "report.json").read_text())
    assert [episode["seed"] for episode in report["episodes"]] == [7, 8]
    assert all(episode["steps"] >= 30 for episode in report["episodes"])
    assert report["controls"].keys() == {"hold", "random", "analytic_ik", "decoded_goal_ik"}
    assert report["controls"]["hold"] == 0.0
    assert report["guardrail"]["violations"] == 0
    nodes = {node["name"] for node in report["nodes"]}
    assert nodes == {"arm", "camera", "encoder", "world_model", "planner", "guardrail", "lifecycle_manager"}
    assert len({node["pid"] for node in report["nodes"]}) == 7
    assert report["checkpoint_sha256"] == load_checkpoint(checkpoint).sha256
    assert {"report.html", "demo.mp4", "nodes.log", "scene0007.npz"} <= {path.name for path in latest.iterdir()}
    assert "decoded_goal_ik" in (tmp_path / "output").read_text()


@pytest.mark.graph
@pytest.mark.slow
def test_a_goal_position_is_reached_without_a_model(start, tmp_path):
    process = start("--episodes", "1", "--no-video", *POSES)
    assert process.wait(120) == 0, (tmp_path / "output").read_text()
    report = json.loads((tmp_path / "runs" / "latest" / "report.json").read_text())
    assert report["success_rate"] == 1.0
    assert report["guardrail"]["violations"] == 0
    assert report["guardrail"]["checked_commands"] >= 30
    loop = report["guardrail"]
    assert loop["cycles"] >= 400  # of 8 s, on a machine that may lose half of the joint states
    assert 0 <= loop["late"] <= loop["cycles"]
    assert 0.0 < loop["cpu_ms_p50"] <= loop["cpu_ms_p99"] <= loop["worst_ms"]
    assert {node["name"] for node in report["nodes"]} == {"arm", "guardrail", "planner", "lifecycle_manager"}
    assert report["checkpoint_sha256"] == ""
    assert main(["verify-run", str(tmp_path / "runs" / "latest")]) == 0


@pytest.mark.graph
def test_blocks_are_lifted_to_where_pictures_show_them_and_the_report_is_about_blocks(start, tmp_path):
    process = start("pick_lift", "--episodes", "2", "--no-video")
    assert process.wait(240) == 0, (tmp_path / "output").read_text()
    latest = tmp_path / "runs" / "latest"
    report = json.loads((latest / "report.json").read_text())
    assert report["task"] == "pick lift what a picture shows"
    assert report["success_rate"] >= 0.5
    assert report["guardrail"]["violations"] == 0
    assert report["controls"] == {"hold": 0.0, "random": 0.0, "expert": 1.0}
    assert "the block stays within 4 cm of it throughout the last 1 s of 10 s" in (latest / "report.html").read_text()
    record = EpisodeRecord.load(latest / "scene0000.npz")
    assert (record.task, record.length_s, record.tolerance_m) == ("pick_lift", 10.0, 0.04)
    assert record.block_positions[-1, 0, 2] > record.block_positions[0, 0, 2] + 0.05
    assert np.isfinite(record.tool_paths[5:15]).all() and record.tool_paths.shape[1] == 36
    assert main(["verify-run", str(latest)]) == 0


def test_a_planner_that_moves_the_tool_alone_is_asked_for_no_block(tmp_path, capsys):
    assert main(["demo", "push", "--planner", "analytic", "--out", str(tmp_path / "runs")]) == 2
    assert "--planner analytic moves the tool alone, and push takes a block" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.graph
def test_an_arm_that_fell_silent_is_stopped_and_armed_again_and_the_run_says_so(start, tmp_path):
    process = start("--episodes", "1", "--no-video", *POSES)
    children = wait_until_moving(process, tmp_path / "runs")
    arm = next(child for child in children if "__node:=arm" in child.cmdline())
    arm.suspend()
    time.sleep(0.3)
    arm.resume()
    assert process.wait(120) == 0
    report = json.loads((tmp_path / "runs" / "latest" / "report.json").read_text())
    assert report["episodes"][0]["stops"] >= 1
    assert report["success_rate"] == 1.0
    assert report["guardrail"]["violations"] == 0
    assert "the last: No joint states came for 0." in (tmp_path / "output").read_text()
    assert main(["verify-run", str(tmp_path / "runs" / "latest")]) == 0


@pytest.mark.graph
def test_ctrl_c_ends_everything_cleanly(start, tmp_path):
    process = start(*POSES)
    children = wait_until_moving(process, tmp_path / "runs")
    assert len(children) >= 5  # the launcher and four nodes
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    lines = (tmp_path / "output").read_text().splitlines()
    assert lines[-1].endswith("ami: interrupted")
    assert "Traceback" not in "".join(lines)
    assert_nothing_half_written(tmp_path / "runs")


@pytest.mark.graph
@pytest.mark.slow
def test_the_death_of_a_node_is_named(start, tmp_path):
    process = start(*POSES)
    children = wait_until_moving(process, tmp_path / "runs")
    planner = next(child for child in children if "__node:=planner" in child.cmdline())
    planner.kill()
    assert process.wait(20) == 1
    assert "ami: error: node planner ended with signal SIGKILL" in (tmp_path / "output").read_text()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert_nothing_half_written(tmp_path / "runs")


def failure(capsys, *words: str) -> str:
    assert main(["demo", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ")
    assert error.count("\n") == 1
    return error


def test_an_altered_checkpoint_is_refused_before_anything_starts(tmp_path, capsys):
    folder = untrained_checkpoint(tmp_path / "checkpoint")
    content = bytearray((folder / TENSOR_FILE).read_bytes())
    content[-1] ^= 1
    (folder / TENSOR_FILE).write_bytes(content)
    assert "altered" in failure(capsys, "--checkpoint", str(folder), "--out", str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_missing_checkpoint_is_refused(tmp_path, capsys):
    error = failure(capsys, "--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "runs"))
    assert "make checkpoint" in error
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert "file" in failure(capsys, *POSES, "--out", str(tmp_path / "file" / "runs"))


def test_an_unknown_key_in_the_task_file_is_refused(tmp_path, capsys):
    task = tmp_path / "task.yaml"
    task.write_text("planner: straight_line\nstraight_line: {horizon: 6, gain: 0.5, max_step_m: 0.04, speed: 9}\n")
    error = failure(capsys, "--config", str(task), "--out", str(tmp_path / "runs"))
    assert "unknown keys speed" in error
    assert not (tmp_path / "runs").exists()


def test_a_missing_task_file_is_refused(tmp_path, capsys):
    assert "none.yaml" in failure(capsys, "--config", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "runs"))
