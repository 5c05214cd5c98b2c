"""What a cost is, and how several add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ami_robot.types import Array, Belief, Goal, Outcomes


class CostError(ValueError):
    """The costs cannot judge this goal."""


@dataclass(frozen=True)
class Imagined:
    """N candidates as costs see them: where they start, what they do, what the world model says comes of it."""

    belief: Belief
    goal: Goal
    actions: Array  # (N, H, ACTION_DIM), m
    outcomes: Outcomes


@dataclass(frozen=True)
class Slopes:
    """How the costs of N candidates change with what they do and with what comes of it."""

    actions: Array  # (N, H, ACTION_DIM)
    image_latents: Array  # (N, H, D)
    proprio: Array  # (N, H, PROPRIO_DIM)

    @classmethod
    def none(cls, imagined: Imagined) -> Slopes:
        """All zero, to be filled in."""
        outcomes = imagined.outcomes
        shapes = imagined.actions.shape, outcomes.image_latents.shape, outcomes.proprio.shape
        return cls(*(np.zeros(shape) for shape in shapes))


class Cost(Protocol):
    """One term: lower is better, never negative, NaN where an outcome is NaN."""

    name: str
    measures_goal: bool  # or only how the motion looks

    def applies_to(self, goal: Goal) -> bool:
        """Whether this term has something to say about such a goal."""
        ...

    def __call__(self, imagined: Imagined) -> Array:
        """(N,): the cost of each candidate."""
        ...

    def slopes(self, imagined: Imagined) -> Slopes:
        """The derivatives of that cost; zero in what it does not look at, and at its kinks."""
        ...


class WeightedSum:
    """Terms with their weights; `names` says which of them judge."""

    def __init__(self, terms: Mapping[Cost, float]) -> None:
        self._terms = dict(terms)

    def for_goal(self, goal: Goal) -> WeightedSum:
        """The part of the sum that can judge `goal`.

        Raises:
            CostError: none of the terms can.
        """
        terms = {term: weight for term, weight in self._terms.items() if term.applies_to(goal)}
        if not any(term.measures_goal for term in terms):
            names = ", ".join(term.name for term in self._terms)
            raise CostError(f"none of the costs ({names}) measures the distance to this goal")
        return WeightedSum(terms)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of `terms`."""
        return tuple(term.name for term in self._terms)

    def terms(self, imagined: Imagined) -> Array:
        """(N, number of terms): each already multiplied by its weight, so that a row sums to its cost."""
        return np.stack([weight * term(imagined) for term, weight in self._terms.items()], axis=1)

    def slopes(self, imagined: Imagined) -> Slopes:
        """Of the sum."""
        total = Slopes.none(imagined)
        for term, weight in self._terms.items():
            slopes = term.slopes(imagined)
            for name in ("actions", "image_latents", "proprio"):
                getattr(total, name)[...] += weight * getattr(slopes, name)
        return total
