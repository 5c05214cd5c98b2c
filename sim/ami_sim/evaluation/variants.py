"""Agents that differ in one number of their task file, each a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from ami_robot.strict import read_yaml
from ami_sim.evaluation.suites import EvaluationError


def variants(tasks: Sequence[Path], asked: str, folder: Path) -> list[Path]:
    """For `SECTION.KEY=VALUE,VALUE...`, a copy of each task file with each of the values, in `folder`.

    Raises:
        EvaluationError: that is not of this form, or a task has no such key.
        StrictError: a task file cannot be read.
    """
    name, _, values = asked.partition("=")
    section, _, key = name.partition(".")
    made = []
    for task in tasks:
        for value in values.split(","):
            data = read_yaml(task)
            settings = data.get(section)
            if not value or not isinstance(settings, dict) or key not in settings:
                raise EvaluationError(
                    f"--vary {asked}: {task.name} has no such value; say SECTION.KEY=VALUE,VALUE for a key that it "
                    "has, such as contacts.candidates=2,8,16."
                )
            settings[key] = yaml.safe_load(value)
            made.append(folder / f"{task.stem}_{key}_{value.replace('/', '_')}.yaml")
            made[-1].write_text(yaml.safe_dump(data, sort_keys=False))
    return made
