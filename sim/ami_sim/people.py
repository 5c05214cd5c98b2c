"""People in the PyBullet world: bodies without mass that follow their walks, and how near the arm came to them.

They are ghosts unless they are solid: the arm goes through them at the speed at which it was sent, so a contact is
measured as it was caused, and a person who walks into a resting arm does not set it in motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pybullet
from numpy.typing import NDArray

from ami_robot.types import Array, Person
from ami_sim.body import PARTS, TOLD, Part, capsules, colour
from ami_sim.walks import Walk

if TYPE_CHECKING:
    from ami_sim.world import World

INVISIBLE = (0.0, 0.0, 0.0, 0.0)  # a shape without a visual would be drawn in white
_BASE = -1  # as PyBullet counts links
_VELOCITY_STEP_S = 1e-3
_SIDES, _CAP_RINGS = 14, 5  # of the meshes that are drawn


@dataclass(frozen=True)
class Approach:
    """The nearest points of the arm and of a person, measured by PyBullet."""

    distance_m: float  # negative in contact
    part: str  # of the person
    link: int  # of the arm in PyBullet, -1 for its base
    held_tool: bool  # it was the tool in the hand
    speed_m_per_s: float  # of the arm there; not relative to the person


class PeopleInWorld:
    """Everybody in one physics client. Built by `World.add_people`, gone with the next reset."""

    def __init__(self, client: int, walks: Sequence[Walk], solid: bool = False):
        self._client, self._walks, self._t_s = client, tuple(walks), 0.0
        self._ends = [capsules(walk.at(0.0)) for walk in self._walks]
        self._bodies = [
            [_load_part(client, part, number, ends[index], solid) for index, part in enumerate(PARTS)]
            for number, ends in enumerate(self._ends)
        ]

    def move_to(self, t_s: float) -> None:
        """Put everybody where their walks are `t_s` seconds after the scene's start."""
        self._t_s = t_s
        for number, walk in enumerate(self._walks):
            ends = capsules(walk.at(t_s))
            moved = np.flatnonzero((ends != self._ends[number]).any(axis=(1, 2)))
            self._ends[number] = ends
            centres, turns = ends.mean(axis=1).tolist(), quaternions_from_z(ends[:, 1] - ends[:, 0]).tolist()
            for index in moved:
                body = self._bodies[number][index]
                pybullet.resetBasePositionAndOrientation(body, centres[index], turns[index], self._client)

    def remove(self) -> None:
        """Take everybody out of the world."""
        for person in self._bodies:
            for body in person:
                pybullet.removeBody(body, self._client)

    def persons(self) -> tuple[Person, ...]:
        """The truth: a capsule in base_link for each part of everybody that counts."""
        told = []
        for walk, ends in zip(self._walks, self._ends, strict=True):
            before = capsules(walk.at(self._t_s - _VELOCITY_STEP_S))
            velocities = (ends - before).mean(axis=1) / _VELOCITY_STEP_S
            told += [Person(ends[i, 0], ends[i, 1], PARTS[i].radius_m, velocities[i], 0.0) for i in TOLD]
        return tuple(told)

    def nearest(self, robot: int, hand_link: int, held: int | None, up_to_m: float) -> Approach | None:
        """Where the arm, or the body held in its hand, is nearest to anybody; None when that is beyond `up_to_m`.

        The base does not count: it never moves, and somebody may lean on it.
        """
        best: tuple[float, str, int, Array] | None = None
        for person in self._bodies:
            for index in TOLD:
                for body in (robot, held):
                    if body is None:
                        continue
                    for found in pybullet.getClosestPoints(body, person[index], up_to_m, physicsClientId=self._client):
                        if body == robot and found[3] == _BASE:
                            continue
                        if best is None or found[8] < best[0]:
                            link = found[3] if body == robot else hand_link
                            best = found[8], PARTS[index].name, link, np.array(found[5])
                            in_hand = body == held
        if best is None:
            return None
        distance_m, part, link, where = best
        speed = float(np.linalg.norm(point_velocity(self._client, robot, link, where)))
        return Approach(distance_m, part, link, in_hand, speed)


class PeopleTruth:
    """What a run did to people: connect or call `watch` after each substep."""

    def __init__(self, world: World, within_m: float = 0.5):
        """Nobody further away than `within_m` is looked at."""
        self._world, self._within_m = world, within_m
        self.least: Approach | None = None  # nobody has been within within_m
        self.least_s = float("nan")  # when that was
        self.contacts = 0  # substeps with somebody touched
        self.contact_speed_m_per_s = 0.0  # greatest of a point of the arm that touched somebody
        self.tip_speed_m_per_s = 0.0  # greatest of the tip while somebody was within within_m

    def watch(self, t_s: float) -> Approach | None:
        """Look at the world as it is at `t_s`; returns who is nearest now."""
        nearest = self._world.nearest_person(self._within_m)
        if nearest is None:
            return None
        if self.least is None or nearest.distance_m < self.least.distance_m:
            self.least, self.least_s = nearest, t_s
        if nearest.distance_m <= 0.0:
            self.contacts += 1
            self.contact_speed_m_per_s = max(self.contact_speed_m_per_s, nearest.speed_m_per_s)
        self.tip_speed_m_per_s = max(self.tip_speed_m_per_s, float(np.linalg.norm(self._world.tip()[1])))
        return nearest


def point_velocity(client: int, robot: int, link: int, point: Array) -> Array:
    """Velocity (3,), m/s, of the material point of a link that is at `point` (3,), m, now."""
    if link < 0:
        return np.zeros(3)
    state = pybullet.getLinkState(robot, link, computeLinkVelocity=1, physicsClientId=client)
    centre, linear, angular = (np.array(state[index]) for index in (0, 6, 7))
    return linear + np.cross(angular, point - centre)


def _load_part(client: int, part: Part, person: int, ends: Array, solid: bool) -> int:
    """A capsule without mass; PyBullet's capsules lie along z."""
    length = float(np.linalg.norm(ends[1] - ends[0]))
    rgba = colour(part, person) if part.colour else INVISIBLE
    visual = _capsule_visual(client, part.radius_m, length, rgba)
    shape = -1
    if part.told:
        shape = pybullet.createCollisionShape(
            pybullet.GEOM_CAPSULE, radius=part.radius_m, height=length, physicsClientId=client
        )
    body = pybullet.createMultiBody(
        0, shape, visual, ends.mean(axis=0), quaternions_from_z(ends[1] - ends[0]), physicsClientId=client
    )
    if not solid:
        pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, client)
    return body


def quaternions_from_z(directions: Array) -> Array:
    """Quaternions (..., 4), x y z w, that turn z into directions (..., 3) the short way."""
    x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
    quaternions = np.stack([-y, np.where(z < -1.0 + 1e-12, 1.0, x), np.zeros_like(z), 1.0 + z], axis=-1)
    return quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)


def _capsule_visual(client: int, radius: float, length: float, rgba: tuple[float, ...]) -> int:
    points, triangles = _capsule_mesh(radius, length)
    return pybullet.createVisualShape(
        pybullet.GEOM_MESH,
        vertices=points.tolist(),
        indices=triangles.ravel().tolist(),
        normals=_normals(points, length).tolist(),
        rgbaColor=rgba,
        physicsClientId=client,
    )


def _capsule_mesh(radius: float, length: float) -> tuple[Array, NDArray[np.intp]]:
    """Vertices (V, 3), m, and triangles (F, 3) of a capsule along z; PyBullet's own has cones for caps."""
    rings = np.concatenate([np.linspace(-np.pi / 2, 0.0, _CAP_RINGS), np.linspace(0.0, np.pi / 2, _CAP_RINGS)])
    lift = np.repeat([-length / 2, length / 2], _CAP_RINGS)
    around = np.arange(_SIDES) * (2 * np.pi / _SIDES)
    x, y = (radius * np.outer(np.cos(rings), turn(around)) for turn in (np.cos, np.sin))
    z = np.broadcast_to((radius * np.sin(rings) + lift)[:, None], x.shape)
    ring, side = (index.ravel() for index in np.mgrid[: len(rings) - 1, :_SIDES])
    after = (side + 1) % _SIDES
    a, b, c, d = ring * _SIDES + side, ring * _SIDES + after, (ring + 1) * _SIDES + after, (ring + 1) * _SIDES + side
    triangles = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    return np.column_stack([x.ravel(), y.ravel(), z.ravel()]), triangles


def _normals(points: Array, length: float) -> Array:
    """Unit normals (V, 3) of points (V, 3) on a capsule of this length along z."""
    from_axis = points - np.clip(points[:, 2], -length / 2, length / 2)[:, None] * [0.0, 0.0, 1.0]
    return from_axis / np.linalg.norm(from_axis, axis=1, keepdims=True)
