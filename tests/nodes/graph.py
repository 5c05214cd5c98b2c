"""Starts launches for the tests and listens to what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

DOMAIN = str(1 + os.getpid() % 100)
ENVIRONMENT = os.environ | {"ROS_DOMAIN_ID": DOMAIN, "OMP_NUM_THREADS": "1"}
END_S = 10.0
LAUNCH_FILE = Path(__file__).parents[2] / "ros_ws" / "src" / "ami_bringup" / "launch" / "demo.launch.xml"
REST_RAD_PER_S = 0.02


class Process:
    """A launch or a node; its output goes to a file."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path(tempfile.mkstemp(prefix="ami_graph_", suffix=".log")[1])
        with self.log.open("w") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *arguments], env=ENVIRONMENT, stdout=file, stderr=subprocess.STDOUT
            )

    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        return self.log.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        if self.running():
            self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(END_S)

    def node(self, name: str) -> psutil.Process:
        """The process of a node of this launch."""
        children = psutil.Process(self.popen.pid).children(recursive=True)
        return next(child for child in children if f"__node:={name}" in child.cmdline())

    def end(self) -> None:
        """By Ctrl-C if that helps: a launch that is killed cannot end its nodes."""
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(END_S)
        self.log.unlink(missing_ok=True)


@contextmanager
def launched(file: str | Path, **arguments: str) -> Iterator[Process]:
    """A launch that is gone afterwards; shows what it said when the test fails."""
    process = Process("ami_embedded.launch", str(file), *(f"{name}:={value}" for name, value in arguments.items()))
    try:
        yield process
    except BaseException:
        print(process.output())
        raise
    finally:
        process.end()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time."""
    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
