"""Suites of held-out episodes: a task, as it is or under a shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ami_robot.perception.camera import CameraModel
from ami_sim.collect import FIRST_SEED
from ami_sim.shifts import SHIFTS, shifted
from ami_sim.tasks import TASKS, Task

Key = tuple[str, str, int]
"""Suite, row and seed of an episode."""


class EvaluationError(ValueError):
    """An evaluation that cannot be made; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True)
class Suite:
    """Episodes by seed."""

    task: str  # of TASKS
    shift: str | None  # of SHIFTS

    @property
    def name(self) -> str:
        """As on the command line: `push`, `push:colour`."""
        return self.task if self.shift is None else f"{self.task}:{self.shift}"

    def episode(self, seed: int, camera: CameraModel) -> tuple[Task, CameraModel]:
        """What is asked, and where the camera is that sees it; always the same for the same seed."""
        task = TASKS[self.task](seed)
        return (task, camera) if self.shift is None else shifted(self.shift, task, camera)


def parse_suite(name: str) -> Suite:
    """The suite of a name. Raises EvaluationError: there is no such task or shift."""
    task, colon, shift = name.partition(":")
    if task not in TASKS:
        raise EvaluationError(f"there is no suite {name!r}; valid are {', '.join(TASKS)}, each also as TASK:SHIFT.")
    if colon and shift not in SHIFTS:
        raise EvaluationError(f"there is no shift {shift!r} of {task}; valid are {', '.join(SHIFTS)}.")
    return Suite(task, shift if colon else None)


def parse_suites(names: Sequence[str], with_shifts: bool) -> list[Suite]:
    """The suites of names, each once; `with_shifts`: each task under all shifts, too. Raises EvaluationError."""
    suites = [parse_suite(name) for name in names]
    if with_shifts:
        suites += [Suite(suite.task, shift) for suite in suites for shift in SHIFTS]
    return list(dict.fromkeys(suites))


def held_out_seeds(first: int, episodes: int) -> range:
    """The seeds of so many episodes. Raises EvaluationError when data may have been collected from one of them."""
    if first + episodes > FIRST_SEED:
        raise EvaluationError(
            f"seeds {first} to {first + episodes - 1} are not held out: from {FIRST_SEED} on they are for data; "
            "choose a smaller --seed."
        )
    return range(first, first + episodes)
