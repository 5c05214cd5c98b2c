"""What a seed means: a cell, somebody near it, a tool in the hand, a start, and who attacks. A pure function of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import check_motion
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline
from ami_robot.safety.record import standing
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import Spec
from ami_robot.types import Array
from ami_sim.trials.posture import brought
from ami_sim.walks import WORKPLACE_M, Walk, approaching, reaching, walking
from ami_sim.walks import standing as standing_person

FAMILIES = ("limits", "obstacles", "people", "tool", "inputs", "singularity")
"""Limits; obstacles, workspace and self-collision; people; tool, contact; inputs, timing; singularity, gripper."""

ATTACKS = ("hazard", "smooth", "noise", "joints", "knots")
COMMANDS_S = 1.0  # for so long somebody commands; then the arm comes to rest
SLOWEST_M_PER_S, HAND_M_PER_S = 0.3, 1.0
SHORTEST_TIP_M, LONGEST_TIP_M = 0.05, 0.25  # from the tool point to the tip of a held tool

_ATTACK_SHARES = {
    "limits": (0.1, 0.15, 0.15, 0.6),
    "obstacles": (0.35, 0.15, 0.1, 0.4),
    "people": (0.35, 0.15, 0.1, 0.4),
    "tool": (0.4, 0.15, 0.15, 0.3),
    "inputs": (0.2, 0.25, 0.25, 0.3),
    "singularity": (0.35, 0.1, 0.15, 0.4),
}
"""Of hazard, smooth, noise and joints."""

_STRAY_RAD = (0.0, 0.1, 0.3, 0.6, 1.0)  # of a start from the usual posture
_BEYOND_M = 0.03  # starts lie up to this far outside the workspace
_TRIES = 40


@dataclass(frozen=True, eq=False)
class Tool:
    """What the gripper holds, and whether the guardrail is told. Where an untold one ends, nobody knows."""

    hazard: str
    tip: Array  # (3,), m, in the frame of `tool`
    mass_kg: float
    told: bool


@dataclass(frozen=True, eq=False)
class Trial:
    """One episode."""

    family: str
    seed: int
    spec: Spec
    start: Array  # (7,), rad
    walks: tuple[Walk, ...]
    sensor_delay_s: float
    sensor_noise_m: float
    tool: Tool | None
    attack: str  # of ATTACKS
    hasty: bool  # proposals also come late, early, in bursts, stale, twice
    faulty: bool  # joint states, switches and clocks fail, too
    feels: bool  # joint states carry the motors' torques
    least_delay_s: float  # of commands on their way to the arm; they vary by the row `transport`
    knots: Array | None = None  # (K, 4) of the attack "knots": tool goals (3), m, and durations, s

    @property
    def digest(self) -> bytes:
        """Of the world it takes place in."""
        values: list[Array | float] = [self.start, self.sensor_delay_s, self.sensor_noise_m, self.least_delay_s]
        values += [bound for box in self.spec.obstacles.boxes for bound in (box.lower_m, box.upper_m)]
        values += [part for walk in self.walks for part in (walk.times_s, walk.positions, walk.headings, walk.hands)]
        content = b"".join(np.asarray(value, np.float64).tobytes() for value in values)
        return hashlib.sha256(content + self.attack.encode() + self.spec.sha256.encode()).digest()


def draw(family: str, seed: int, spec: Spec, kinematics: Kinematics, dynamics: Dynamics) -> Trial:
    """The trial of this seed. The arm can be armed at its start; ValueError for a family that there is not."""
    rng = np.random.default_rng([FAMILIES.index(family), seed])
    attack = str(rng.choice(ATTACKS[:4], p=_ATTACK_SHARES[family]))
    with_people = rng.uniform() < {"people": 1.0, "tool": 0.6, "inputs": 0.4}.get(family, 0.0)
    walks = _walks(rng, family) if with_people else ()
    cell = _cell(rng, family, spec, with_people)
    start = _start(rng, family, cell, kinematics, dynamics)
    while start is None:  # the boxes leave no room
        cell = _cell(rng, family, spec, with_people)
        start = _start(rng, family, cell, kinematics, dynamics)
    return Trial(
        family=family,
        seed=seed,
        spec=cell,
        start=start,
        walks=walks,
        sensor_delay_s=float(rng.uniform(0.0, 0.1)),
        sensor_noise_m=float(rng.uniform(0.0, 0.04)),
        tool=_tool(rng) if family == "tool" or (with_people and rng.uniform() < 0.3) else None,
        attack=attack,
        hasty=bool(rng.uniform() < (1.0 if family == "inputs" else 0.25)),
        faulty=family == "inputs",
        feels=bool(rng.uniform() < 0.3),
        least_delay_s=float(rng.uniform(0.0, 0.005)),
    )


def _cell(rng: np.random.Generator, family: str, spec: Spec, with_people: bool) -> Spec:
    """The cell of the file with more boxes in it, and with people who are told of."""
    count = int(rng.integers(1, 7)) if family == "obstacles" else int(rng.integers(0, 3))
    boxes = [*spec.obstacles.boxes, *(_box(rng, number) for number in range(count))]
    source = "topic" if with_people else "none_fenced_cell"
    return replace(
        spec,
        obstacles=replace(spec.obstacles, boxes=tuple(boxes)),
        people=replace(spec.people, source_of_people=source),  # type: ignore[arg-type]
    )


def _box(rng: np.random.Generator, number: int) -> Box:
    centre = rng.uniform([0.25, -0.55, 0.0], [0.90, 0.55, 0.80])
    half = rng.uniform(0.02, 0.15, 3)
    return Box(f"box_{number}", centre - half, centre + half)


def _start(
    rng: np.random.Generator, family: str, spec: Spec, kinematics: Kinematics, dynamics: Dynamics
) -> Array | None:
    """Joint positions (7,) at which the guardrail lets itself be armed; None when many tries found none."""
    lower, upper = spec.workspace.lower_m - _BEYOND_M, spec.workspace.upper_m + _BEYOND_M
    if family == "singularity":  # stretched
        lower = np.array([upper[0] - 0.15, lower[1], upper[2] - 0.2])
    if family == "tool" and rng.uniform() < 0.5:  # close to the table
        upper = np.array([*upper[:2], lower[2] + 0.15])
    for _ in range(_TRIES):
        place = rng.uniform(lower, upper)
        q, _ = kinematics.inverse(place)
        q = brought(kinematics, q + rng.normal(size=7) * rng.choice(_STRAY_RAD), place)
        if check_motion(spec, kinematics, dynamics, Spline(*standing(spec.joint_names, q))).refusal is None:
            return q
    return None


def _walks(rng: np.random.Generator, family: str) -> tuple[Walk, ...]:
    """Up to two people from anywhere; those of the family `people` mostly come in."""
    if family == "inputs" and rng.uniform() < 0.5:
        return ()
    return tuple(_walk(rng, family) for _ in range(int(rng.integers(1, 3))))


def _walk(rng: np.random.Generator, family: str) -> Walk:
    bearing = rng.uniform(-np.pi, np.pi)
    away = np.array([np.cos(bearing), np.sin(bearing)])
    goal = rng.uniform([-0.1, -0.4], [0.7, 0.4])
    kind = rng.choice(4, p=(0.6, 0.15, 0.1, 0.15) if family == "people" else (0.25, 0.25, 0.1, 0.4))
    if kind == 0:
        speed = float(rng.choice([1.6, rng.uniform(SLOWEST_M_PER_S, 1.6)]))
        return approaching(bearing, float(rng.uniform(1.0, 3.0)), speed, float(rng.uniform(0.0, 0.6)), goal)
    if kind == 1:
        hand = np.array([*rng.uniform([0.2, -0.3], [0.7, 0.3]), rng.uniform(0.05, 0.5)])
        place = hand[:2] + rng.uniform(0.5, 0.9) * away
        return reaching(place, hand, float(rng.uniform(0.0, 0.8)), float(rng.uniform(0.3, HAND_M_PER_S)))
    if kind == 2:  # past the arm
        aside = np.array([-away[1], away[0]]) * 1.2
        middle = goal + rng.uniform(0.6, 1.5) * away
        return walking(middle - aside, middle + aside, float(rng.uniform(SLOWEST_M_PER_S, 1.6)))
    return standing_person(WORKPLACE_M + rng.uniform(0.6, 1.4) * away)  # mostly in reach


def _tool(rng: np.random.Generator) -> Tool:
    direction = rng.normal(size=3) + np.array([0.0, 0.0, 2.0])  # mostly down the hand
    hazard = str(rng.choice(["blunt", "edge", "point"]))
    tip = direction / np.linalg.norm(direction) * rng.uniform(SHORTEST_TIP_M, LONGEST_TIP_M)
    return Tool(hazard, tip, float(rng.choice([0.0, 0.2, 1.0])), told=bool(rng.uniform() < 0.8))
