"""Action sequences side by side: what was tried, and what passed the guardrails and was imagined."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ami_robot.actor.gripper import Schedules
from ami_robot.types import Array, Plan

SomeRows = TypeVar("SomeRows", bound="Rows")


@dataclass(frozen=True)
class Rows:
    """Arrays (or further Rows) with one row for each candidate, selected and joined together."""

    def take(self: SomeRows, rows: NDArray[np.integer | np.bool_]) -> SomeRows:
        """Some of the rows, in the given order."""
        return type(self)(*(v.take(rows) if isinstance(v, Rows) else v[rows] for v in self._values()))

    def joined(self: SomeRows, other: SomeRows) -> SomeRows:
        """The rows of both."""
        pairs = zip(self._values(), other._values(), strict=True)
        return type(self)(*(a.joined(b) if isinstance(a, Rows) else np.concatenate([a, b]) for a, b in pairs))

    def _values(self) -> list[Any]:
        return [getattr(self, f.name) for f in fields(self)]


@dataclass(frozen=True)
class Sequences(Rows):
    """What a planner would like to try."""

    drawn: Array  # (N, H, 3), m: what the search varies, the displacements or what is added to a policy's
    schedules: Schedules  # (N,): of the gripper
    actions: Array  # (N, H, ACTION_DIM), m


@dataclass(frozen=True)
class Candidates(Rows):
    """The same with what the guardrails say of it."""

    sequences: Sequences
    joint_paths: Array  # (N, H, J), rad
    feasible: NDArray[np.bool_]  # (N,)
    margin: Array  # (N,)
    row: NDArray[np.object_]  # (N,)


@dataclass(frozen=True)
class Pool(Rows):
    """Candidates that passed the mask, were imagined, and whose outcomes passed too."""

    sequences: Sequences
    joint_paths: Array  # (N, H, J), rad
    margin: Array  # (N,)
    tool_paths: Array  # (N, H, 3), m
    spread: Array  # (N,), the widest along each; NaN where the world model gives none
    terms: Array  # (N, number of cost terms)

    def best(self, count: int) -> Pool:
        """The cheapest, cheapest first."""
        return self.take(np.argsort(self.terms.sum(axis=1), kind="stable")[:count])

    def plan(self, names: tuple[str, ...], candidates: int, masked: int, iterations: int) -> Plan:
        """The first row as a plan; `names` are those of the terms."""
        return Plan(
            actions=self.sequences.actions[0],
            joint_path=self.joint_paths[0],
            imagined_tool_path=self.tool_paths[0],
            cost=float(self.terms[0].sum()),
            cost_terms={name: float(value) for name, value in zip(names, self.terms[0], strict=True)},
            candidates=candidates,
            masked=masked,
            margin=float(self.margin[0]),
            iterations=iterations,
            spread=float(self.spread[0]),
        )
