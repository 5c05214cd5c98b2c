"""An evaluation from its question to results.json and report.html."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ami_robot.perception.checkpoint import write_whole
from ami_robot.pool import results as pool_results
from ami_robot.provenance import commit, load_average, machine
from ami_sim.evaluation.contestants import Contestants, Entry
from ami_sim.evaluation.film import film
from ami_sim.evaluation.page import page
from ami_sim.evaluation.run import run_missing
from ami_sim.evaluation.states import FAILURES
from ami_sim.evaluation.suites import Key, Suite
from ami_sim.evaluation.summary import pairs_of, row_of
from ami_sim.evaluation.table import Table

RESULTS, REPORT = "results.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """What is asked: rows, and the seeds of each suite."""

    entry: Entry
    seeds: dict[Suite, range]

    @property
    def keys(self) -> list[Key]:
        """Of all episodes; rows of a seed next to each other, so that what is done can be compared at any time."""
        return [
            (suite.name, row, seed) for suite, seeds in self.seeds.items() for seed in seeds for row in self.entry.rows
        ]

    def open(self, folder: Path) -> Table:
        """The table, begun or to be gone on with. Raises errors of the models, EvaluationError for another's folder."""
        contestants = Contestants(self.entry)
        contestants.check()
        asked = {
            "seeds": {suite.name: [seeds.start, seeds.stop - 1] for suite, seeds in self.seeds.items()},
            "names": self.entry.rows,
            "full": self.entry.full,
        }
        return Table(folder, asked | contestants.identity())

    def run(self, table: Table, workers: int, on_episode: Callable[[dict], None]) -> None:
        """Run what is missing."""
        run_missing(table, self.entry, self.keys, commit(), workers, on_episode)

    def conclude(self, table: Table, command: str, workers: int, films: int, load: float) -> dict[str, Any]:
        """Write results.json and report.html, return the first; films: of how many failures of an agent in a suite."""
        of = {
            (suite, row): [table.episodes[suite.name, row, seed] for seed in seeds]
            for suite, seeds in self.seeds.items()
            for row in self.entry.rows
        }
        results = {
            "rows": [
                row_of(suite.name, row, episodes, of.get((Suite(suite.task, None), row)) if suite.shift else None)
                for (suite, row), episodes in of.items()
            ],
            "pairs": [
                pair
                for suite in self.seeds
                for pair in pairs_of(suite.name, {name: of[suite, name] for name in self.entry.agents})
            ],
            "command": command,
            "commit": ", ".join(sorted({table.episodes[key]["commit"] for key in self.keys})),
            "machine": machine(),
            "load_average": load_average(load),
            "workers": workers,
            **table.identity,
        }
        drawn = self._films(table, films, workers)
        content = page(results, {key: table.episodes[key] for key in self.keys}, drawn)
        write_whole(table.folder / REPORT, content.encode())
        write_whole(table.folder / RESULTS, (json.dumps(results, indent=1) + "\n").encode())
        return results

    def _films(self, table: Table, most: int, workers: int) -> dict[Key, Path]:
        """Of the first failures of each agent in each suite."""
        jobs = []
        for suite, seeds in self.seeds.items():
            for row in self.entry.agents:
                keys = [(suite.name, row, seed) for seed in seeds]
                failed = [key for key in keys if not table.episodes[key]["success"]]
                jobs += [(key, tuple(table.episodes[key]["errors_m"])) for key in failed[:most]]
        if not jobs:
            return {}
        draw = partial(film, table.folder / FAILURES)
        with closing(pool_results(draw, jobs, min(workers, len(jobs)))) as done:
            drawn = {key: path for (key, _), path in done}
        return {key: drawn[key] for key, _ in jobs}
