"""How long does a graph take until it is active, and from Ctrl-C until every process has ended?

    OMP_NUM_THREADS=1 python -m benchmarks.bringup_time          a quarter of an hour; writes results/bringup_time.json
    OMP_NUM_THREADS=1 python -m benchmarks.bringup_time --starts 3 --no-write

The whole graph and the loopback without what is learned, started one after the other: every second one is interrupted
as soon as it is active, the others while the arm moves. Before a first start the kernel's page cache is emptied, which
takes root and no other process that uses this environment, and the bytecode of this checkout is removed: all that
`make` leaves is still there, the compiled loops of the guardrail among it. Active is what
the lifecycle manager says; ended is that no process of the launch is left. Exit status 1 when a bar is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from ami_robot.cli.demo import find_rclpy

RCLPY, LAUNCHER = find_rclpy()

from ami_nodes.demo_graph import Graph  # noqa: E402
from ami_nodes.graph_client import GraphClient, position_goal  # noqa: E402
from ami_robot.provenance import made_with  # noqa: E402
from benchmarks.live_cell import LAUNCH_FILE  # noqa: E402
from benchmarks.own_domain import own_domain  # noqa: E402

RESULT = Path(__file__).parent / "results" / "bringup_time.json"
CHECKOUT, PAGE_CACHE = Path(__file__).parents[1], Path("/proc/sys/vm/drop_caches")
LONGEST_S = 30.0
AWAY = np.array([0.5, 0.1, 0.2])


@dataclass(frozen=True)
class Kind:
    """A graph, how often it is started, and how long it may take to become active."""

    name: str
    file: str
    arguments: Mapping[str, str]
    starts: int
    active_s: float
    first: bool = False  # as after installing and booting


KINDS = (
    Kind("whole graph, first start", "demo.launch.xml", {"config": "reach"}, 5, 20.0, first=True),
    Kind("whole graph", "demo.launch.xml", {"config": "reach"}, 20, 8.0),
    Kind(
        "loopback without what is learned", "bringup.launch.xml",
        {"arm": "loopback", "vision": "false", "config": "analytic"}, 100, 4.0,
    ),
)  # fmt: skip
END_S = 2.0


@dataclass(frozen=True)
class Start:
    """One life of a graph; its times in s."""

    active_s: float
    end_s: float
    exit_status: int | None
    left: list[str]  # processes that outlived it


def forget_earlier_starts() -> None:
    """Empty the page cache, remove this checkout's bytecode. Raises PermissionError without root."""
    for tracked in ("ami_robot", "sim", "calibration", "ros_ws"):
        for bytecode in (CHECKOUT / tracked).rglob("*.pyc"):
            bytecode.unlink()
    os.sync()
    PAGE_CACHE.write_text("3")


def start(kind: Kind, move: bool) -> Start:
    """Start it, wait until it is active, perhaps move the arm, interrupt it. Raises GraphError when a node dies."""
    if kind.first:
        forget_earlier_starts()
    with tempfile.TemporaryDirectory(prefix="ami_bringup_") as folder:
        graph = Graph(LAUNCHER, kind.arguments, Path(folder) / "graph.log", [str(LAUNCH_FILE.with_name(kind.file))])
        began_s = time.monotonic()
        with graph:
            with GraphClient("bringup_time", LONGEST_S, graph.check) as client:
                client.wait_until_active(LONGEST_S)
                active_s = time.monotonic() - began_s
                if move:
                    client.arm(True)
                    client.start(position_goal(AWAY), LONGEST_S)
                    time.sleep(random.uniform(0.2, 1.5))
                nodes = [psutil.Process(node["pid"]) for node in graph.nodes()]
            ended_s = time.monotonic()
        end_s = time.monotonic() - ended_s
        _, left = psutil.wait_procs(nodes, timeout=0.0)
        return Start(active_s, end_s, graph.exit_status, [node.name() for node in left])


def row(kind: Kind, starts: list[Start]) -> dict[str, Any]:
    """The figures of a kind, beside its bars."""
    active_s, end_s = ([getattr(one, name) for one in starts] for name in ("active_s", "end_s"))
    in_time = sum(one.end_s <= END_S and one.exit_status == 0 and not one.left for one in starts)
    return {
        "name": kind.name,
        "starts": len(starts),
        "active_s": {"p50": round(float(np.median(active_s)), 2), "worst": round(max(active_s), 2)},
        "most_active_s": kind.active_s,
        "end_s": {"p50": round(float(np.median(end_s)), 2), "worst": round(max(end_s), 2)},
        "most_end_s": END_S,
        "ended_well_in_time": in_time,
        "kept": max(active_s) <= kind.active_s and in_time == len(starts),
        "each": [asdict(one) for one in starts],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = ["| graph | starts | active after, s: median, worst | bar | ended after, s | ended well in time | kept |"]
    lines.append("|---|---|---|---|---|---|---|")
    for one in rows:
        active, end = one["active_s"], one["end_s"]
        lines.append(
            f"| {one['name']} | {one['starts']} | {active['p50']}, {active['worst']} | {one['most_active_s']:g} | "
            f"{end['p50']}, {end['worst']} | {one['ended_well_in_time']} of {one['starts']} | {one['kept']} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Start all kinds, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, metavar="N", help="of each graph, instead of as many as its bar asks for")
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    args = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    with own_domain():
        for kind in KINDS:
            starts = []
            for number in tqdm(range(args.starts or kind.starts), unit="start", desc=kind.name):
                starts.append(start(kind, move=bool(number % 2)))
            rows.append(row(kind, starts))
    print(table(rows))
    if not args.no_write:
        made = made_with("OMP_NUM_THREADS=1 python -m benchmarks.bringup_time", load) | {"rclpy": RCLPY}
        RESULT.write_text(json.dumps(made | {"rows": rows}, indent=1) + "\n")
    return int(not all(one["kept"] for one in rows))


if __name__ == "__main__":
    sys.exit(main())
