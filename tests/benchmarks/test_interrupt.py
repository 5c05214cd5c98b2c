"""Ctrl-C in the middle of a long benchmark: it ends at once, says so in one line, and goes on from there next time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ami_robot.pool import INTERRUPTED

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 3.0
WAIT_S = 240.0  # for a block of three on a busy machine
SAFETY = ("safety", "--only", "kinematic", "--kinematic", "103", "--workers", "2", "--results")
FUZZ = ("fuzz", "--inputs", "5003", "--seed", "1", "--workers", "2", "--kept")
"""Two blocks each, a big one and one of three, which is done while the big one runs."""
MUTATION = ("mutation", "--files", "ami_robot/safety/checks.py", "--out")


@contextlib.contextmanager
def running_at(command: tuple[str, ...], folder: Path, moment: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A benchmark whose progress bar says `moment`, and the file of what it says."""
    said = folder / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{command[0]}", *command[1:], str(folder / "kept")],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            give_up_s = time.monotonic() + WAIT_S
            while moment not in said.read_text():
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < give_up_s, said.read_text()
                time.sleep(0.05)
            yield process, said
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ctrl_c_at(command: tuple[str, ...], folder: Path, moment: str) -> str:
    """Press it, as a terminal does, for the whole process group, when the progress bar says `moment`; what was said."""
    with running_at(command, folder, moment) as (process, said):
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(ENDS_WITHIN_S) == 128 + signal.SIGINT
        time.sleep(0.2)
        assert left_in(process.pid) == []
        return said.read_text()


def left_in(group: int) -> list[psutil.Process]:
    """Processes that go on after their benchmark has ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def lines_of(said: str) -> list[str]:
    """Without progress bars (one that has just begun ends no line), and what PyBullet says when it is loaded."""
    lines = [line for line in re.split(r"[\r\n]+", said.replace(INTERRUPTED, f"\n{INTERRUPTED}")) if line.strip()]
    return [line for line in lines if "%|" not in line and not line.startswith("pybullet build time")]


@pytest.mark.parametrize(("command", "all_of_it"), [(SAFETY, 103), pytest.param(FUZZ, 5003, marks=pytest.mark.slow)])
def test_ctrl_c_ends_it_at_once_and_the_same_command_goes_on(tmp_path, command, all_of_it):
    said = ctrl_c_at(command, tmp_path, f"3/{all_of_it}")
    assert lines_of(said) == [INTERRUPTED]
    kept = {path: path.read_text() for path in tmp_path.rglob("*.json*")}
    assert len(kept) == 1
    said = ctrl_c_at(command, tmp_path, f"3/{all_of_it}")  # from the start: while the workers are still being loaded
    assert f" 0/{all_of_it}" not in said
    assert lines_of(said) == [INTERRUPTED]
    assert {path: path.read_text() for path in tmp_path.rglob("*.json*")} == kept


@pytest.mark.parametrize("command", [pytest.param(SAFETY, marks=pytest.mark.slow), FUZZ, MUTATION])
def test_ctrl_c_while_the_workers_are_started_is_as_clean(tmp_path, command):
    assert lines_of(ctrl_c_at(command, tmp_path, "0%")) == [INTERRUPTED]
    assert list(tmp_path.rglob("*.json*")) == []


def test_workers_do_not_outlive_a_benchmark_that_is_killed(tmp_path):
    with running_at(SAFETY, tmp_path, "3/103") as (process, _):
        assert len(left_in(process.pid)) >= 3
        process.kill()
        process.wait()
        give_up_s = time.monotonic() + ENDS_WITHIN_S
        while left := left_in(process.pid):
            assert time.monotonic() < give_up_s, left
            time.sleep(0.05)
