"""What the comparison of solvers is made of: a search, its samples and iterations, with or without masks."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ami_robot.actor.icem import ICEM, ICEMSettings
from ami_robot.actor.imagination import Imagination
from ami_robot.agent import Agent
from ami_robot.world_model.protocol import WorldModel
from ami_sim.evaluation.contestants import Contestants, Entry
from ami_sim.evaluation.suites import EvaluationError
from benchmarks.solver_planner import CLASSES, NoMask, SolverPlanner, solver_class

OURS = "ours"
_CELL = re.compile(rf"({OURS}|{'|'.join(CLASSES)}):([1-9]\d*)x([1-9]\d*)(?::(masked|unmasked))?(:whole)?")
_NO_LIMIT_M = 1.0  # longer than any step
_ELITES, _LEAST_ELITES = 0.1, 2
"""Share of their samples that are elites: 30 of 300, their default. Two at least, for a standard deviation."""


@dataclass(frozen=True)
class Cell:
    """A row of the comparison."""

    solver: str  # ours, or one of CLASSES
    samples: int  # in each iteration
    iterations: int
    masked: bool  # whether the guardrails judge each candidate before it is imagined
    whole: bool = False  # whether steps may be as long near the goal as anywhere, unlike in our search as it ships

    @property
    def name(self) -> str:
        """As on the command line; what a solver does as it ships goes without saying."""
        masks = "" if self.masked == (self.solver == OURS) else ":masked" if self.masked else ":unmasked"
        return f"{self.solver}:{self.samples}x{self.iterations}{masks}{':whole' if self.whole else ''}"

    def box(self, shipped: ICEMSettings) -> ICEMSettings:
        """The task's settings with this cell's step limits."""
        return replace(shipped, min_step_limit_m=_NO_LIMIT_M) if self.whole else shipped

    def settings(self, shipped: ICEMSettings) -> ICEMSettings:
        """Ours with so many samples: elites and kept elites in proportion to those of the task."""
        share = self.samples / shipped.candidates
        elites = min(self.samples, max(_LEAST_ELITES, round(shipped.elites * share)))
        kept = min(elites, max(1, round(shipped.kept_elites * share)))
        return replace(
            self.box(shipped), candidates=self.samples, iterations=self.iterations, elites=elites, kept_elites=kept
        )

    def options(self, var_scale: float, seed: int) -> dict[str, Any]:
        """Of one of their solvers; what is not here is as they ship it."""
        elites = max(_LEAST_ELITES, round(_ELITES * self.samples))
        return {
            "num_samples": self.samples, "n_steps": self.iterations, "topk": elites, "var_scale": var_scale,
            "seed": seed,
        }  # fmt: skip


def parse_cell(text: str) -> Cell:
    """From `SOLVER:SAMPLESxITERATIONS[:masked|:unmasked][:whole]`. Raises EvaluationError for anything else."""
    found = _CELL.fullmatch(text)
    if found is None:
        raise EvaluationError(
            f"there is no cell {text!r}; a cell is SOLVER:SAMPLESxITERATIONS, with SOLVER {OURS}, "
            f"{', '.join(CLASSES)}, and perhaps :masked or :unmasked, and :whole, after it, such as cem:300x30."
        )
    solver, samples, iterations, masks, whole = found.groups()
    if int(samples) < _LEAST_ELITES:
        raise EvaluationError(f"cell {text!r} has too few samples; {_LEAST_ELITES} are the least.")
    return Cell(solver, int(samples), int(iterations), masks == "masked" if masks else solver == OURS, bool(whole))


class Solvers(Contestants):
    """Contestants whose rows are cells: the agent of the first task file, in which only the search is exchanged.

    A row named after one of the task files plays as that says.
    """

    def __init__(self, entry: Entry, cells: dict[str, Cell], var_scale: float, unwatched: bool = False) -> None:
        """With no monitor of the model's error in the cells, if they are to be `unwatched`.

        Raises EvaluationError: the task does not search with icem alone, or lets theirs search the gripper, or a
        solver's package is not there.
        """
        super().__init__(entry)
        self._base, *self._others = entry.agents
        self._unwatched = unwatched
        self._cells, self._var_scale = cells, var_scale
        task = self.tasks[self._base]
        if task.icem is None or task.policy is not None or task.caution is not None:
            raise EvaluationError(
                f"{entry.agents[self._base]} does not search with icem alone; solvers are compared with planner: icem "
                "and neither policy nor caution."
            )
        theirs = {cell.solver for cell in cells.values()} - {OURS}
        if theirs and task.icem.gripper != "hold":
            raise EvaluationError(
                f"{entry.agents[self._base]} has gripper: {task.icem.gripper}; {', '.join(sorted(theirs))} cannot "
                "choose among its schedules, so solvers are compared with gripper: hold."
            )
        self._classes = {solver: solver_class(solver) for solver in theirs}

    def agent(self, row: str, world_model: WorldModel | None = None) -> Agent:
        """That of the first task file, searching as the cell `row` says; or of the task file of that name."""
        agent = super().agent(row if row in self.tasks else self._base, world_model)
        if self._unwatched and row not in self._others:
            agent.monitor = None
        if row in self.tasks:
            return agent
        holder: Any = agent
        while not isinstance(holder.planner, ICEM):
            holder = holder.planner
        cell, shipped = self._cells[row], holder.planner
        parts: Imagination = shipped.imagination
        mask = parts.mask if cell.masked else NoMask(self._spec, self._kinematics)
        if cell.solver == OURS:
            holder.planner = ICEM(cell.settings(shipped.settings), mask, parts.world_model, parts.cost)
        else:
            options = cell.options(self._var_scale, shipped.settings.seed)
            make = partial(self._classes[cell.solver], **options)
            imagination = Imagination(mask, parts.world_model, parts.cost)
            holder.planner = SolverPlanner(make, cell.box(shipped.settings), imagination)
        return agent

    def settings(self, row: str) -> dict[str, Any]:
        """What the search of a row is given."""
        if row in self.tasks:
            return {"task_sha256": self.tasks[row].sha256}
        cell, shipped = self._cells[row], self.tasks[self._base].icem
        assert shipped is not None  # looked at above
        ours = cell.solver == OURS
        return asdict(cell.settings(shipped)) if ours else cell.options(self._var_scale, shipped.seed)
