"""Would the tests notice? Mutation score of the guardrails, and for each of them whether a test dies without it.

    OMP_NUM_THREADS=1 python -m benchmarks.mutation                         every mutant of every file (hours)
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --sample 300 --seed 0   a random sample, and a 95 % interval
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --files ami_robot/safety/motion.py
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --rows                  delete each guardrail, run its test
    OMP_NUM_THREADS=1 python -m benchmarks.mutation --rows people staleness   only these

A mutant (see benchmarks/mutants.py) is killed when a test fails, cannot be imported, or takes too long. Each runs the
tests that pass through its line, fastest first, in a process forked from one that has loaded the libraries already.
Coverage does not see the lines of compiled loops, so it looks on while they are interpreted.
What is known is kept in data/mutation/ and not run again: a killed mutant as long as its file stays the same, a
survivor as long as the tests do, too. Property tests draw the same examples every time. Mutants that change nothing
are listed with the reason in benchmarks/equivalent_mutants.yaml and not counted.
"""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import numba
import pytest
import yaml
from tqdm import tqdm

from ami_robot.provenance import ROOT, commit
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.safety.table import TABLE
from ami_robot.statistics import wilson_interval
from benchmarks.changed_package import INSIDE, PYTEST, SLOWER, forget_package, run_changed, start
from benchmarks.mutants import Mutant, mutants, mutated, string_constants, without_row

TESTS = ("tests/safety", "tests/actor", "tests/cost")
LEFT_OUT = ("-k", "not within_its_time")  # of speed
DATA_FILES = ("arm_panda.py", "arm_ur5e.py", "arms.py", "__init__.py")  # tables of numbers; they would raise the score
OTHER_FILES = ("ami_robot/actor/planner.py",)
EQUIVALENT = ROOT / "benchmarks" / "equivalent_mutants.yaml"
RESULT = ROOT / "benchmarks" / "results" / "mutation.json"
KNOWN = ROOT / "data" / "mutation"
LOADED_ONCE = ("hypothesis.extra.numpy", "torch", "pybullet", "pinocchio", "coal", "daqp", "numba")
TEST_BUDGET_S = 30.0
ROW_S, OBSERVED_S = 300.0, 7200.0
SLACK_S = 120.0  # the loops of a changed module are compiled anew
_FIXTURE = "fixture "
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


class _Observer:
    """Which tests pass through which line, and how long each takes, s."""

    def __init__(self, measured: coverage.Coverage | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._measured, self._context = measured, ""
        self._users: dict[str, set[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """One context a test function."""
        test, began_s = item.nodeid.split("[")[0], time.monotonic()
        for fixture in getattr(item, "fixturenames", ()):
            self._users.setdefault(_FIXTURE + fixture, set()).add(test)
        self._switch(test)
        _forget_cached()
        result = yield
        self._switch("")
        self.seconds[test] = self.seconds.get(test, 0.0) + time.monotonic() - began_s
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        """A context for each fixture that several tests share: the first of them is not the only one to use it."""
        before = self._context
        if fixturedef.scope != "function":
            self._switch(_FIXTURE + fixturedef.argname)
        result = yield
        self._switch(before)
        return result

    def tests(self, contexts: list[str]) -> list[str]:
        """Contexts with those of fixtures replaced by the tests that use them."""
        return sorted({test for context in contexts for test in self._users.get(context, {context})})

    def _switch(self, context: str) -> None:
        self._context = context
        if self._measured is not None:
            self._measured.switch_context(context)


def _forget_cached() -> None:
    """What an earlier test had computed is computed again, so that every test that needs it passes through it."""
    for name in [name for name in sys.modules if name.startswith("ami_robot.")]:
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, functools._lru_cache_wrapper):
                value.cache_clear()


def observe_lines(target: Path) -> int:
    """Run all tests on the unchanged code, its loops interpreted; write which pass through which line as JSON.

    Returns 0: tests of what only compiled loops do may fail here.
    """
    numba.config.DISABLE_JIT = True
    measured = coverage.Coverage(data_file=None, include=[f"{ROOT}/ami_robot/*"], config_file=False)
    observer = _Observer(measured)
    measured.start()
    pytest.main([*PYTEST, *LEFT_OUT, *TESTS], plugins=[observer])
    measured.stop()
    data = measured.get_data()
    lines = {
        str(Path(file).relative_to(ROOT)): {
            line: observer.tests(contexts) for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in sorted(data.measured_files())
    }
    target.write_text(json.dumps(lines))
    return 0


def observe_seconds(target: Path) -> int:
    """Run all tests on the unchanged code; write how long each takes as JSON. Returns pytest's status."""
    observer = _Observer()
    status = pytest.main([*PYTEST, *LEFT_OUT, *TESTS], plugins=[observer])
    target.write_text(json.dumps(observer.seconds))
    return int(status)


def tests_of(mutant: Mutant, observed: dict[str, Any]) -> list[str]:
    """Tests that pass through the mutant's line, fastest first. Code that runs on import: all that use the file."""
    lines = {int(line): tests for line, tests in observed["lines"].get(mutant.file, {}).items()}
    nearest = max((line for line in lines if line <= mutant.line), default=None)
    tests = set(lines[nearest]) if nearest is not None else set()
    if "" in tests or not mutant.scope:
        tests = {test for of_line in lines.values() for test in of_line}
    chosen: list[str] = []
    total_s = 0.0
    for test in sorted(tests - {""}, key=lambda test: observed["seconds"][test]):
        total_s += observed["seconds"][test]
        if total_s > TEST_BUDGET_S and chosen:
            break
        chosen.append(test)
    return chosen


class Known:
    """What earlier runs found, one JSON line each."""

    def __init__(self, tests_sha256: str) -> None:
        self._tests_sha256 = tests_sha256
        self._file = KNOWN / "mutants.jsonl"
        lines = self._file.read_text().splitlines() if self._file.exists() else []
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
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _key(self, mutant: Mutant, sources: dict[str, str]) -> str:
        text = f"{sources[mutant.file]}\0{mutant.file}\0{mutant.node}\0{mutant.variant}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def run_mutants(chosen: list[Mutant], sources: dict[str, str], known: Known, observed: Any, workers: int) -> None:
    """Run what is not known yet, `workers` at a time, with a bar that tells how long it will take."""
    waiting = [mutant for mutant in chosen if known.status(mutant, sources) is None]
    running: dict[int, Mutant] = {}
    with tqdm(total=len(chosen), initial=len(chosen) - len(waiting), unit="mutant", smoothing=0.05) as bar:
        while waiting or running:
            while waiting and len(running) < workers:
                mutant = waiting.pop()
                tests = tests_of(mutant, observed)
                if not tests:
                    known.add(mutant, sources, "survived")
                    bar.update()
                    continue
                limit_s = SLACK_S + SLOWER * sum(observed["seconds"][test] for test in tests)
                work = _mutant_work(mutant, sources[mutant.file], tests)
                child = start(work, KNOWN / f"worker{len(running)}.log", limit_s)
                running[child] = mutant
            for child, status in _ended(running):
                known.add(running.pop(child), sources, status)
                bar.update()


def _mutant_work(mutant: Mutant, source: str, tests: list[str]) -> Callable[[], int]:
    def change(file: Path) -> ast.Module | None:
        return mutated(source, mutant) if file == ROOT / mutant.file else None

    return lambda: run_changed(change, tests)


def _ended(running: dict[int, Mutant]) -> Iterator[tuple[int, str]]:
    """Processes that ended, and what that says of their mutants. A signal ended those that took too long."""
    time.sleep(0.02)
    for child in list(running):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            signalled = os.WIFSIGNALED(status)
            passed = not signalled and os.WEXITSTATUS(status) == PASSED
            yield child, "survived" if passed else "timeout" if signalled else "killed"


def delete_rows(rows: Collection[str]) -> dict[str, bool]:
    """For each of these guardrails: does the test that the table names fail when the guardrail is deleted?"""
    dies = {}
    for entry in tqdm([entry for entry in TABLE if entry.row in rows], unit="row"):
        work = _row_work(entry.row, entry.test)
        _, status = os.waitpid(start(work, KNOWN / f"row_{entry.row}.log", ROW_S), 0)
        dies[entry.row] = os.WIFEXITED(status) and os.WEXITSTATUS(status) == FAILED
    return dies


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
    written = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.rows is not None:
        written["rows"] = dies = delete_rows(args.rows or [entry.row for entry in TABLE])
        survivors = [row for row, died in dies.items() if not died]
        print(f"{len(dies) - len(survivors)} of {len(dies)} guardrails have a test that dies without them.")
        print("\n".join(f"  no test dies: {row}, see {KNOWN}/row_{row}.log" for row in survivors))
    else:
        written |= _score(args)
        survivors = written["survivors"]
        print("\n".join(survivors))
        low, high = written["interval_95"]
        print(
            f"score {written['score']:.1%} ({low:.1%} to {high:.1%}), {len(survivors)} of {written['mutants']} survived"
        )
    written |= _made_with()
    args.out.write_text(json.dumps(written, indent=1) + "\n")
    return 1 if args.rows is not None and survivors else 0


def _score(args: argparse.Namespace) -> dict[str, Any]:
    sources = {file: (ROOT / file).read_text() for file in args.files}
    equivalent = load_equivalent()
    every = [mutant for file, source in sources.items() for mutant in mutants(source, file)]
    counted = [mutant for mutant in every if not is_equivalent(mutant, equivalent)]
    chosen = random.Random(args.seed).sample(counted, min(args.sample or len(counted), len(counted)))
    tests_sha256 = _sha256_of(sorted(path for folder in TESTS for path in (ROOT / folder).rglob("*.py")))
    observed = _observed(tests_sha256)
    known = Known(tests_sha256)
    run_mutants(chosen, sources, known, observed, args.workers)
    found = summary(chosen, sources, known)
    return {**found, "all_mutants": len(every), "equivalent": len(every) - len(counted), "sample_seed": args.seed}


def _observed(tests_sha256: str) -> dict[str, Any]:
    """Lines and times of the tests, kept as long as tests and sources stay the same."""
    package_sha256 = _sha256_of(sorted((ROOT / "ami_robot").rglob("*.py")))
    observed: dict[str, Any] = {}
    for what, observe in (("seconds", observe_seconds), ("lines", observe_lines)):
        target = KNOWN / f"{what}_{tests_sha256[:8]}_{package_sha256[:8]}.json"
        if not target.exists():
            print(f"The tests run once on the unchanged code, for the {what}.", flush=True)
            log = KNOWN / f"{what}.log"
            _, status = os.waitpid(start(partial(_observe_afresh, observe, target), log, OBSERVED_S), 0)
            if status != 0:
                target.unlink(missing_ok=True)
                raise SystemExit(f"The tests do not pass on the unchanged code; see {log}.")
        observed[what] = json.loads(target.read_text())
    return observed


def _observe_afresh(observe: Callable[[Path], int], target: Path) -> int:
    forget_package()
    return observe(target)


def _sha256_of(paths: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


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
    parser.add_argument("--out", type=Path, default=RESULT, metavar="FILE", help="default: benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
