"""`ami diagnose`: what a checkpoint knows, and where its errors and those of the plans made with it come from."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ami_robot.cli.arguments import EXIT_STATUS, add_verb, count, positive_count

REPORT_FILE, PAGE_FILE = "diagnostics.json", "DIAGNOSTICS.md"

Measure = Callable[[], tuple[dict[str, Any], str]]
"""Figures, and what a page says of them."""

EXAMPLES = f"""examples:
  ami diagnose --data data/reach --out runs/diagnostics     on the episodes that the training held out
  ami diagnose --oracle reach --out runs/oracle             what a search loses by its world model, in the simulator
  ami diagnose --data data/push --oracle push --task push.yaml --checkpoint runs/training --out runs/diagnostics

With the oracle each start takes one to two minutes of a core. Stopped, nothing is written.
{EXIT_STATUS}"""


class DiagnoseError(ValueError):
    """A command that asks for nothing."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(
        subparsers, "diagnose", "measure a checkpoint: on held-out episodes, and against an oracle", EXAMPLES
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="data set that `ami collect` made: what the training held out of it")
    add("--checkpoint", type=Path, metavar="DIR", help="checkpoint folder instead of the one that ships")
    add("--out", type=Path, required=True, metavar="DIR", help=f"folder for {REPORT_FILE}, {PAGE_FILE} and latents")
    oracle = parser.add_argument_group("planner against oracle dynamics").add_argument
    oracle(
        "--oracle",
        metavar="SUITE",
        help="search from the same states with the world model and with the simulator in its place; "
        "SUITE as in `ami eval`, such as reach or push:colour",
    )
    oracle("--task", default="reach", metavar="TASK.yaml", help="task file, or name of a shipped one (default reach)")
    oracle("--episodes", type=positive_count, default=12, metavar="N", help="starts, one each (default %(default)s)")
    oracle("--seed", type=count, default=0, metavar="S", help="of the first episode; the others follow (default 0)")
    oracle("--workers", type=positive_count, default=2, help="processes, at best one for each idle core (default 2)")


def run(args: argparse.Namespace) -> int:
    """Measure; returns the exit code. Errors of the user are raised as one of our own types."""
    import json

    from ami_robot.perception.checkpoint import load_checkpoint, write_whole

    if args.data is None and args.oracle is None:
        raise DiagnoseError("there is nothing to measure on; give --data DIR, --oracle SUITE or both")
    asked = ((args.data, _on_held_out), (args.oracle, _against_oracle))
    measures = [prepare(args) for what, prepare in asked if what is not None]
    report: dict[str, Any] = {"checkpoint_sha256": load_checkpoint(args.checkpoint).sha256}
    sections = ["# Diagnostics of a checkpoint"]
    for measure in measures:
        figures, section = measure()
        report |= figures
        sections.append(section)
    page = "\n\n".join(sections) + "\n"
    args.out.mkdir(parents=True, exist_ok=True)
    write_whole(args.out / REPORT_FILE, (json.dumps(report, indent=2) + "\n").encode())
    write_whole(args.out / PAGE_FILE, page.encode())
    print(page)
    return 0


def _on_held_out(args: argparse.Namespace) -> Measure:
    """Look at what was given; what comes back measures on it."""
    from ami_robot.cli.train import revision
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.diagnostics import diagnose
    from ami_robot.learning.diagnostics_page import render_diagnostics
    from ami_robot.learning.latents import cached_latents
    from ami_robot.learning.train import Provenance
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.perception.encoder import ImageEncoder

    data, checkpoint = EpisodeSet.open(args.data), load_checkpoint(args.checkpoint)
    Provenance(data.sha256, data.manifest, revision()).require_view_of(checkpoint)

    def measure() -> tuple[dict[str, Any], str]:
        episodes = cached_latents(data.shards(), data.sha256, ImageEncoder(checkpoint), args.out)
        figures = diagnose(checkpoint, episodes, data.sha256)
        return figures, render_diagnostics(figures)

    return measure


def _against_oracle(args: argparse.Namespace) -> Measure:
    """The same in the simulator."""
    from contextlib import closing
    from functools import partial

    from tqdm import tqdm

    from ami_robot.configurator.configurator import task_file
    from ami_robot.pool import ONE_THREAD, results
    from ami_robot.provenance import made_with
    from ami_sim.evaluation.against_oracle import compare, contestants_against_oracle
    from ami_sim.evaluation.oracle_report import oracle_page, oracle_report
    from ami_sim.evaluation.run import one_thread
    from ami_sim.evaluation.suites import held_out_seeds, parse_suite

    suite, seeds, task = parse_suite(args.oracle), held_out_seeds(args.seed, args.episodes), task_file(args.task)
    contestants, load = contestants_against_oracle(task, args.checkpoint), os.getloadavg()[0]
    work, interval_s = partial(compare, contestants.entry, suite), 0.2 if sys.stderr.isatty() else 2.0

    def measure() -> tuple[dict[str, Any], str]:
        os.environ.update(ONE_THREAD)
        episodes = []
        with (
            tqdm(total=len(seeds), unit="start", desc="against the oracle", mininterval=interval_s) as bar,
            closing(results(work, seeds, min(args.workers, len(seeds)), one_thread)) as done,
        ):
            for _, episode in done:
                episodes.append(episode)
                bar.update()
        figures = oracle_report(suite, contestants.tasks[task.stem], episodes)
        made = made_with(_command(args), load) | {"workers": args.workers} | contestants.identity()
        return {"oracle": figures | made}, oracle_page(figures)

    return measure


def _command(args: argparse.Namespace) -> str:
    """What to type for the same again."""
    words = ["ami", "diagnose", "--oracle", args.oracle, "--task", args.task, "--episodes", str(args.episodes)]
    words += ["--seed", str(args.seed), "--workers", str(args.workers)]
    for name in ("data", "checkpoint", "out"):
        words += [f"--{name}", str(getattr(args, name))] if getattr(args, name) else []
    return shlex.join(words)
