"""Can anybody make the arm break a guardrail? Six families of attacked episodes, a search, faults, weaker protections.

    OMP_NUM_THREADS=1 python -m benchmarks.safety                            all of it, resumable (hours)
    OMP_NUM_THREADS=1 python -m benchmarks.safety --families people tool --episodes 500
    OMP_NUM_THREADS=1 python -m benchmarks.safety --only kinematic faults    some of the parts
    OMP_NUM_THREADS=1 python -m benchmarks.safety --short                    a minute, writes nothing

An episode is a second of commands from somebody who wants harm, in PyBullet, lock-step at 100 joint states a second:
random cells, starts, people, tools, delays (sim/ami_sim/trials). An event is what PyBullet and the judge call one.
Blocks of 100 seeds are kept in benchmarks/results/safety/ and summed up in benchmarks/results/safety.json, once all
are there. Ctrl-C keeps the blocks that are done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ami_robot.pool import INTERRUPTED
from ami_robot.safety.spec import load_spec
from ami_sim.trials.trial import FAMILIES
from benchmarks.safety_blocks import BASELINES, KINEMATIC, Shards, blocks_of, run_block, run_blocks
from benchmarks.safety_faults import fault_table
from benchmarks.safety_layers import layers
from benchmarks.safety_search import search
from benchmarks.safety_summary import summary

RESULTS = Path(__file__).parent / "results"
PARTS = ("families", KINEMATIC, BASELINES, "search", "faults", "layers")
EPISODES, KINEMATIC_EPISODES, BASELINE_EPISODES = 3000, 30_000, 1500
SHORT_EPISODES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and write the summary. 1 when there was an event, or a fault was not braked in time."""
    options = _options(arguments)
    spec_sha256 = load_spec().sha256
    if options.short:
        return _short(options.families)
    folder, result = options.results / "safety", options.results / "safety.json"
    shards = Shards(folder, spec_sha256, options.renew)
    wanted = dict.fromkeys(options.families, options.episodes) if "families" in options.only else {}
    wanted |= {KINEMATIC: options.kinematic} if KINEMATIC in options.only else {}
    wanted |= {BASELINES: options.baselines} if BASELINES in options.only else {}
    blocks = [block for series, episodes in wanted.items() for block in blocks_of(series, episodes)]
    blocks.sort(key=lambda block: block.first_seed)  # all families grow together
    try:
        run_blocks(blocks, shards, options.workers)
        for part, make in (("search", search), ("faults", fault_table), ("layers", layers)):
            if part in options.only:
                _keep(folder / f"{part}.json", {"spec_sha256": spec_sha256, part: make()})
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    found = summary(shards, folder, spec_sha256)
    result.write_text(json.dumps(found, indent=1) + "\n")
    events = sum(row["events"] for row in (*found["families"], found["kinematic"], *found["adversary"]))
    late = [fault["name"] for fault in found["faults"] if not fault["brake_ms"] <= fault["bound_ms"]]
    print(f"{events} events, {len(late)} faults beyond their bound {late}; {result}")
    return 1 if events or late else 0


def _short(families: Sequence[str]) -> int:
    """A few seeds of each family, in this process."""
    events = []
    for series in (*families, KINEMATIC):
        for block in blocks_of(series, SHORT_EPISODES):
            line = run_block(block)
            events += line["events"]
            print(f"{series}: {block.count} episodes, {len(line['events'])} events, {line['cpu_s']} s")
    for event in events:
        print(f"{event['family']}, seed {event['seed']}: {event['what']}")
    return 1 if events else 0


def _keep(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of each family, in PyBullet")
    parser.add_argument("--kinematic", type=int, default=KINEMATIC_EPISODES, help="episodes without physics")
    parser.add_argument("--baselines", type=int, default=BASELINE_EPISODES, help="episodes against weaker protections")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="to keep them in")
    parser.add_argument("--renew", action="store_true", help="run blocks of other code again")
    parser.add_argument("--short", action="store_true", help="a few seeds in this process; writes nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
