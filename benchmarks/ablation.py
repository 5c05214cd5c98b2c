"""Which part of the training earns its place? The shipped configuration with one thing changed, trained and tried.

    OMP_NUM_THREADS=1 python -m benchmarks.ablation --data data/manipulation-0                all of it (hours)
    OMP_NUM_THREADS=1 python -m benchmarks.ablation --data data/manipulation-0 --variants shipped pixels --seeds 1
    OMP_NUM_THREADS=1 python -m benchmarks.ablation --data data/manipulation-0 --steps 3000 --out runs/long.json

Every model is trained with the same data, seeds, optimiser and number of steps, a third of the shipped one's; so its
rows are to be compared with each other alone. Then the task `push` plays the same held-out episodes with each of them.
The bound on the model's error is not calibrated for each: margins do not widen and no monitor stops an agent.
Stopped in any way, the same command goes on. Exit status: 0 done, 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ami_robot.agent import Agent
from ami_robot.cli.arguments import positive_count
from ami_robot.cli.train import revision
from ami_robot.configurator.configurator import task_file
from ami_robot.episodes.shards import EpisodesError, EpisodeSet
from ami_robot.learning.config import TrainingConfig
from ami_robot.learning.dataset import DataError, Episodes
from ami_robot.learning.run_state import STATE_FILE
from ami_robot.learning.train import Provenance, train
from ami_robot.perception.checkpoint import DESCRIPTION_FILE, read_description, write_whole
from ami_robot.pool import INTERRUPTED, results
from ami_robot.provenance import made_with
from ami_robot.strict import StrictError, read, read_yaml
from ami_robot.world_model.protocol import WorldModel
from ami_sim.attempt import attempt
from ami_sim.evaluation.contestants import Contestants, Entry
from ami_sim.evaluation.run import one_thread
from ami_sim.evaluation.suites import EvaluationError, held_out_seeds, parse_suite
from benchmarks.ablation_table import printed

TASK = "push"
SHIPPED = "shipped"
CONFIG = Path(__file__).parents[1] / "ami_robot" / "learning" / "manipulation.yaml"
RESULT, RUNS = Path(__file__).parent / "results" / "ablation.json", Path("runs/ablation")

_NO_VICREG = {"loss.variance": 0.0, "loss.covariance": 0.0}
_PIXELS = {"loss.one_step": 0.0, "loss.multi_step": 0.0, "loss.reconstruction": 1.0, **_NO_VICREG}
_UNLABELLED = {"loss.block_position": 0.0}
_GRID = {"kind": "grid", "channels": [48, 96, 96], "cells": 4, "cell_dim": 8, "head_hidden": 256}
_CONV = {"kind": "conv", "latent_dim": 128, "channels": [48, 96, 96, 128], "hidden": 512, "head_hidden": 256}
VARIANTS: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    "no one_step": {"loss.one_step": 0.0},
    "no multi_step": {"loss.multi_step": 0.0},
    "no proprio": {"loss.proprio": 0.0},
    "no tool_position": {"loss.tool_position": 0.0},
    "no inverse_dynamics": {"loss.inverse_dynamics": 0.0},
    "no variance, covariance": _NO_VICREG,
    "SIGReg in place of them": _NO_VICREG | {"loss.sigreg": 0.05},
    "moving average in place of them": _NO_VICREG | {"objective.target_decay": 0.99},
    "straightening": {"loss.straightening": 0.1},
    "no block_position": _UNLABELLED,
    "pixels": _PIXELS,
    "pixels, no block_position": _PIXELS | _UNLABELLED,
    "vector of convolutions": {"encoder": _CONV},
    "grid": {"encoder": _GRID},
    "no contact_share": {"window.contact_share": 0.0},
}
"""What is changed, by the keys of the configuration."""


@dataclass(frozen=True)
class Plan:
    """What all cells have in common."""

    data: Path
    steps: int
    episodes: range
    runs: Path


Cell = tuple[str, int]
"""Variant and seed."""


class Unwatched(Contestants):
    """Agents whose models have no calibrated error, with the block head of the checkpoint that they play with."""

    def __init__(self, entry: Entry) -> None:
        """As Contestants."""
        super().__init__(entry)
        self.tasks = {name: replace(task, block_head=str(entry.checkpoint)) for name, task in self.tasks.items()}

    def agent(self, row: str, world_model: WorldModel | None = None) -> Agent:
        """Without a monitor."""
        agent = super().agent(row, world_model)
        agent.monitor = None
        return agent


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and play what is missing, print the table and write the results."""
    args, words = options(arguments), sys.argv[1:] if arguments is None else arguments
    load = os.getloadavg()[0]
    cells = [(name, seed) for seed in range(args.seeds) for name in args.variants]
    try:
        plan = Plan(args.data, args.steps, held_out_seeds(0, args.episodes), args.runs)
        for name in args.variants:
            configuration(name, 0, plan.steps)
        data = EpisodeSet.open(plan.data)
        missing = [cell for cell in cells if not line_file(plan, cell).exists()]
        with (
            tqdm(total=len(cells), initial=len(cells) - len(missing), unit="model", desc="ablation") as bar,
            contextlib.closing(results(partial(made, plan), missing, args.workers, one_thread)) as done,
        ):
            for _ in done:
                bar.update()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except (StrictError, EpisodesError, DataError, EvaluationError, OSError) as error:
        print(f"ablation: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    lines = [json.loads(line_file(plan, cell).read_text()) for cell in cells]
    found = {
        "lines": lines,
        "variants": {name: VARIANTS[name] for name in args.variants},
        "steps": plan.steps,
        "episodes": [TASK, plan.episodes.start, plan.episodes.stop - 1],
        "data_sha256": data.sha256,
        **made_with(shlex.join(["python", "-m", "benchmarks.ablation", *words]), load),
    }
    text = printed(lines)
    write_whole(args.out, (json.dumps(found, indent=1) + "\n").encode())
    write_whole(args.out.with_suffix(".md"), (text + "\n").encode())
    print(f"{text}\n\n{args.out}")
    return 0


def configuration(name: str, seed: int, steps: int) -> TrainingConfig:
    """Of a variant. Raises StrictError when it cannot be."""
    values = deepcopy(read_yaml(CONFIG))
    for key, value in VARIANTS[name].items():
        section, _, entry = key.partition(".")
        if entry:
            values.setdefault(section, {})[entry] = value
        else:
            values[section] = value
    values["seed"] = seed
    values["optimiser"] |= {"steps": steps, "warmup_steps": min(steps // 2, values["optimiser"]["warmup_steps"])}
    config: TrainingConfig = read(values, TrainingConfig, name)
    return config


def line_file(plan: Plan, cell: Cell) -> Path:
    """Where the line of a cell lies once it is done, beside its checkpoint."""
    name, seed = cell
    return plan.runs / f"{name.replace(', ', '-').replace(' ', '_')}-{plan.steps}-{seed}" / "line.json"


def made(plan: Plan, cell: Cell) -> dict[str, Any]:
    """Train and play; in a worker, whose progress goes into a file."""
    name, seed = cell
    path = line_file(plan, cell)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "progress").open("a") as progress, contextlib.redirect_stderr(progress):
        if not (folder / DESCRIPTION_FILE).exists():
            episodes, provenance = data_of(plan.data)
            resume = (folder / STATE_FILE).exists()
            train(episodes, configuration(name, seed, plan.steps), provenance, folder, resume)
    record = read_description(folder)["record"]
    furthest = list(record["metrics"]["prediction"].values())[-1]
    line = {
        "variant": name,
        "seed": seed,
        "revision": record["revision"],
        "block_cm": record["metrics"]["block_head"]["mean_cm"],
        "tool_cm": record["metrics"]["goal_head"]["mean_cm"],
        "effective_rank": record["metrics"]["effective_rank"],
        "copy_last": furthest["copy_last"],
        "wrong_over_true_action": furthest["wrong_over_true_action"],
        "successes": played(folder, plan.episodes),
        "episodes": len(plan.episodes),
    }
    write_whole(path, (json.dumps(line) + "\n").encode())
    return line


@lru_cache(maxsize=1)
def data_of(folder: Path) -> tuple[Episodes, Provenance]:
    """Of this process."""
    data = EpisodeSet.open(folder)
    return Episodes.from_arrays(data.load()), Provenance(data.sha256, data.manifest, revision())


def played(folder: Path, seeds: range) -> int:
    """Successes of the task with a checkpoint."""
    contestants = Unwatched(Entry((), (task_file(TASK),), folder, False))
    won = 0
    try:
        for seed in seeds:
            task, camera = parse_suite(TASK).episode(seed, contestants.camera)
            won += attempt(contestants.env, task, contestants.actor(TASK, task, camera), camera).success
    finally:
        contestants.env.close()
    return won


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="data set of the mix manipulation")
    add("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME", help="default: all")
    add("--seeds", type=positive_count, default=3, metavar="N", help="of each, from 0 on (default %(default)s)")
    add("--steps", type=positive_count, default=1000, metavar="N", help="of training (default %(default)s)")
    add("--episodes", type=positive_count, default=64, metavar="N", help="of push (default %(default)s)")
    add("--workers", type=positive_count, default=2, help="processes, at best one for each idle core (default 2)")
    add("--runs", type=Path, default=RUNS, metavar="DIR", help="for the models (default: %(default)s)")
    add("--out", type=Path, default=RESULT, metavar="FILE", help="results, a .md goes beside it (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
