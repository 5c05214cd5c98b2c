"""What the planner asks of a world model, whether it runs in this process or behind a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ami_robot.types import Array, Outcomes


class WorldModel(Protocol):
    """Says what action sequences would do, in representation space."""

    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """Roll N action sequences out from one belief.

        Args:
            image_latent: (D,).
            proprio: (PROPRIO_DIM,), m and m/s, see `ami_robot.types`.
            actions: (N, H, ACTION_DIM), m: tool displacements and gripper widths, one for each model step.

        Returns:
            Outcomes after each of the H steps. A value the model cannot give is NaN, never a guess.
        """
        ...


PullBack = Callable[[Array, Array], Array]
"""Slopes of a number in image latents (N, H, D) and proprioception (N, H, P) -> its slopes in the actions (N, H, A)."""


@runtime_checkable
class LocalWorldModel(WorldModel, Protocol):
    """One in this process, not behind a service: it can be asked often, and how outcomes change with actions."""

    def step(self, image_latents: Array, proprio: Array, actions: Array) -> tuple[Array, Array]:
        """One step from each of N beliefs: (N, D), (N, PROPRIO_DIM) and (N, ACTION_DIM) -> (N, D), (N, PROPRIO_DIM)."""
        ...

    def differentiate(self, image_latent: Array, proprio: Array, actions: Array) -> tuple[Outcomes, PullBack]:
        """What `predict` says of the same arguments, and what carries slopes back from outcomes to actions."""
        ...
