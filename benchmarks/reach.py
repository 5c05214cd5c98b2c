"""How often does the whole graph reach what a picture shows? 100 goals, seeds 1000 to 1099, beside the controls.

`python benchmarks/reach.py` (or `make bench-reach`) takes 17 minutes on two idle cores and writes
benchmarks/results/reach.json, the run's report.json whole, and its summary into the shipped checkpoint's model card.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ami_robot.cli.main import main as ami
from ami_robot.learning.card import update_model_card
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT
from ami_sim.demo.report import write_report

RESULT = Path(__file__).parent / "results" / "reach.json"
EPISODES, FIRST_SEED = 100, 1000


def main() -> int:
    """Run it and write the table; the exit status is that of `ami demo`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, default=RESULT, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ami_reach_") as folder:
        words = ["--episodes", str(args.episodes), "--seed", str(args.seed), "--no-video", "--out", folder]
        status = ami(["demo", *words])
        report = Path(folder) / "latest" / "report.json"
        if report.is_file():  # a run with violations has a report too, and is to be seen
            args.out.parent.mkdir(parents=True, exist_ok=True)
            figures = json.loads(report.read_text())
            write_report(args.out, figures)
            if args.out == RESULT:
                update_model_card(DEFAULT_CHECKPOINT, planning_figures(figures))
            print(f"written: {args.out}")
    return status


def planning_figures(report: dict[str, Any]) -> dict[str, Any]:
    """What the model card says of the closed loop."""
    seeds = [episode["seed"] for episode in report["episodes"]]
    return {
        "task": report["task"],
        "command": "make bench-reach",
        "episodes": len(seeds),
        "seeds": [min(seeds), max(seeds)],
        "success_rate": report["success_rate"],
        "success_interval_95": report["success_interval_95"],
        "controls": report["controls"],
        "guardrail": report["guardrail"],
    }


if __name__ == "__main__":
    sys.exit(main())
