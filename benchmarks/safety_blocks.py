"""Trials in blocks of a hundred seeds: run in worker processes, kept on disk one line each, never run twice.

A line says which seeds, of which guardrail file and code, what happened, and the least of every margin with its seed.
Lines of another guardrail file are thrown away: they are about other limits. Lines of other code are kept and told
apart, unless they are to be renewed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ami_robot.pool import results
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_sim.trials.baselines import KINDS, Baseline
from ami_sim.trials.cell import Cell, Outcome
from ami_sim.trials.kinematic import STATIC_FAMILIES, Guarded, KinematicCell
from ami_sim.trials.trial import Trial, draw

BLOCK = 100
KINEMATIC, BASELINES = "kinematic", "baselines"
KINEMATIC_SEEDS = 1_000_000  # the first of them: other trials than those in PyBullet

_ROOT = Path(__file__).parents[1]
_CODE = ("ami_robot/safety", "sim/ami_sim/trials")


@dataclass(frozen=True)
class Block:
    """Seeds `first_seed` to `first_seed + count - 1` of a series: a family, KINEMATIC or BASELINES."""

    series: str
    first_seed: int
    count: int = BLOCK


def blocks_of(series: str, episodes: int) -> list[Block]:
    """As many as it takes; the last one may be smaller."""
    return [Block(series, first, min(BLOCK, episodes - first)) for first in range(0, episodes, BLOCK)]


class Shards:
    """What is known, a file for each series."""

    def __init__(self, folder: Path, spec_sha256: str, renew: bool = False):
        self._folder, self._spec_sha256 = folder, spec_sha256
        self._renew = renew

    def lines(self, series: str) -> list[dict[str, Any]]:
        """The blocks that count."""
        path = self._folder / f"{series}.jsonl"
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [
            line
            for line in lines
            if line["spec_sha256"] == self._spec_sha256 and not (self._renew and line["code_sha256"] != code_sha256())
        ]

    def missing(self, blocks: list[Block]) -> list[Block]:
        """Those that were not run yet; throws away what does not count."""
        known = set()
        for series in dict.fromkeys(block.series for block in blocks):
            lines = self.lines(series)
            self._write(series, lines)
            known |= {(series, line["first_seed"], line["episodes"]) for line in lines}
        return [block for block in blocks if (block.series, block.first_seed, block.count) not in known]

    def append(self, series: str, line: dict[str, Any]) -> None:
        """A block is done."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{series}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _write(self, series: str, lines: list[dict[str, Any]]) -> None:
        path = self._folder / f"{series}.jsonl"
        if path.exists():  # whole or not at all
            partial = path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines))
            partial.replace(path)


def run_blocks(blocks: list[Block], shards: Shards, workers: int) -> None:
    """Run what is missing, with a progress bar. After Ctrl-C, what is done is kept."""
    missing = shards.missing(blocks)
    if not missing:
        return
    done = sum(block.count for block in blocks) - sum(block.count for block in missing)
    with (
        tqdm(total=sum(block.count for block in blocks), initial=done, unit="episode", smoothing=0.05) as bar,
        closing(results(run_block, missing, workers, code_sha256)) as lines,  # the code may change on disk meanwhile
    ):
        for block, line in lines:
            shards.append(block.series, line)
            bar.update(block.count)
            if line["events"] and block.series != BASELINES:
                bar.write(f"{block.series}: " + "; ".join(f"seed {e['seed']}: {e['what']}" for e in line["events"]))


def run_block(block: Block) -> dict[str, Any]:
    """A line for this block."""
    began = time.process_time()
    runs = {BASELINES: _baseline_runs, KINEMATIC: _kinematic_runs}.get(block.series, _physics_runs)
    line: dict[str, Any] = {
        "first_seed": block.first_seed,
        "episodes": block.count,
        "events": [],
        "motion_rad": 0.0,
        "decisions": Counter(),
        "least": {},
    }
    worlds, motions, harmed = hashlib.sha256(), Counter(), Counter()  # type: ignore[var-annotated]
    for row, trial, outcome in runs(block):
        if row == "guardrail":
            worlds.update(trial.digest)
            _add(line, trial, outcome)
        motions[row] += outcome.motion_rad  # type: ignore[assignment]
        harmed[row] += bool(outcome.events)
    if block.series == BASELINES:
        line |= {"motion_rad_of": dict(motions), "episodes_with_events": dict(harmed)}
    return line | {
        "worlds_sha256": worlds.hexdigest(),
        "spec_sha256": load_spec().sha256,
        "code_sha256": code_sha256(),
        "cpu_s": round(time.process_time() - began, 2),
    }


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Of the guardrails and the trials as they run: comments, docstrings and formatting do not count."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (_ROOT / folder).glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [  # type: ignore[attr-defined]
                    item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
                ]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


def _add(line: dict[str, Any], trial: Trial, outcome: Outcome) -> None:
    line["motion_rad"] = round(line["motion_rad"] + outcome.motion_rad, 4)
    line["decisions"].update(outcome.decisions)
    line["events"] += [{"seed": trial.seed, "family": trial.family, "what": what} for what in outcome.events]
    for margin, value in outcome.least.items():
        if value < line["least"].get(margin, [float("inf")])[0]:
            line["least"][margin] = [round(value, 5), trial.seed]


def _physics_runs(block: Block) -> Iterator[tuple[str, Trial, Outcome]]:
    kinematics, dynamics = _models()
    for seed in range(block.first_seed, block.first_seed + block.count):
        trial = draw(block.series, seed, load_spec_once(), kinematics, dynamics)
        yield "guardrail", trial, _cell().run(trial)


def _kinematic_runs(block: Block) -> Iterator[tuple[str, Trial, Outcome]]:
    for trial in _static_trials(block):
        yield "guardrail", trial, _kinematic_cell().run(trial, Guarded(trial, *_models()))


def _baseline_runs(block: Block) -> Iterator[tuple[str, Trial, Outcome]]:
    """All protections on the same trials. Displacements alone: the filter bends targets, not whole trajectories."""
    kinematics, dynamics = _models()
    for drawn in _static_trials(block):
        trial = replace(drawn, attack="hazard") if drawn.attack == "joints" else drawn
        yield "guardrail", trial, _kinematic_cell().run(trial, Guarded(trial, kinematics, dynamics))
        for kind in KINDS:
            yield kind, trial, _kinematic_cell().run(trial, Baseline(kind, trial, kinematics))


def _static_trials(block: Block) -> Iterator[Trial]:
    for seed in range(block.first_seed, block.first_seed + block.count):
        family = STATIC_FAMILIES[seed % len(STATIC_FAMILIES)]
        yield draw(family, KINEMATIC_SEEDS + seed, load_spec_once(), *_models())


load_spec_once = lru_cache(maxsize=1)(load_spec)


@lru_cache(maxsize=1)
def _models() -> tuple[Kinematics, Dynamics]:
    return Kinematics(), Dynamics()


@lru_cache(maxsize=1)
def _cell() -> Cell:
    return Cell(*_models())


@lru_cache(maxsize=1)
def _kinematic_cell() -> KinematicCell:
    return KinematicCell(_models()[0])
