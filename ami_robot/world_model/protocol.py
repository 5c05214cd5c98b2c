"""What the planner asks of a world model, whether it runs in this process or behind a service."""

from __future__ import annotations

from typing import Protocol

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
