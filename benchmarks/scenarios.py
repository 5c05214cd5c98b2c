"""Does every story pass on every seed, and does it fail without guardrails? Fifty seeds of each, in lock step.

    OMP_NUM_THREADS=1 python -m benchmarks.scenarios                          all stories, seeds 0 to 49
    OMP_NUM_THREADS=1 python -m benchmarks.scenarios --stories coffee --seeds 0 5 --no-write
    OMP_NUM_THREADS=1 python -m benchmarks.scenarios --live                   three seeds of each through the live graph

The control row plays the first ten of the seeds with the same proposals carried out with no guardrail in between: a
story that passes there has shown nothing. Each run is kept in data/scenarios/ under a digest of the code that it
depends on; runs of the same code are not played again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import traceback
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.pool import INTERRUPTED, results
from ami_robot.provenance import ROOT, commit, machine
from ami_robot.safety.spec import load_spec
from ami_robot.statistics import upper_bound
from ami_sim.stories.book import STORIES
from ami_sim.stories.story import play
from benchmarks import live_scenarios

RESULT = ROOT / "benchmarks" / "results" / "scenarios.json"
KEPT = ROOT / "data" / "scenarios"
CODE = ("ami_robot", "sim/ami_sim")
LEFT_OUT = ("cli", "learning", "demo", "trials")  # parts of CODE that no story runs
WORST = {  # of the figures, over all seeds: the least or the greatest
    "least_distance_moving_m": min,
    "least_clearance_m": min,
    "least_box_m": min,
    "rest_before_touch_s": min,
    "moved_on_s": max,
    "tip_speed_knife_m_per_s": max,
    "tip_speed_empty_m_per_s": min,
    "tip_speed_alone_m_per_s": min,
    "top_speed_before_m_per_s": max,
    "reached": sum,
    "proposals": sum,
    "refused_as_self_collision": sum,
    "planner_refused": sum,
}


def main() -> int:
    """Play what is missing, and write the table. Exit status 1 when a story failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stories", nargs="+", default=list(STORIES), choices=list(STORIES), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 50), metavar=("FIRST", "END"))
    parser.add_argument("--controls", type=int, default=10, metavar="N", help="play the control row on so many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    parser.add_argument("--live", action="store_true", help="three seeds of each through the live graph instead")
    args = parser.parse_args()
    if args.live:
        return play_live(args)

    folder = KEPT / digest()
    folder.mkdir(parents=True, exist_ok=True)
    first, end = args.seeds
    runs = [(name, seed, True) for name in args.stories for seed in range(first, end)]
    runs += [(name, seed, False) for name in args.stories for seed in range(first, min(end, first + args.controls))]
    missing = [run for run in runs if not _file(folder, *run).exists()]
    if len(missing) < len(runs):
        print(f"{len(runs) - len(missing)} of {len(runs)} runs are kept in {folder.relative_to(ROOT)}", file=sys.stderr)
    try:
        with (
            tqdm(total=len(missing), unit="run", mininterval=0.5 if sys.stderr.isatty() else 10.0) as bar,
            closing(results(partial(_run, folder), missing, args.workers)) as played,
        ):
            for _ in played:
                bar.update()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    outcomes = [json.loads(_file(folder, *run).read_text()) for run in runs]
    rows = [_row(name, [outcome for outcome in outcomes if outcome["story"] == name]) for name in args.stories]
    print(_table(rows))
    if not args.no_write:
        _write(_document(rows, args, folder.name) | {"live": _written().get("live")})
    return int(any(row["passes"] < row["seeds"] for row in rows))


def play_live(args: argparse.Namespace) -> int:
    """Through the graph of node processes, as fast as the wall clock; leaves what was found in lock step as it is."""
    section = live_scenarios.play_all(args.stories)
    print(live_scenarios.table(section))
    if not args.no_write:
        command = "OMP_NUM_THREADS=1 python -m benchmarks.scenarios --live"
        _write(_written() | {"live": section | {"command": command, "commit": commit(), "machine": machine()}})
    return int(any(row["failures"] or not row["seeds"] for row in section["stories"]))


def _written() -> dict[str, Any]:
    return dict(json.loads(RESULT.read_text())) if RESULT.exists() else {}


def _write(document: dict[str, Any]) -> None:
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


def digest() -> str:
    """Of the code and the data that stories depend on."""
    total = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".safetensors") and not set(path.parts) & set(LEFT_OUT):
                total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _run(folder: Path, run: tuple[str, int, bool]) -> None:
    """Play one and keep it; an exception is a story that failed, and ends no other."""
    name, seed, guarded = run
    try:
        outcome = asdict(play(STORIES[name](seed, guarded)))
    except Exception:  # noqa: BLE001  # whatever it is, the guardrail let it out
        broken = {"exception": traceback.format_exc(limit=-3)}
        outcome = {"story": name, "seed": seed, "guarded": guarded, "broken": broken, "figures": {}, "refusals": {}}
    file = _file(folder, *run)
    half = file.with_suffix(".partial")
    half.write_text(json.dumps(outcome))
    half.replace(file)


def _file(folder: Path, name: str, seed: int, guarded: bool) -> Path:
    return folder / f"{name}-{seed}-{'guarded' if guarded else 'control'}.json"


def _row(name: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the seeds of one story amount to."""
    guarded = [outcome for outcome in outcomes if outcome["guarded"]]
    control = [outcome for outcome in outcomes if not outcome["guarded"]]
    failed = [outcome for outcome in guarded if outcome["broken"]]
    refusals: Counter[str] = Counter()
    for outcome in guarded:
        refusals.update(outcome["refusals"])
    return {
        "name": name,
        "seeds": len(guarded),
        "passes": len(guarded) - len(failed),
        "failure_rate_upper_95": round(upper_bound(len(failed), len(guarded)), 4),
        "failures": {outcome["seed"]: outcome["broken"] for outcome in failed},
        "control_seeds": len(control),
        "control_fails": sum(STORIES[name].breaks in outcome["broken"] for outcome in control),
        "worst": _worst(guarded),
        "refusals": dict(refusals.most_common()),
    }


def _worst(outcomes: list[dict[str, Any]]) -> dict[str, float]:
    """The worst of each figure that was measured in at least one seed."""
    worst = {}
    for figure, of in WORST.items():
        values = [outcome["figures"].get(figure, float("nan")) for outcome in outcomes]
        values = [value for value in values if np.isfinite(value)]
        if values:
            worst[f"{of.__name__}_{figure}"] = round(float(of(values)), 4)
    return worst


def _document(rows: list[dict[str, Any]], args: argparse.Namespace, code: str) -> dict[str, Any]:
    return {
        "stories": rows,
        "seeds": list(args.seeds),
        "control": "the same proposals without guardrails; control_fails counts the seeds in which that does harm",
        "spec_sha256": load_spec().sha256,
        "code_sha256": code,
        "command": f"OMP_NUM_THREADS=1 python -m benchmarks.scenarios --seeds {args.seeds[0]} {args.seeds[1]}",
        "commit": commit(),
        "machine": machine(),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| story | passes | failures, upper 95 % | fails without guardrails | worst |", "|---|---|---|---|---|"]
    for row in rows:
        worst = ", ".join(f"{name} {value:g}" for name, value in row["worst"].items())
        lines.append(
            f"| {row['name']} | {row['passes']}/{row['seeds']} | {row['failure_rate_upper_95']:.1%} "
            f"| {row['control_fails']}/{row['control_seeds']} | {worst} |"
        )
        lines += [f"  seed {seed}: {broken}" for seed, broken in row["failures"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
