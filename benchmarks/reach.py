"""How often does the whole graph reach what a picture shows? 100 goals, seeds 1000 to 1099, beside the controls.

`python benchmarks/reach.py` (or `make bench-reach`) takes a quarter of an hour on two idle cores and writes
benchmarks/results/reach.json: the run's report.json, whole.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from ami_robot.cli.main import main as ami
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
            write_report(args.out, json.loads(report.read_text()))
            print(f"written: {args.out}")
    return status


if __name__ == "__main__":
    sys.exit(main())
