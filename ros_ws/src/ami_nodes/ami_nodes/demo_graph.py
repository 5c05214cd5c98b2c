"""The node processes of the demonstration: started by a launch file, watched, and ended with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

LAUNCH_PACKAGE, LAUNCH_FILE = "ami_bringup", "demo.launch.xml"
STOP_S = 8.0
ENDED = re.compile(
    r"\[(?P<name>[\w-]+)\] (?:ended with (?P<reason>.*)|could not be started: (?P<cause>.*))"  # our launcher
    r"|\[(?P<ros_name>[\w-]+?)(?:-\d+)?\]: (?P<ros_reason>process has died.*)"  # ros2 launch
)
NODE_NAME = re.compile(r"__node:=(\w+)")


class GraphError(RuntimeError):
    """A node that died or never came up: its name and the reason."""

    exit_status = 1


class Graph:
    """The launched processes. Use as a context; `check` raises GraphError as soon as one of them has died."""

    def __init__(
        self,
        launcher: Sequence[str],
        arguments: Mapping[str, str],
        log: Path,
        launch_file: Sequence[str] = (LAUNCH_PACKAGE, LAUNCH_FILE),
    ) -> None:
        """launcher is the command that reads launch files; everything that the nodes say goes to the file `log`.

        launch_file is a package and a file of it, or a path alone.
        """
        self._command = [
            *launcher,
            *launch_file,
            *(f"{name}:={value}" for name, value in arguments.items()),
        ]
        self._log = log
        self._launcher: subprocess.Popen[bytes] | None = None
        self._broken = False

    def __enter__(self) -> Graph:
        with self._log.open("wb") as log:
            self._unread = self._log.open(errors="replace")
            self._launcher = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours: the arm is brought to rest before the nodes end
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unread.close()
        launcher = self._launcher
        if launcher is None or launcher.poll() is not None:
            return
        launcher.send_signal(signal.SIGINT)
        try:
            launcher.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()

    @property
    def exit_status(self) -> int | None:
        """The launch's, once it has ended."""
        return None if self._launcher is None else self._launcher.poll()

    def check(self) -> None:
        """Raise GraphError with the name of the node that has died and its reason, before the launch itself ends."""
        if self._launcher is not None and not self._broken:
            self._broken = self._launcher.poll() is not None or ENDED.search(self._unread.read()) is not None
        if self._broken:
            raise GraphError(self._epitaph())

    def nodes(self) -> list[dict[str, Any]]:
        """Name and process id of each node process, as the operating system lists them."""
        assert self._launcher is not None
        found = []
        for child in psutil.Process(self._launcher.pid).children(recursive=True):
            try:
                name = NODE_NAME.search(" ".join(child.cmdline()))
            except psutil.NoSuchProcess:
                continue
            if name:
                found.append({"name": name.group(1), "pid": child.pid})
        return sorted(found, key=lambda node: str(node["name"]))

    def _epitaph(self) -> str:
        """Who ended first, and why, from what the launcher said."""
        text = self._log.read_text(errors="replace")
        if found := ENDED.search(text):
            words = found.groupdict()
            name = words["name"] or words["ros_name"]
            reason = words["reason"] or words["cause"] or words["ros_reason"]
            return f"node {name} ended with {reason} (log: {self._log})"
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
        return f"the launch ended: {last} (log: {self._log})"
