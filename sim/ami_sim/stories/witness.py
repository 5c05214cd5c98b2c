"""What really happened, measured in PyBullet, 120 times a second. Shares no code with the guardrails.

The numbers of the guardrail file are the measure, but what is done with them is this module's own: an arm that moves
has to be so far from everybody that it could stop, as hard as its joints can, before a person at the greatest speed is
there. That is less than the guardrails ask for, and nothing that moves may ask for less.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pybullet
from numpy.typing import NDArray

from ami_robot.safety.spec import Spec
from ami_robot.types import Array, Person
from ami_sim.people import PeopleTruth
from ami_sim.world import FINGER_JOINTS, HAND_LINK, World

REST_M_PER_S = 0.02
"""What is slower stands still: the drives settle within a mm."""

_ARM_LINKS = (*range(8), HAND_LINK, *FINGER_JOINTS)
_LINK_EXTENT_M = 0.25  # no part of a link is further from its centre of mass
_FIXED_TOGETHER = {(6, HAND_LINK), (6, 9), (6, 10), (HAND_LINK, 9), (HAND_LINK, 10), (9, 10)}
_PAIRS = tuple(
    pair
    for pair in combinations((-1, *range(7), HAND_LINK, *FINGER_JOINTS), 2)
    if pair[1] - pair[0] > 1 and pair not in _FIXED_TOGETHER
)
_EVERY = 2  # substeps, so 120 looks a second: a person comes 13 mm nearer in between
_BODIES_EVERY = 2  # looks: at 2 rad/s a link moves by a cm in between


class Witness:
    """Watches one run; call `on_substep` after every substep, then read the arrays, one value for each look."""

    def __init__(self, world: World, spec: Spec, within_m: float, every: int = _EVERY):
        """People further away than `within_m` count as infinitely far. Only every `every`th substep is looked at."""
        self._world, self._people, self._every = world, spec.people, every
        self._accelerations = np.asarray(spec.joint_acceleration.limit_rad_per_s2)
        self.truth = PeopleTruth(world, within_m)
        self._rows: list[tuple[float, ...]] = []
        self._substeps = 0
        self.least_self_m = np.inf  # between links that are not neighbours; looked at while it is near 0
        self.boxes: list[int] = []  # bodies that the arm must not touch
        self.least_box_m = np.inf

    def on_substep(self, t_s: float, dq: Array, clearance_m: float) -> None:
        """Measure the world as it is at `t_s`; joint velocities (7,) rad/s and clearance to the table as measured."""
        self._substeps += 1
        if self._substeps % self._every:
            return
        nearest = self.truth.watch(t_s)
        distance_m = np.inf if nearest is None else nearest.distance_m
        tip, velocity = self._world.tip()
        needed_m = self._needed_m(dq)
        facing = self._facing(tip) if self._world.held_tool is not None and np.isfinite(distance_m) else -1.0
        self._rows.append(
            (t_s, self._arm_speed(), float(np.linalg.norm(velocity)), distance_m, needed_m, clearance_m, facing, *tip)
        )
        if len(self._rows) % _BODIES_EVERY == 0:
            self._watch_bodies()

    def latest(self) -> tuple[float, float, float]:
        """Speed of the tip, m/s, distance to the nearest person, m, inf when nobody is near, and to the table, m."""
        _, _, tip_speed, distance_m, _, clearance_m, *_ = self._rows[-1]
        return tip_speed, distance_m, clearance_m

    @property
    def times_s(self) -> Array:
        """Since the scene's start."""
        return self._column(0)

    @property
    def arm_speed(self) -> Array:
        """Upper bound, m/s, of any point of the arm."""
        return self._column(1)

    @property
    def tip_speed(self) -> Array:
        """Of the held tool's tip, or of the tool point, m/s."""
        return self._column(2)

    @property
    def distance_m(self) -> Array:
        """Of the arm and its tool to the nearest person; inf when nobody is near."""
        return self._column(3)

    @property
    def needed_m(self) -> Array:
        """What the distance has to be at the least while the arm moves as it does."""
        return self._column(4)

    @property
    def clearance_m(self) -> Array:
        """Of the arm above the table."""
        return self._column(5)

    @property
    def facing(self) -> Array:
        """Cosine between the held tool's direction and the way from its tip to the nearest person; -1 without."""
        return self._column(6)

    @property
    def tip(self) -> Array:
        """Where the tip is, (K, 3), m."""
        return np.array([row[7:] for row in self._rows]).reshape(-1, 3)

    @property
    def moves(self) -> NDArray[np.bool_]:
        """Whether any part of the arm moves, bool."""
        return self.arm_speed > REST_M_PER_S

    def _column(self, index: int) -> Array:
        return np.array([row[index] for row in self._rows])

    def _needed_m(self, dq: Array) -> float:
        """Way of a person until joints at (7,) rad/s can rest at all, and the errors that the file allows for."""
        row = self._people
        stopping_s = float((np.abs(dq) / self._accelerations).max())
        return row.max_speed_m_per_s * stopping_s + row.measurement_error_m + row.intrusion_m

    def _arm_speed(self) -> float:
        states = pybullet.getLinkStates(
            self._world.robot, _ARM_LINKS, computeLinkVelocity=1, physicsClientId=self._world.client
        )
        linear, angular = (np.linalg.norm([state[index] for state in states], axis=1) for index in (6, 7))
        return float((linear + _LINK_EXTENT_M * angular).max())

    def _facing(self, tip: Array) -> float:
        world = self._world
        if world.people is None or world.held_tool is None:
            return -1.0
        link = pybullet.getLinkState(world.robot, HAND_LINK, computeForwardKinematics=1, physicsClientId=world.client)
        direction = np.array(pybullet.rotateVector(link[5], world.held_tool.tip.tolist()))
        ways = [_way(tip, person) for person in world.people.persons()]
        cosines = [way @ direction / np.linalg.norm(way) / np.linalg.norm(direction) for way in ways]
        return float(max(cosines))

    def _watch_bodies(self) -> None:
        client, robot = self._world.client, self._world.robot
        for box in self.boxes:
            found = pybullet.getClosestPoints(robot, box, 0.2, physicsClientId=client)
            self.least_box_m = min([self.least_box_m, *(point[8] for point in found)])
        self.least_self_m = min(self.least_self_m, self_distance_m(self._world))


def self_distance_m(world: World, up_to_m: float = 0.02) -> float:
    """Least distance, m, between links that are not neighbours; inf when it is above `up_to_m`."""
    least = np.inf
    for a, b in _PAIRS:
        for point in pybullet.getClosestPoints(
            world.robot, world.robot, up_to_m, linkIndexA=a, linkIndexB=b, physicsClientId=world.client
        ):
            least = min(least, point[8])
    return float(least)


def _way(point: Array, person: Person) -> Array:
    """From a point to the nearest one of a capsule's axis, (3,), m."""
    axis = person.end_b - person.end_a
    along = np.clip((point - person.end_a) @ axis / max(float(axis @ axis), 1e-12), 0.0, 1.0)
    return person.end_a + along * axis - point
