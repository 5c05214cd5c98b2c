"""For tests between processes: starts a subject under ``ami_embedded.run`` in a namespace of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.domains import EMBEDDED

os.environ["ROS_DOMAIN_ID"] = EMBEDDED
SUBJECTS = Path(__file__).parent / "subjects"
_numbers = count()


def importing_from(folder: Path) -> dict[str, str]:
    """The environment, with a folder before what it imports from now: a sourced ROS 2 is found by PYTHONPATH."""
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))}


def unique_namespace() -> str:
    """A namespace that no other test run on this machine uses."""
    return f"/test_{os.getpid()}_{next(_numbers)}"


@contextmanager
def subject(module: str, namespace: str, **parameters: object) -> Iterator[subprocess.Popen[str]]:
    """Run a subject until the end of the block; it has said that it is ready."""
    command = [sys.executable, "-m", "ami_embedded.run", module, "--ros-args", "-r", f"__ns:={namespace}"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    process = subprocess.Popen(
        command, env=importing_from(SUBJECTS), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        read_until(process, "ready")
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """The lines that a process writes, up to one that ends with ``last``."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].endswith(last):
        line = process.stdout.readline()
        assert line, f"ended without '{last}': {lines}"
        lines.append(line.rstrip("\n"))
    return lines
