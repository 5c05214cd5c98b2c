"""Which of the guardrails' tests pass through which line of the package, and how long each takes.

Each file of tests is seen once for each state of it and of the package; what was seen is kept in data/mutation/.
Coverage does not see the lines of compiled loops: who calls one counts as passing through all of its lines, and through
those of the loops that it calls.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import coverage
import pytest
from numba.core.registry import CPUDispatcher
from tqdm import tqdm

from ami_robot.provenance import ROOT
from benchmarks.changed_package import PYTEST, Job, forget_package, side_by_side
from benchmarks.mutants import Mutant

TESTS = ("tests/safety", "tests/actor", "tests/cost")
LEFT_OUT = ("-k", "not within_its_time")  # of speed
KNOWN = ROOT / "data" / "mutation"
TEST_BUDGET_S = 60.0
SEEN_S = 900.0
SEEN = (int(pytest.ExitCode.OK), int(pytest.ExitCode.NO_TESTS_COLLECTED))  # those of a file may all be slow
_FIXTURE = "fixture "


class _Observer:
    """Which tests pass through which line of the package, and how long each takes, s."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self._measured, self._context = measured, ""
        self._users: dict[str, set[str]] = {}
        self._callers: dict[CPUDispatcher, set[str]] = defaultdict(set)

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

    def called(self, loop: CPUDispatcher) -> None:
        """A compiled loop is called now."""
        self._callers[loop].add(self._context)

    def lines(self) -> dict[str, dict[int, list[str]]]:
        """Tests that passed through them, of the package's files and their lines."""
        data = self._measured.get_data()
        found = {file: dict(data.contexts_by_lineno(file)) for file in sorted(data.measured_files())}
        for loop, callers in self._callers.items():
            for each in _with_those_it_calls(loop):
                code = each.py_func.__code__
                of_file = found.setdefault(code.co_filename, {})
                of_file |= {line: [*of_file.get(line, ()), *callers] for line in _lines(code)}
        return {
            str(Path(file).relative_to(ROOT)): {line: self._tests(contexts) for line, contexts in of_file.items()}
            for file, of_file in found.items()
        }

    def _tests(self, contexts: Iterable[str]) -> list[str]:
        """Contexts with those of fixtures replaced by the tests that use them."""
        return sorted({test for context in contexts for test in self._users.get(context, {context})})

    def _switch(self, context: str) -> None:
        self._context = context
        self._measured.switch_context(context)


def _with_those_it_calls(loop: CPUDispatcher) -> set[CPUDispatcher]:
    """A compiled loop, and what it calls."""
    found, waiting = set[CPUDispatcher](), [loop]
    while waiting:
        found.add(each := waiting.pop())
        names, known = each.py_func.__code__.co_names, each.py_func.__globals__
        called = {known[name] for name in names if isinstance(known.get(name), CPUDispatcher)}
        waiting += called - found
    return found


def _lines(code: CodeType) -> set[int]:
    """Those of a function's body."""
    return {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}


def _forget_cached() -> None:
    """What an earlier test had computed is computed again, so that every test that needs it passes through it."""
    for name in [name for name in sys.modules if name.startswith("ami_robot.")]:
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, functools._lru_cache_wrapper):
                value.cache_clear()


def see(tests: Path, target: Path) -> int:
    """Run a file of tests on the unchanged code; write their lines and seconds as JSON. Returns pytest's status."""
    forget_package()
    measured = coverage.Coverage(data_file=None, include=[f"{ROOT}/ami_robot/*"], config_file=False)
    observer = _Observer(measured)
    call = CPUDispatcher.__call__

    def seen_call(loop: CPUDispatcher, *arguments: Any) -> Any:
        observer.called(loop)
        return call(loop, *arguments)

    CPUDispatcher.__call__ = seen_call
    measured.start()
    try:
        status = pytest.main([*PYTEST, *LEFT_OUT, str(tests)], plugins=[observer])
    finally:
        measured.stop()
        CPUDispatcher.__call__ = call
    _keep({"seconds": observer.seconds, "lines": observer.lines()}, target)
    return int(status)


def _keep(found: dict[str, Any], target: Path) -> None:
    """Whole or not at all."""
    partial_file = target.with_suffix(".partial")
    partial_file.write_text(json.dumps(found))
    partial_file.replace(target)


def tests_sha256() -> str:
    """Of all that the tests are."""
    return _sha256_of(_python_files(*TESTS))


def seen_tests(workers: int) -> dict[str, Any]:
    """Seconds by test, and tests by file and line. Raises SystemExit where tests fail on the unchanged code."""
    jobs = list(_jobs())
    todo = [job for job in jobs if not job.what.exists()]
    with tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="file", desc="tests, unchanged code") as bar:
        for job, status in side_by_side(todo, workers):
            if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in SEEN:
                job.what.unlink(missing_ok=True)
                raise SystemExit(f"The tests do not pass on the unchanged code; see {job.log}.")
            bar.update()
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    for job in jobs:
        found = json.loads(job.what.read_text())
        seconds |= found["seconds"]
        for file, of_file in found["lines"].items():
            for line, tests in of_file.items():
                lines.setdefault(file, {}).setdefault(line, []).extend(tests)
    return {"seconds": seconds, "lines": lines}


def _jobs() -> Iterator[Job[Path]]:
    """What is to be seen of each file of tests, and where it is kept then."""
    files = _python_files(*TESTS)
    tests = [file for file in files if file.name.startswith("test_")]
    others = [*_python_files("ami_robot"), *(file for file in files if file not in tests)]
    for file in tests:
        name = f"{file.parent.name}_{file.stem}"
        target = KNOWN / f"{name}_{_sha256_of([file, *others])[:12]}.json"
        yield Job(target, partial(see, file, target), KNOWN / f"{name}.log", SEEN_S)


def _python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _sha256_of(paths: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def tests_of(mutant: Mutant, seen: dict[str, Any]) -> list[str]:
    """Tests that pass through the mutant's line, fastest first. Code that runs on import: all that use the file."""
    lines = {int(line): tests for line, tests in seen["lines"].get(mutant.file, {}).items()}
    nearest = max((line for line in lines if line <= mutant.line), default=None)
    tests = set(lines[nearest]) if nearest is not None else set()
    if "" in tests or not mutant.scope:
        tests = {test for of_line in lines.values() for test in of_line}
    chosen: list[str] = []
    total_s = 0.0
    for test in sorted(tests - {""}, key=lambda test: seen["seconds"][test]):
        total_s += seen["seconds"][test]
        if total_s > TEST_BUDGET_S and chosen:
            break
        chosen.append(test)
    return chosen
