"""Does any input make the guardrail raise, or send anything but a legal motion? A million malformed and odd ones.

    OMP_NUM_THREADS=1 python -m benchmarks.fuzz                          1,000,000 inputs, two processes, resumable
    OMP_NUM_THREADS=1 python -m benchmarks.fuzz --inputs 20000 --seed 7

An episode arms a guardrail at rest somewhere in the workspace, half of the time beside a box, half of the time with
people who are asked for; the arm follows what is sent. Each turn spoils one input of one kind (fuzz_episode.SHARES):
proposals, joint states with efforts, clocks, people, a held tool, e-stop, deadman, services; and what the filter and
the last gate are handed. Six in ten are malformed (NaN, infinities, 1e308, huge integers, wrong types and shapes,
joints twice, clocks that step), the others odd: denormals, other orders, other joints among them, ages and distances
just within and just beyond what is allowed. After each: nothing was raised; what was sent is finite, next in order,
ends at rest and keeps the joint limits from where the arm really is; a guardrail that is not armed sends nothing.

`reached` counts the inputs in whose turn the filter, the gate (for a proposal), the gate for a brake, and the last gate
were asked. Shards of 5,000 inputs are kept in data/fuzz/ and not run again while the code is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ami_robot.pool import INTERRUPTED, results
from ami_robot.provenance import ROOT, commit, machine
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from benchmarks.fuzz_episode import Episode, Illegal
from benchmarks.fuzz_stages import Stages

RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
KEPT = ROOT / "data" / "fuzz"
SHARD, EPISODE = 5_000, 60  # inputs


class Shard(NamedTuple):
    """So many inputs of one seed."""

    seed: int
    inputs: int


def run_shard(shard: Shard) -> dict[str, Any]:
    """Episodes until so many inputs were fed; what raised or got through is told with its episode and ends it."""
    kinematics, dynamics, fenced = Kinematics(), Dynamics(), load_spec()
    asked = replace(fenced, people=replace(fenced.people, source_of_people="topic"))
    kinds, outcomes, reached, decisions = Counter(), Counter(), Counter(), Counter()  # type: ignore[var-annotated]
    exceptions: list[str] = []
    illegal: list[str] = []
    fed, number, began_s = 0, 0, time.monotonic()
    with Stages() as stages:
        while fed < shard.inputs:
            rng = np.random.default_rng([shard.seed, number])
            episode = Episode((fenced, asked)[number % 2], kinematics, dynamics, rng, stages)
            for _ in range(min(EPISODE, shard.inputs - fed)):
                fed += 1
                try:
                    outcome = episode.turn()
                except Exception as error:  # noqa: BLE001  # whatever escapes is what is looked for
                    outcome = "illegal motion" if isinstance(error, Illegal) else "exception"
                    found = illegal if isinstance(error, Illegal) else exceptions
                    found.append(f"seed {shard.seed}, episode {number}, {episode.kind}: {_told(error)}")
                kinds[episode.kind] += 1
                outcomes[outcome] += 1
                reached.update(stages.reached)
                if outcome in ("illegal motion", "exception"):
                    break
            decisions += episode.decisions
            number += 1
    return {
        "seed": shard.seed,
        "inputs": fed,
        "episodes": number,
        "kinds": kinds,
        "outcomes": outcomes,
        "reached": reached,
        "decisions": decisions,
        "exceptions": exceptions,
        "illegal_motions": illegal,
        "seconds": time.monotonic() - began_s,
    }


def code_sha256() -> str:
    """Of everything whose change makes the shards out of date."""
    own = [
        Path(__file__).with_name(name) for name in ("fuzz.py", "fuzz_episode.py", "fuzz_inputs.py", "fuzz_stages.py")
    ]
    paths = sorted([*(ROOT / "ami_robot" / "safety").iterdir(), *own])
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths if path.is_file())).hexdigest()


def main() -> int:
    """Run the shards that are missing, print what was found, write the summary. Exit status 1 for any event."""
    args = _arguments()
    args.kept.mkdir(parents=True, exist_ok=True)
    code = code_sha256()
    shards = [
        Shard(args.seed + index, min(SHARD, args.inputs - first))
        for index, first in enumerate(range(0, args.inputs, SHARD))
    ]
    files = {shard: args.kept / f"{code[:12]}_{shard.seed}_{shard.inputs}.json" for shard in shards}
    missing = [shard for shard in shards if not files[shard].exists()]
    done = args.inputs - sum(shard.inputs for shard in missing)
    try:
        with (
            tqdm(total=args.inputs, initial=done, unit="input") as bar,
            closing(results(run_shard, missing, args.workers)) as done_shards,
        ):
            for shard, found in done_shards:
                _keep(files[shard], found)
                bar.update(shard.inputs)
                for event in (*found["exceptions"], *found["illegal_motions"]):
                    bar.write(event)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    return _report([json.loads(files[shard].read_text()) for shard in shards], args, code)


def _keep(file: Path, found: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.replace(file)


def _told(error: Exception) -> str:
    if isinstance(error, Illegal):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"[:300]


def _report(shards: list[dict[str, Any]], args: argparse.Namespace, code: str) -> int:
    inputs = sum(shard["inputs"] for shard in shards)
    counts = {name: _sum(shards, name) for name in ("kinds", "outcomes", "reached", "decisions")}
    exceptions = [event for shard in shards for event in shard["exceptions"]]
    illegal = [event for shard in shards for event in shard["illegal_motions"]]
    result = {
        "inputs": inputs,
        "episodes": sum(shard["episodes"] for shard in shards),
        "exceptions": len(exceptions),
        "illegal_motions": len(illegal),
        "events": exceptions + illegal,
        **counts,
        "reached_share": {stage: round(count / inputs, 4) for stage, count in counts["reached"].items()},
        "seeds": [args.seed, args.seed + len(shards) - 1],
        "cpu_s": round(sum(shard["seconds"] for shard in shards)),
        "spec_sha256": load_spec().sha256,
        "code_sha256": code,
        "command": " ".join(["python -m benchmarks.fuzz", *sys.argv[1:]]),
        "commit": commit(),
        "machine": f"{machine()}, {args.workers} processes",
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{inputs:,} inputs in {result['episodes']:,} episodes: ", end="")
    print(f"{len(exceptions)} exceptions, {len(illegal)} illegal motions.")
    print(", ".join(f"{count:,} {outcome}" for outcome, count in counts["outcomes"].items()))
    print("reached: " + ", ".join(f"{stage} {share:.1%}" for stage, share in result["reached_share"].items()))
    return 1 if exceptions or illegal else 0


def _sum(shards: list[dict[str, Any]], name: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for shard in shards:
        total.update(shard[name])
    return dict(total.most_common())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the first shard (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default %(default)s)")
    parser.add_argument("--kept", type=Path, default=KEPT, metavar="FOLDER", help="of the shards")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
