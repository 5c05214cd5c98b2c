"""``python -m ami_embedded.run MODULE[:FUNCTION] [node arguments] --ros-args ...``: a node without ROS 2.

Lends the node our rclpy and message packages (see finder.py; with a real rclpy it lends nothing), then calls its
``main``.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from ami_embedded import finder

LAUNCHER_PID = "AMI_LAUNCHER_PID"
"""Environment variable by which the launcher tells a node whose end is its own."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


INTERRUPTED = 130
"""Exit code of a node whose main let a KeyboardInterrupt through (shells' code for SIGINT)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a node's main; its exit code, 2 and one sentence when there is no such node, 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m ami_embedded.run", description="Run a node, with or without ROS 2 on this machine."
    )
    parser.add_argument("--threads", type=int, help="threads for numeric libraries (default: their own)")
    parser.add_argument("target", metavar="MODULE[:FUNCTION]")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of the node")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(options.threads)))  # read when numpy and torch load
    _end_with_launcher()
    finder.install()
    module_name, _, function_name = options.target.partition(":")
    sys.argv = [module_name, *options.rest]
    try:
        return _run(module_name, function_name or "main")
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(module_name: str, function_name: str) -> int:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the node's own import is broken: its traceback says where
        return _refuse(f"there is no Python module '{module_name}'")
    node_main = getattr(module, function_name, None)
    if not callable(node_main):
        return _refuse(f"module '{module_name}' has no function '{function_name}'")
    result = node_main()
    return result if isinstance(result, int) else 0


def _refuse(sentence: str) -> int:
    print(f"run: error: {sentence}", file=sys.stderr)
    return 2


def _end_with_launcher() -> None:
    """Get SIGINT when the launcher dies without having ended its nodes (Linux; elsewhere they go on)."""
    launcher = os.environ.pop(LAUNCHER_PID, None)
    if launcher is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != int(launcher):  # it was gone before the line above
        sys.exit("run: error: the launcher has gone")


if __name__ == "__main__":
    sys.exit(main())
