"""A knife, or a rod, in the hand: a body without mass that follows the hand, with its tip where HeldTool says it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pybullet

from ami_robot.types import Array
from ami_sim.people import INVISIBLE, quaternions_from_z

RADIUS_M = 0.004  # of the capsule that touches
HANDLE_M = 0.10  # held in its middle
STEEL, WOOD, RUBBER = (0.78, 0.80, 0.83, 1.0), (0.30, 0.18, 0.10, 1.0), (0.10, 0.45, 0.75, 1.0)
BLADE_WIDTH_M, BLADE_THICKNESS_M, ROD_RADIUS_M = 0.03, 0.004, 0.012


class ToolInHand:
    """One tool in one physics client. Built by `World.hold_tool`, gone with the next reset. A ghost like the people."""

    def __init__(self, client: int, hazard: str, tip: Array):
        """`tip` (3,), m, from the tool point in the frame of the tool. ValueError for one closer than 2 cm."""
        self.hazard, self.tip = hazard, np.array(tip, dtype=np.float64)
        self._client = client
        length = float(np.linalg.norm(self.tip))
        if self.tip.shape != (3,) or not length >= 0.02:
            raise ValueError(
                f"the tip of a held tool is three numbers, at least 0.02 m from the tool point, got {tip}."
            )
        self._turn = quaternions_from_z(self.tip)
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_CAPSULE,
            radius=RADIUS_M,
            height=length - 2 * RADIUS_M,
            collisionFramePosition=[0, 0, length / 2],
            physicsClientId=client,
        )
        unseen = pybullet.createVisualShape(
            pybullet.GEOM_SPHERE, radius=RADIUS_M, rgbaColor=INVISIBLE, physicsClientId=client
        )
        self.body = pybullet.createMultiBody(0, shape, unseen, physicsClientId=client)
        pybullet.setCollisionFilterGroupMask(self.body, -1, 0, 0, client)
        self._bodies = [self.body, *_visuals(client, hazard, length)]

    def remove(self) -> None:
        """Take it out of the hand."""
        for body in self._bodies:
            pybullet.removeBody(body, self._client)

    def follow(self, position: Sequence[float], orientation: Sequence[float]) -> None:
        """Go with the tool frame: its origin (3,), m, and quaternion x y z w in base_link."""
        pose = pybullet.multiplyTransforms(position, orientation, (0.0, 0.0, 0.0), self._turn)
        for body in self._bodies:
            pybullet.resetBasePositionAndOrientation(body, *pose, self._client)


def _visuals(client: int, hazard: str, length: float) -> list[int]:
    """Bodies that are only seen: a blade with a handle for what cuts, a rod for what is blunt."""
    if hazard in ("none", "blunt"):
        return [_cylinder(client, ROD_RADIUS_M, length + HANDLE_M / 2, (length - HANDLE_M / 2) / 2, RUBBER)]
    width = BLADE_WIDTH_M if hazard == "edge" else 2 * BLADE_THICKNESS_M
    back, front, half = -width / 2, width / 2, BLADE_THICKNESS_M / 2
    section = [(back, -half), (back, half), (front, half), (front, -half)]
    vertices = [(x, y, z) for z in (0.0, 0.7 * length) for x, y in section]  # then it tapers
    vertices.append((0.0 if hazard == "point" else front, 0.0, length))
    sides = [(k, (k + 1) % 4, 4 + (k + 1) % 4, 4 + k) for k in range(4)]
    triangles = [t for a, b, c, d in sides for t in ((a, b, c), (a, c, d), (d, c, 8))]
    faces = [index for a, b, c in triangles for index in (a, b, c, a, c, b)]  # to be seen from both sides
    blade = pybullet.createVisualShape(
        pybullet.GEOM_MESH, vertices=vertices, indices=faces, rgbaColor=STEEL, physicsClientId=client
    )
    body = pybullet.createMultiBody(0, -1, blade, physicsClientId=client)
    return [body, _cylinder(client, 0.012, HANDLE_M, 0.0, WOOD)]


def _cylinder(client: int, radius: float, length: float, middle: float, rgba: tuple[float, ...]) -> int:
    visual = pybullet.createVisualShape(
        pybullet.GEOM_CYLINDER,
        radius=radius,
        length=length,
        rgbaColor=rgba,
        visualFramePosition=[0, 0, middle],
        physicsClientId=client,
    )
    return pybullet.createMultiBody(0, -1, visual, physicsClientId=client)
