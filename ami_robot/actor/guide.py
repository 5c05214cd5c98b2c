"""What a search asks of a policy that it searches round."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ami_robot.actor.imagination import Query
from ami_robot.types import Array, Goal


class Guide(Protocol):
    """A policy, as a search sees it."""

    residual: bool
    """Whether the search is for what to add to the policy's actions, and not for the actions themselves."""

    def applies_to(self, goal: Goal) -> bool:
        """Whether it has anything to say about such a goal; where not, the search is free."""
        ...

    def proposals(self, query: Query, rng: np.random.Generator, horizon: int) -> Array:
        """(n, H, ACTION_DIM): sequences it might carry out, its own uncertainty drawn at every step."""
        ...

    def mean(self, query: Query, horizon: int) -> Array:
        """(H, ACTION_DIM): what it would carry out."""
        ...

    def added(self, query: Query, residuals: Array) -> Array:
        """(N, H, ACTION_DIM): what it would carry out with (N, H, 3), m, added to its displacements at each step."""
        ...
