"""`ami eval`: how often do agents do what pictures show, beside controls, on episodes that nothing was trained on?"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import SHIPPED, add_verb, count, positive_count

if TYPE_CHECKING:
    from ami_sim.evaluation.suites import Suite

EXAMPLES = """examples:
  ami eval reach --episodes 20 --out runs/reach           the shipped agent beside hold, random and expert
  ami eval push push:colour --out runs/push               one that handles blocks, also under a shift
  ami eval push --out runs/mine --task my_push.yaml --checkpoint runs/training
  ami eval push --task search.yaml policy.yaml both.yaml --checkpoint runs/training --out runs/modes
                                                          three agents on the same episodes, compared in pairs
  ami eval pick_lift pick_place --shifts --shifted-episodes 64 --out runs/carry

Stopped in any way, the same command goes on. Exit status: 0 done, 2 wrong input, 130 interrupted."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    parser = add_verb(
        subparsers, "eval", "success rates of agents and controls on suites of held-out episodes", EXAMPLES
    )
    add = parser.add_argument
    add(
        "suites",
        nargs="+",
        metavar="SUITE",
        help="reach, push, push_retracted, pick_lift or pick_place; under a shift as push:colour",
    )
    add("--episodes", type=positive_count, default=192, metavar="N", help="of each suite (default %(default)s)")
    add("--seed", type=count, default=0, metavar="S", help="of the first episode; the others follow (default 0)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for results.json, report.html and the episodes")
    add("--shifts", action="store_true", help="each suite under all shifts, too")
    add("--shifted-episodes", type=positive_count, metavar="N", help="of suites under a shift (default: as --episodes)")
    add(
        "--task",
        nargs="*",
        metavar="TASK.yaml",
        help="task file, or name of a shipped one; a row each (default: what ships; none: controls alone)",
    )
    add("--vary", metavar="KEY=V,V", help="each task once with each of these values, as contacts.candidates=2,8,16")
    add(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="checkpoint folder in place of the one that the task takes",
    )
    add("--controls", nargs="*", metavar="ROW", help="rows without a model: hold, random, expert (default: all three)")
    add("--full", action="store_true", help="the guardrail sees every joint state, and torques, as in the graph")
    add("--workers", type=positive_count, default=2, help="processes, at best one for each idle core (default 2)")
    add("--films", type=count, default=3, metavar="K", help="of the first K failures of each agent (default 3)")
    add("--card", action="store_true", help="write the rows into the checkpoint's record and model card, too")


def run(args: argparse.Namespace) -> int:
    """Evaluate, or go on with it; returns the exit code. Errors of the user are raised as our own types."""
    with tempfile.TemporaryDirectory() as folder:
        return _evaluate(args, Path(folder))


def _evaluate(args: argparse.Namespace, folder: Path) -> int:
    """`folder` is for task files that are made here."""
    from tqdm import tqdm

    from ami_robot.configurator.configurator import task_file
    from ami_robot.learning.card import update_model_card
    from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, checkpoint_folder
    from ami_robot.pool import INTERRUPTED
    from ami_sim.evaluation.contestants import entered
    from ami_sim.evaluation.evaluation import REPORT, Evaluation
    from ami_sim.evaluation.suites import held_out_seeds, parse_suites
    from ami_sim.evaluation.summary import card_entries, printed
    from ami_sim.evaluation.variants import variants

    shifted = args.shifted_episodes or args.episodes
    suites = parse_suites(args.suites, args.shifts)
    tasks = [task_file(name) for name in (shipped_task(suites) if args.task is None else args.task)]
    if args.vary:
        tasks = variants(tasks, args.vary, folder)
    entry = entered(args.controls, tasks, args.checkpoint, args.full)
    evaluation = Evaluation(
        entry,
        {suite: held_out_seeds(args.seed, shifted if suite.shift else args.episodes) for suite in suites},
    )
    table, load, keys = evaluation.open(args.out), os.getloadavg()[0], evaluation.keys
    done, interval_s = sum(key in table.episodes for key in keys), 0.2 if sys.stderr.isatty() else 2.0
    with tqdm(total=len(keys), initial=done, unit="episode", desc="evaluating", mininterval=interval_s) as bar:
        try:
            evaluation.run(table, args.workers, lambda _: bar.update())
            bar.set_description("films and page")
            results = evaluation.conclude(table, command(args), args.workers, args.films, load)
        except KeyboardInterrupt:
            bar.close()
            print(INTERRUPTED, file=sys.stderr)
            return 130
    if args.card:
        update_model_card(checkpoint_folder(entry.checkpoint or DEFAULT_CHECKPOINT), card_entries(results))
    print(f"{printed(results['rows'], results['pairs'])}\n\nreport: {args.out / REPORT}")
    return 0


def shipped_task(suites: Sequence[Suite]) -> list[str]:
    """The shipped task file for all of the suites, by its name. Raises EvaluationError where they take several."""
    from ami_sim.evaluation.suites import EvaluationError

    names = list(dict.fromkeys(SHIPPED[suite.task] for suite in suites))
    if len(names) > 1:
        raise EvaluationError(
            f"for these suites several agents ship ({', '.join(names)}), and each row plays all of them; "
            "evaluate them one after the other, or name a --task."
        )
    return names


def command(args: argparse.Namespace) -> str:
    """What to type for the same again."""
    words = ["ami", "eval", *args.suites, "--episodes", str(args.episodes), "--seed", str(args.seed)]
    words += ["--shifts"] * args.shifts
    if args.shifted_episodes:
        words += ["--shifted-episodes", str(args.shifted_episodes)]
    words += [] if args.task is None else ["--task", *args.task]
    words += ["--vary", args.vary] if args.vary else []
    words += ["--checkpoint", str(args.checkpoint)] if args.checkpoint else []
    words += [] if args.controls is None else ["--controls", *args.controls]
    words += ["--full"] * args.full + ["--card"] * args.card
    return shlex.join([*words, "--workers", str(args.workers), "--films", str(args.films), "--out", str(args.out)])
