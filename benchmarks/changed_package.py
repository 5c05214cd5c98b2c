"""Tests on a changed ami_robot, each in a process forked from one that has loaded the libraries already."""

from __future__ import annotations

import ast
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from ami_robot.pool import interrupts_wait
from ami_robot.provenance import ROOT

if TYPE_CHECKING:
    from ami_robot.safety.spec import Spec

# Without pytest's own time-outs: they would take the alarm that ends a process which takes too long.
PYTEST = ("-q", "-p", "no:cacheprovider", "-p", "no:timeout", "--no-header", "--tb=line",
          "-W", "ignore::pytest.PytestConfigWarning", "-m", "not graph and not slow")  # fmt: skip

INSIDE = "AMI_MUTATION"
"""Set in forked processes: what they run must not fork again."""

SLOWER = 3.0

Change = Callable[[Path], "ast.Module | None"]
"""A module's file -> what it becomes; None leaves it as it is."""


What = TypeVar("What")


@dataclass(frozen=True)
class Job(Generic[What]):
    """Work for a forked process."""

    what: What  # it is about
    work: Callable[[], int]  # the process exits with what it returns
    log: Path  # of its output
    limit_s: float  # of computing; on the clock SLOWER times as many


def side_by_side(jobs: Iterable[Job[What]], workers: int) -> Iterator[tuple[Job[What], int]]:
    """Do jobs in processes forked from this one, `workers` at a time; each with its wait status, as they end."""
    waiting, running = iter(jobs), dict[int, Job[What]]()
    try:
        while True:
            while len(running) < workers and (job := next(waiting, None)) is not None:
                with interrupts_wait():
                    running[_start(job.work, job.log, job.limit_s)] = job
            if not running:
                return
            child, status = os.wait()
            if child in running:
                yield running.pop(child), status
    finally:
        for child in running:
            os.kill(child, signal.SIGTERM)


def _start(work: Callable[[], int], log: Path, limit_s: float) -> int:
    child = os.fork()
    if child:
        return child
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.alarm(int(SLOWER * limit_s) + 1)
    os.environ[INSIDE] = "yes"
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 2))
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
    status = 3
    try:
        status = work()
    finally:
        os._exit(status)


def run_changed(change: Change, tests: list[str], harmless: Callable[[Spec], Spec] | None = None) -> int:
    """In a forked process: pytest's status on these tests with a changed package, or with other numbers of a row."""
    if not tests or not all(tests):
        raise ValueError("pytest without a test's name would run them all")
    forget_package()
    sys.meta_path.insert(0, _ChangedPackage(change))
    if harmless is not None:
        _change_spec(harmless)
    return int(pytest.main([*PYTEST, "-x", *tests]))


def _change_spec(harmless: Callable[[Spec], Spec]) -> None:
    from ami_robot.safety import spec as fresh

    load = fresh.load_spec
    fresh.load_spec = lambda path=None: harmless(load(path))


def forget_package() -> None:
    """Whatever of ours is imported next is read from its file again."""
    for name in [name for name in sys.modules if name.startswith("ami_")]:
        del sys.modules[name]


class _ChangedPackage(MetaPathFinder):
    """Imports modules of ami_robot from changed source."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module's own file, compiled after the change; None leaves it to the other finders."""
        file = ROOT / f"{name.replace('.', '/')}.py"
        tree = self._change(file) if name.startswith("ami_robot.") and file.exists() else None
        if tree is None:
            return None
        return spec_from_file_location(name, file, loader=_ChangedLoader(name, str(file), tree))


class _ChangedLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def exec_module(self, module: ModuleType) -> None:
        """Its loops are compiled anew: those that are kept are of the unchanged file."""
        if self.name != "ami_robot.safety.compiled":
            import_module("ami_robot.safety.compiled").NOT_KEPT.add(self.name)
        super().exec_module(module)

    def get_code(self, name: str) -> Any:
        """Code of the changed tree; never from or to a cache."""
        return compile(self._tree, self.path, "exec")
