"""What does a plan cost that succeeds as often: our search, or CEM and iCEM of the package stable-worldmodel?

Every cell (a solver, samples, iterations) plays the same episodes, with the same checkpoint, cost, horizon, step limit,
latency and judge; only the search differs (benchmarks/solver_planner.py). Ours masks each candidate by the guardrails
before it imagines it, which is in its time; theirs clamp (iCEM) or not (CEM) and know no guardrails; the filter behind
the planner judges what either commands. :unmasked and :masked exchange that. Near the goal the longest step gets
shorter, in our search as it ships and for theirs, too; with :whole it does not. The cells take turns, episode by
episode, so what else the machine does hits all of them; the time of the thread is to be compared rather than wall time.
The package goes into an environment of its own: see docs/how-to/evaluate.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ami_robot.cli.arguments import count, positive_count, positive_number_of
from ami_robot.configurator.configurator import ConfigError, task_file
from ami_robot.perception.checkpoint import CheckpointError, write_whole
from ami_robot.pool import INTERRUPTED
from ami_robot.provenance import commit, made_with
from ami_robot.safety.model_error import ModelErrorError
from ami_robot.strict import StrictError
from ami_sim.attempt import attempt
from ami_sim.evaluation.contestants import entered
from ami_sim.evaluation.run import episode_line, one_thread
from ami_sim.evaluation.suites import EvaluationError, Suite, held_out_seeds, parse_suite
from ami_sim.evaluation.summary import row_of
from ami_sim.evaluation.table import Table
from benchmarks.solver_cells import OURS, Solvers, parse_cell
from benchmarks.solver_planner import DISTRIBUTION, RECEDING
from benchmarks.solver_summary import masks, matched, printed

EXAMPLES = """examples:
  python -m benchmarks.solvers                                      the whole sweep (hours, resumable)
  python -m benchmarks.solvers --episodes 10 --cells ours:64x2 cem:64x3 icem:64x3 --out runs/small.json
  python -m benchmarks.solvers --cells ours:128x3 ours:128x3:unmasked --table runs/masks --out runs/masks.json
                                                                    what the masks cost; needs no other package
  python -m benchmarks.solvers --task push --config benchmarks/push_icem.yaml --unwatched --also push --table runs/push

Stopped in any way, the same command goes on; more cells or episodes are added to what is there.
Exit status: 0 done, 2 wrong input or no package, 130 interrupted."""

RESULT, TABLE = Path(__file__).parent / "results" / "solvers.json", Path("runs/solvers")
_SMALL = ("128x3", "64x3", "64x2", "64x1", "32x3", "32x2", "32x1", "16x2", "16x1")
CELLS = (
    *(f"{OURS}:{size}" for size in _SMALL),
    *(f"{OURS}:{size}:unmasked" for size in ("128x3", "64x2", "16x1")),
    *(f"{solver}:{size}" for solver in ("cem", "icem") for size in ("300x30", "300x10", "300x3", "128x6", *_SMALL)),
    *(
        f"{solver}:{size}:whole"
        for solver in ("cem", "icem")
        for size in ("300x30", "128x6", "64x3", "32x3", "32x1", "16x1")
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is missing, print tables and write the results."""
    args, words = options(arguments), sys.argv[1:] if arguments is None else arguments
    load = os.getloadavg()[0]
    try:
        cells = {cell.name: cell for cell in map(parse_cell, args.cells)}
        suite, seeds = parse_suite(args.task), held_out_seeds(args.seed, args.episodes)
        entry = entered([], [task_file(name) for name in (args.config, *args.also)], args.checkpoint, full=False)
        solvers = Solvers(entry, cells, args.var_scale, args.unwatched)
        rows = [*(path.stem for path in map(task_file, args.also)), *cells]
        solvers.check()
        table = Table(args.table, _identity(suite, solvers, args))
        play(table, solvers, suite, rows, seeds)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except (EvaluationError, StrictError, ConfigError, CheckpointError, ModelErrorError, OSError) as error:
        print(f"solvers: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    episodes = {name: [table.episodes[suite.name, name, seed] for seed in seeds] for name in rows}
    results = {
        "rows": [row_of(suite.name, name, episodes[name]) | {"settings": solvers.settings(name)} for name in rows],
        "pairs": matched(cells, episodes),
        "masks": masks(cells, episodes),
        "seeds": [seeds.start, seeds.stop - 1],
        "receding": RECEDING,
        **table.identity,
        **made_with(shlex.join(["python", "-m", "benchmarks.solvers", *words]), load),
    }
    results["commit"] = ", ".join(sorted({line["commit"] for lines in episodes.values() for line in lines}))
    text = printed(results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(args.out, (json.dumps(results, indent=1) + "\n").encode())
    write_whole(args.out.with_suffix(".md"), (text + "\n").encode())
    print(f"{text}\n\n{args.out}")
    return 0


def play(table: Table, solvers: Solvers, suite: Suite, names: Sequence[str], seeds: range) -> None:
    """The episodes that the table lacks, in this process: all cells of a seed, then those of the next."""
    keys = [(suite.name, name, seed) for seed in seeds for name in names]
    missing, now = [key for key in keys if key not in table.episodes], commit()
    one_thread()
    with tqdm(total=len(keys), initial=len(keys) - len(missing), unit="episode", desc="solvers") as bar:
        for key in missing:
            _, name, seed = key
            bar.set_postfix_str(name)
            task, camera = suite.episode(seed, solvers.camera)
            actor = solvers.actor(name, task, camera)
            table.add(episode_line(key, attempt(solvers.env, task, actor, camera), actor) | {"commit": now})
            bar.update()


def _identity(suite: Suite, solvers: Solvers, args: argparse.Namespace) -> dict[str, Any]:
    """What all episodes of a table have in common, whatever cells are added."""
    try:
        package = f"{DISTRIBUTION} {version(DISTRIBUTION)}"
    except PackageNotFoundError:
        package = f"{DISTRIBUTION} is not installed"
    return {
        "suite": suite.name,
        "package": package,
        "torch": torch.__version__,
        "var_scale": args.var_scale,
        "unwatched": args.unwatched,
    } | solvers.identity()


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.solvers", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--task",
        default="reach",
        metavar="SUITE",
        help="as ami eval has them: reach, push, push:colour (default: %(default)s)",
    )
    add("--config", default="reach", metavar="TASK.yaml", help="of the agent, planner: icem (default: %(default)s)")
    add("--also", nargs="*", default=[], metavar="TASK.yaml", help="rows of ours that play as these task files say")
    add("--checkpoint", type=Path, metavar="DIR", help="checkpoint folder instead of the one that ships")
    add(
        "--cells", nargs="+", default=CELLS, metavar="CELL", help="SOLVER:SAMPLESxITERATIONS[:masked|:unmasked][:whole]"
    )
    add("--unwatched", action="store_true", help="cells plan whatever the model's error: no monitor, no bound")
    add("--episodes", type=positive_count, default=100, metavar="N", help="of each cell (default: %(default)s)")
    add("--seed", type=count, default=0, metavar="S", help="of the first episode (default: %(default)s)")
    add(
        "--var-scale",
        type=positive_number_of("step limits"),
        default=1.0,
        help="theirs: with what standard deviation they begin, in step limits (default: %(default)s, as they ship)",
    )
    add("--table", type=Path, default=TABLE, metavar="DIR", help="folder of the episodes (default: %(default)s)")
    add("--out", type=Path, default=RESULT, metavar="FILE", help="results, a .md goes beside it (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
