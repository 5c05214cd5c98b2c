"""Each node that a launch would start, tried out where nobody hears it: made, built, started, and never spun.

So its parameters are checked, its files loaded and its endpoints known by the code that will run, and nothing moves:
no callback is called. The nodes are tried one after the other in a process of its own, which shows what a crash was of.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions

from ami_nodes.common import AmiNode
from ami_nodes.parameters import ParameterError
from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_endpoints import Endpoint, endpoints
from ami_nodes.reference import NODES, node_class

ALONE = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF", "ROS_LOCALHOST_ONLY": "", "ROS_DOMAIN_ID": "", "CYCLONEDDS_URI": ""}
"""Environment in which no other process is heard or hears, whatever the user's own says."""

PATIENCE_S = 180.0
SEEN_S = 2.0
"""Until a node finds itself in the graph; immediately, where discovery is local."""


@dataclass(frozen=True)
class Launched:
    """One process of a launch: `module` runs with `arguments`, and this added to the environment."""

    label: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """What came of it. `settings` are empty when the node refused its parameters."""

    label: str
    node: str = ""  # fully qualified
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameter_fault: str = ""
    build_fault: str = ""
    unknown: str = ""  # why it could not be tried
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all of the node is known."""
        return not (self.parameter_fault or self.build_fault or self.unknown)


def rehearse(launched: Sequence[Launched]) -> list[Tried]:
    """Try all of them out; takes some seconds, most of them for imports."""
    tried: list[Tried] = []
    while len(tried) < len(launched):  # once, but for a node that takes the process down with it
        rest = launched[len(tried) :]
        found, ending = _rehearse_until_a_crash(rest)
        tried += found
        if len(found) < len(rest):
            tried.append(Tried(rest[len(found)].label, build_fault=ending))
    return tried


def _rehearse_until_a_crash(launched: Sequence[Launched]) -> tuple[list[Tried], str]:
    """Those that were tried, and how the process ended."""
    environment = {**os.environ, **{k: v for one in launched for k, v in one.environment.items()}, **ALONE}
    with tempfile.TemporaryDirectory(prefix="ami_preflight_") as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        request.write_text(json.dumps([[one.label, one.module, list(one.arguments)] for one in launched]))
        answer.touch()
        command = [sys.executable, "-m", "ami_embedded.run", "ami_nodes.preflight_rehearsal", str(request), str(answer)]
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S
            )
            ending = f"its process ended with code {done.returncode}: {_last_line(done.stderr)}"
        except subprocess.TimeoutExpired:
            ending = f"it was not done within {PATIENCE_S:.0f} s."
        return [_from_json(line) for line in answer.read_text().splitlines()], ending


def check_nodes(tried: Sequence[Tried]) -> str:
    """Whether every node can be configured and activated. Raises FaultError."""
    if broken := [one for one in tried if one.build_fault]:
        raise FaultError(*(f"{one.label} cannot be brought up: {one.build_fault}" for one in broken))
    if refused := [one.label for one in tried if one.parameter_fault]:
        raise Skipped(f"{', '.join(refused)} does not take its parameters.")
    if strange := [f"{one.label}: {one.unknown}" for one in tried if one.unknown]:
        raise Skipped(f"{'; '.join(strange)}.")
    return f"{len(tried)} nodes can be brought up: {', '.join(one.label for one in tried)}."


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing."


def _from_json(line: str) -> Tried:
    values = json.loads(line)
    return Tried(**{**values, "endpoints": tuple(Endpoint(**end) for end in values["endpoints"])})


def main() -> int:
    """What runs in the process of its own: a line of JSON for each node."""
    request, answer = map(Path, sys.argv[1:])
    for label, module, arguments in json.loads(request.read_text()):
        tried = _try(label, module, arguments)
        with answer.open("a") as lines:
            lines.write(f"{json.dumps(asdict(tried))}\n")
    return 0


def _try(label: str, module: str, arguments: list[str]) -> Tried:
    executable = next((name for name, where in NODES.items() if f"ami_nodes.{where.split('.')[0]}" == module), None)
    if executable is None:
        return Tried(label, unknown=f"{module} is no node of ours, so what it publishes and reads is not known")
    try:
        kind = node_class(executable)
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except (ImportError, RuntimeError, ValueError) as error:
        return Tried(label, build_fault=str(error))
    try:
        node = kind(label) if issubclass(kind, AmiNode) else kind()
    except ParameterError as error:
        return Tried(label, parameter_fault=str(error))
    else:
        return _bring_up(label, node)
    finally:
        rclpy.try_shutdown()


def _bring_up(label: str, node: Any) -> Tried:
    """As the lifecycle manager would, but for what a callback does."""
    name, settings, fault = node.get_fully_qualified_name(), vars(node.settings), ""
    with contextlib.ExitStack() as way_down:
        way_down.callback(node.destroy_node)
        if isinstance(node, AmiNode) and node.REHEARSES:
            try:
                node.build()
                way_down.callback(node.discard)
                alive = list(node.start())  # held until the end: what nobody holds is collected
                way_down.callback(alive.clear)
                way_down.callback(node.stop)
            except (OSError, ValueError, RuntimeError) as error:
                fault = str(error)
        return Tried(label, name, settings, build_fault=fault, endpoints=_own_endpoints(node, name))


def _own_endpoints(node: Any, name: str) -> tuple[Endpoint, ...]:
    give_up_s = time.monotonic() + SEEN_S
    while True:
        found = tuple(end for end in endpoints(node) if end.node == name)
        if found or time.monotonic() > give_up_s:
            return found
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
