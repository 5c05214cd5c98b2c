"""`ami diagnose --oracle` as a process: whole from the command to the page, interrupted, refused in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ami_robot.cli.main import main
from ami_robot.configurator.configurator import ANALYTIC
from tests.untrained import untrained_agent

WAIT_S = 240.0


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return untrained_agent(tmp_path_factory.mktemp("models"))


def words(models, out, *more):
    agent = ("--task", str(models / "short.yaml"), "--checkpoint", str(models / "checkpoint"))
    return ["diagnose", "--oracle", "reach", *agent, "--workers", "1", "--out", str(out), *more]


def test_figures_and_page_say_what_the_model_and_what_the_search_loses(untrained, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(words(untrained, out, "--episodes", "2", "--seed", "3")) == 0
    oracle = json.loads((out / "diagnostics.json").read_text())["oracle"]
    assert (oracle["suite"], oracle["seeds"], oracle["left_out"]) == ("reach", [3, 4], [])
    assert (oracle["horizon"], oracle["candidates"], oracle["iterations"]) == (6, 16, 1)
    for episode in oracle["episodes"]:
        costs, imagined = episode["costs"], episode["imagined_cost"]
        assert imagined["oracle"] == costs["oracle"]  # what it says is what comes
        assert abs(imagined["model"] - costs["model"]) > 0.01  # of a model that has learned nothing
        assert episode["errors_m"]["expert"] < 0.01 < episode["start_error_m"]
    assert oracle["regret"]["mean"] > 0
    assert (
        oracle["command"].startswith("ami diagnose --oracle reach --task ") and len(oracle["checkpoint_sha256"]) == 64
    )
    page = (out / "DIAGNOSTICS.md").read_text()
    assert page in capsys.readouterr().out
    assert page.startswith("# Diagnostics of a checkpoint\n\n## Planner against oracle dynamics\n\nreach, seeds 3 to 4")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--oracle", "juggle"], "there is no suite 'juggle'"),
        (["--seed", "999999"], "are not held out"),
        (["--task", str(ANALYTIC)], "takes the planner icem or mppi"),
        (["--task", "reach"], "its model_error is that of checkpoint a2a9dcbfba28"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line_before_anything_is_written(
    more, says, untrained, tmp_path, capsys
):
    assert main(words(untrained, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ") and error.count("\n") == 1 and says in error
    assert not (tmp_path / "out").exists()


def test_without_data_and_oracle_there_is_nothing_to_measure_on(tmp_path, capsys):
    assert main(["diagnose", "--out", str(tmp_path / "out")]) == 2
    assert "give --data DIR, --oracle SUITE or both" in capsys.readouterr().err


def test_ctrl_c_in_a_search_leaves_no_process_and_no_file(untrained, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "ami_robot.cli.main", *words(untrained, tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    me, give_up_s, began = psutil.Process(process.pid), time.monotonic() + WAIT_S, []
    while not began:  # a worker that searches has the simulation of a sequence as a child
        assert process.poll() is None and time.monotonic() < give_up_s
        began = [child for worker in me.children() for child in worker.children()]
        time.sleep(0.02)
    workers = me.children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == [] and process.returncode == 130
    assert "Traceback" not in said and said.splitlines()[-1] == "ami: interrupted"
    assert not (tmp_path / "out").exists()
