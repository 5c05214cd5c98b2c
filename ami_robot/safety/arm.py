"""What an arm with its gripper is made of: frames, shape and weight. Lengths in m, angles in rad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ami_robot.types import Array


@dataclass(frozen=True)
class Body:
    """A rigid body in the frame of its link."""

    link: int  # 1 to J, or J + 1, the hand
    mass_kg: float
    center_m: tuple[float, float, float]
    inertia_kg_m2: tuple[float, float, float, float, float, float]  # xx, yy, zz, xy, xz, yz; about the centre of mass


@dataclass(frozen=True, eq=False)
class Arm:
    """J revolute joints, by modified Denavit-Hartenberg parameters (Craig's convention), and what they carry."""

    base_yaw_rad: float
    """Of the first frame in base_link."""

    lengths_m: tuple[float, ...]
    """a, (J,)."""

    twists: tuple[int, ...]
    """alpha, (J,), quarter turns."""

    offsets_m: tuple[float, ...]
    """d, (J,)."""

    flange_m: float
    """To the hand, along z of the last link."""

    hand_yaw_rad: float
    """Of the hand on the flange."""

    tool_m: float
    """To the point between the fingertips, along z of the hand."""

    ready: tuple[float, ...]
    """Posture (J,) in the middle of the work, gripper straight down."""

    spheres: tuple[tuple[int, float, float, float, float], ...]
    """That cover base, links and hand: link (0 the base, J + 1 the hand), centre in its frame, radius; by links."""

    bodies: tuple[Body, ...]

    can_meet: tuple[tuple[int, int], ...]
    """Links that a joint angle within the limits can bring together, neighbours left out."""

    inverse: Callable[[Arm, Array, Array, Array], Array]
    """Joint positions (..., J) for the tool at x, y, z (...), gripper straight down with yaw 0."""

    @property
    def joints(self) -> int:
        """How many: J."""
        return len(self.lengths_m)
