"""Each story on three seeds through the live graph: the section `live` of benchmarks/results/scenarios.json."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import asdict
from itertools import groupby
from typing import Any

from tqdm import tqdm

from ami_robot.cli.demo import find_rclpy
from ami_robot.provenance import load_average
from benchmarks.own_domain import own_domain

SEEDS = 3


def play_all(names: list[str], seeds: int = SEEDS) -> dict[str, Any]:
    """Play them, the stories of one cell in one graph; a graph that dies fails each of its stories."""
    _, launcher = find_rclpy()
    from ami_nodes.graph_client import GraphClient
    from benchmarks.live_stories import LIVE, play_in_one_graph

    runs = [(name, seed) for name, live in LIVE.items() if name in names for seed in live.seeds(seeds)]
    began_s, load = time.monotonic(), os.getloadavg()[0]
    outcomes: list[dict[str, Any]] = []
    with (
        own_domain(),
        GraphClient("scenarios") as client,
        tqdm(total=len(runs), unit="run", mininterval=0.5 if sys.stderr.isatty() else 10.0) as bar,
    ):
        for kind, group in groupby(runs, lambda run: LIVE[run[0]].cell):
            members = list(group)
            try:
                outcomes += [asdict(outcome) for outcome in play_in_one_graph(kind, members, client, launcher)]
            except Exception:  # noqa: BLE001  # whatever it is, these stories have not passed
                broken = {"exception": traceback.format_exc(limit=-3)}
                outcomes += [{"story": n, "seed": s, "broken": broken, "figures": {}} for n, s in members]
            bar.update(len(members))
    return {
        "stories": [_row(name, [one for one in outcomes if one["story"] == name]) for name in names],
        "load_average": load_average(load),
        "wall_s": round(time.monotonic() - began_s, 1),
    }


def table(section: dict[str, Any]) -> str:
    """For people."""
    lines = ["| story, through the live graph | passes | seeds | commands verified again |", "|---|---|---|---|"]
    for row in section["stories"]:
        seeds = " ".join(map(str, row["seeds"]))
        lines.append(
            f"| {row['name']} | {row['passes']}/{len(row['seeds'])} | {seeds} | {row['commands_verified']:.0f} |"
        )
        lines += [f"  seed {seed}: {broken}" for seed, broken in row["failures"].items()]
    return "\n".join(lines)


def _row(name: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    failures = {outcome["seed"]: outcome["broken"] for outcome in outcomes if outcome["broken"]}
    return {
        "name": name,
        "seeds": [outcome["seed"] for outcome in outcomes],
        "passes": len(outcomes) - len(failures),
        "failures": failures,
        "commands_verified": sum(outcome["figures"].get("commands_verified", 0.0) for outcome in outcomes),
    }
