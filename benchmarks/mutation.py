"""Would the tests notice? Mutation score of the guardrails, and for each of them whether a test dies without it.

    OMP_NUM_THREADS=1 python -m benchmarks.mutation                         every mutant of every file (hours)
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --sample 300 --seed 0   a random sample, and a 95 % interval
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --files ami_robot/safety/motion.py
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --rows                  delete each guardrail, run its test
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --rows people staleness   only these

A mutant (see benchmarks/mutants.py) is killed when a test fails, cannot be imported, or takes too long. Each runs the
tests that pass through its line, fastest first, in a process forked from one that has loaded the libraries already.
What is known is kept in benchmarks/results/mutants.jsonl and not run again: a killed mutant as long as its file stays
the same, a survivor as long as the tests do, too. Ctrl-C keeps what is done. Property tests draw the same examples
every time. Mutants that change nothing are listed with the reason in benchmarks/equivalent_mutants.yaml, and not
counted.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import yaml
from tqdm import tqdm

from ami_robot.pool import INTERRUPTED
from ami_robot.provenance import ROOT, commit
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.safety.table import TABLE
from ami_robot.statistics import wilson_interval
from benchmarks.changed_package import INSIDE, SLOWER, Job, run_changed, side_by_side
from benchmarks.mutants import Mutant, mutants, mutated, string_constants, without_row
from benchmarks.seen_lines import KNOWN, seen_tests, tests_of, tests_sha256

DATA_FILES = ("arm_panda.py", "arm_ur5e.py", "arms.py", "__init__.py")  # tables of numbers; they would raise the score
OTHER_FILES = ("ami_robot/actor/planner.py",)
EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutants.yaml"
RESULT = ROOT / "benchmarks" / "results" / "mutation.json"
FOUND = ROOT / "benchmarks" / "results" / "mutants.jsonl"
LOADED_ONCE = ("hypothesis.extra.numpy", "torch", "pybullet", "pinocchio", "coal", "daqp", "numba")
ROW_S = 300.0
SLACK_S = 120.0  # the loops of a changed module are compiled anew
PASSED, FAILED = 0, 1  # pytest's exit statuses


def _without_jitter(spec: Spec) -> Spec:
    return replace(spec, transport=replace(spec.transport, jitter_s=0.0))


def _without_force(spec: Spec) -> Spec:
    row = spec.power_and_force
    regions = tuple(replace(region, max_force_n=1e9) for region in row.regions)
    return replace(spec, power_and_force=replace(row, regions=regions))


def _without_hazard(spec: Spec) -> Spec:
    row = spec.tool_hazard
    classes = tuple(replace(tool, max_energy_j=1e9, may_face_people=True) for tool in row.classes)
    return replace(spec, tool_hazard=replace(row, classes=classes))


HARMLESS: dict[str, Callable[[Spec], Spec]] = {
    "transport": _without_jitter,
    "power_and_force": _without_force,
    "tool_hazard": _without_hazard,
}
"""Rows that change what others allow instead of refusing: with these numbers they do nothing."""


def files() -> list[str]:
    """The files whose mutants are counted."""
    safety = sorted(path for path in (ROOT / "ami_robot" / "safety").glob("*.py") if path.name not in DATA_FILES)
    return [*(str(path.relative_to(ROOT)) for path in safety), *OTHER_FILES]


class Known:
    """What earlier runs found, one JSON line each."""

    def __init__(self, tests_sha256: str) -> None:
        self._tests_sha256 = tests_sha256
        lines = FOUND.read_text().splitlines() if FOUND.exists() else []
        self._status = {line["key"]: line for line in map(json.loads, lines)}

    def status(self, mutant: Mutant, sources: dict[str, str]) -> str | None:
        """'killed', 'timeout' or 'survived'; None when it has to be run."""
        line = self._status.get(self._key(mutant, sources))
        stale = line is None or (line["status"] == "survived" and line["tests"] != self._tests_sha256)
        return None if line is None or stale else line["status"]

    def add(self, mutant: Mutant, sources: dict[str, str], status: str) -> None:
        """Keep it for this run and the next ones."""
        line = {"key": self._key(mutant, sources), "status": status, "tests": self._tests_sha256}
        self._status[line["key"]] = line
        with FOUND.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _key(self, mutant: Mutant, sources: dict[str, str]) -> str:
        text = f"{sources[mutant.file]}\0{mutant.file}\0{mutant.node}\0{mutant.variant}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def run_mutants(chosen: list[Mutant], sources: dict[str, str], known: Known, seen: Any, workers: int) -> None:
    """Run what is not known yet, `workers` at a time, with a bar that tells how long it will take."""
    waiting = [mutant for mutant in chosen if known.status(mutant, sources) is None]
    tests = {mutant: tests_of(mutant, seen) for mutant in waiting}
    jobs = [_mutant_job(mutant, sources[mutant.file], tests[mutant], seen) for mutant in waiting if tests[mutant]]
    with tqdm(total=len(chosen), initial=len(chosen) - len(jobs), unit="mutant", smoothing=0.05) as bar:
        for mutant in waiting:
            if not tests[mutant]:
                known.add(mutant, sources, "survived")
        for job, status in side_by_side(jobs, workers):
            known.add(job.what, sources, _said_by(status))
            job.log.unlink()
            bar.update()


def _mutant_job(mutant: Mutant, source: str, tests: list[str], seen: Any) -> Job[Mutant]:
    def change(file: Path) -> ast.Module | None:
        return mutated(source, mutant) if file == ROOT / mutant.file else None

    log = KNOWN / f"mutant_{Path(mutant.file).stem}_{mutant.node}_{mutant.variant}.log"
    limit_s = SLACK_S + SLOWER * sum(seen["seconds"][test] for test in tests)
    return Job(mutant, lambda: run_changed(change, tests), log, limit_s)


def _said_by(status: int) -> str:
    """What a process's end says of its mutant; a signal ended those that took too long."""
    if os.WIFSIGNALED(status):
        return "timeout"
    return "survived" if os.WEXITSTATUS(status) == PASSED else "killed"


def delete_rows(rows: Collection[str], workers: int) -> dict[str, bool]:
    """For each of these guardrails: does the test that the table names fail when the guardrail is deleted?"""
    jobs = [
        Job(entry.row, _row_work(entry.row, entry.test), KNOWN / f"row_{entry.row}.log", ROW_S)
        for entry in TABLE
        if entry.row in rows
    ]
    dies = {}
    for job, status in tqdm(side_by_side(jobs, workers), total=len(jobs), unit="row"):
        dies[job.what] = os.WIFEXITED(status) and os.WEXITSTATUS(status) == FAILED
    return {job.what: dies[job.what] for job in jobs}


def _row_work(row: str, test: str) -> Callable[[], int]:
    if row in HARMLESS:
        return lambda: run_changed(lambda file: None, [test], HARMLESS[row])
    trees = {file: ast.parse(file.read_text()) for file in (ROOT / "ami_robot").rglob("*.py")}
    constants = {name: text for tree in trees.values() for name, text in string_constants(tree).items()}
    return lambda: run_changed(lambda file: without_row(trees[file], row, constants), [test])


def summary(chosen: list[Mutant], sources: dict[str, str], known: Known) -> dict[str, Any]:
    """Score in all and by file, and the survivors."""
    of_file: dict[str, dict[str, int]] = {}
    survivors = []
    for mutant in chosen:
        status = known.status(mutant, sources)
        assert status is not None, "every chosen mutant was run"
        counts = of_file.setdefault(mutant.file, {"killed": 0, "timeout": 0, "survived": 0})
        counts[status] += 1
        if status == "survived":
            survivors.append(f"{mutant.file}:{mutant.line} {mutant.scope}: {' '.join(mutant.change.split())}")
    survived, total = len(survivors), len(chosen)
    return {
        "score": (total - survived) / total,
        "interval_95": list(wilson_interval(total - survived, total)),
        "mutants": total,
        "survived": survived,
        "files": of_file,
        "survivors": survivors,
    }


def is_equivalent(mutant: Mutant, equivalent: set[tuple[str, str, str]]) -> bool:
    """Whether it is listed as one that changes nothing."""
    return (mutant.file, mutant.scope, " ".join(mutant.change.split())) in equivalent


def load_equivalent() -> set[tuple[str, str, str]]:
    """(file, scope, change) of each listed mutant."""
    listed = yaml.safe_load(EQUIVALENT.read_text()) or []
    return {(item["file"], item["scope"], " ".join(item["change"].split())) for item in listed}


def summary_file(args: argparse.Namespace) -> Path | None:
    """Where the summary goes. What was found of some rows or files is not written over that of all."""
    return args.out or (None if args.rows or args.files != files() else RESULT)


def main() -> int:
    """Run, print the score and the survivors, write the summary."""
    args = _arguments()
    if INSIDE in os.environ:
        raise SystemExit("A mutant's tests must not run mutants.")
    KNOWN.mkdir(parents=True, exist_ok=True)
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, print_blob=False,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutation")
    for library in LOADED_ONCE:
        import_module(library)
    out = summary_file(args)
    written = json.loads(out.read_text()) if out and out.exists() else {}
    if args.rows is not None:
        dies = delete_rows(args.rows or [entry.row for entry in TABLE], args.workers)
        written["rows"] = {"dies": dies} | _made_with()
        survivors = [row for row, died in dies.items() if not died]
        print(f"{len(dies) - len(survivors)} of {len(dies)} guardrails have a test that dies without them.")
        print("\n".join(f"  no test dies: {row}, see {KNOWN}/row_{row}.log" for row in survivors))
    else:
        written["mutants"] = score = _score(args) | _made_with()
        survivors = score["survivors"]
        print("\n".join(survivors))
        low, high = score["interval_95"]
        print(f"score {score['score']:.1%} ({low:.1%} to {high:.1%}), {len(survivors)} of {score['mutants']} survived")
    if out:
        out.write_text(json.dumps(written, indent=1) + "\n")
    return 1 if args.rows is not None and survivors else 0


def _score(args: argparse.Namespace) -> dict[str, Any]:
    sources = {file: (ROOT / file).read_text() for file in args.files}
    equivalent = load_equivalent()
    every = [mutant for file, source in sources.items() for mutant in mutants(source, file)]
    counted = [mutant for mutant in every if not is_equivalent(mutant, equivalent)]
    chosen = random.Random(args.seed).sample(counted, min(args.sample or len(counted), len(counted)))
    known = Known(tests_sha256())
    run_mutants(chosen, sources, known, seen_tests(args.workers), args.workers)
    found = summary(chosen, sources, known)
    return {**found, "all_mutants": len(every), "equivalent": len(every) - len(counted), "sample_seed": args.seed}


def _made_with() -> dict[str, str]:
    return {
        "command": " ".join(["python -m benchmarks.mutation", *sys.argv[1:]]),
        "commit": commit(),
        "spec_sha256": load_spec().sha256,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=files(), metavar="FILE", help="default: all of the guardrails")
    parser.add_argument("--sample", type=int, metavar="N", help="that many at random instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (default %(default)s)")
    parser.add_argument(
        "--rows",
        nargs="*",
        choices=[entry.row for entry in TABLE],
        metavar="ROW",
        help="delete whole guardrails instead: these, or all of them",
    )
    whole = f"default: {RESULT.relative_to(ROOT)}; where rows or files are named, none"
    parser.add_argument("--out", type=Path, metavar="FILE", help=whole)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
