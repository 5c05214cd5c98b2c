"""The body of a person as capsules: an adult of 1.75 m on the floor, beside a table top at z = 0.

Measures are those of an average man, rounded. In the body's frame x is forward, y left, z up from the floor. Legs swing
faster than people walk, but below the table top, and the neck is between bigger parts: they are drawn, not told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.types import Array

FLOOR_M = -0.75  # z of the floor in base_link: the table is that high

SHOULDER_M = np.array([0.0, 0.20, 1.40])  # the left one
HANGING_M = np.array([0.12, -0.05, -0.54])
"""The right hand beside the body, from the right shoulder, m."""

UPPER_ARM_M, FOREARM_M = 0.29, 0.31  # shoulder to elbow, elbow to the middle of the hand
REACH_M = 0.97 * (UPPER_ARM_M + FOREARM_M)  # a straight elbow would snap
HIP_M, THIGH_M, SHIN_M, FOOT_M = np.array([0.0, 0.10, 0.90]), 0.42, 0.42, 0.16
STRIDE_M, SWING_RAD, KNEE_RAD = 1.4, 0.42, 0.8  # two steps; of a thigh; of a knee as the leg swings forward
SKIN, HAIR, TROUSERS, SHOES = (
    (0.86, 0.66, 0.53, 1.0),
    (0.23, 0.15, 0.10, 1.0),
    (0.17, 0.20, 0.30, 1.0),
    (0.1, 0.1, 0.1, 1.0),
)
SHIRTS = ((0.85, 0.45, 0.10, 1.0), (0.16, 0.46, 0.50, 1.0), (0.55, 0.22, 0.40, 1.0), (0.75, 0.70, 0.25, 1.0))


@dataclass(frozen=True, eq=False)
class Pose:
    """A person at one instant."""

    position: Array  # (2,), m, on the floor
    heading: float  # rad, from x of base_link to y
    hand: Array  # (3,), m: the right hand from the right shoulder, in the body's frame
    walked_m: float  # since the beginning; what the legs go by
    speed_m_per_s: float


@dataclass(frozen=True)
class Part:
    """A capsule of the body. `told`: the people sensor sees it, and touching it counts."""

    name: str
    radius_m: float
    colour: str = ""  # skin, hair, shirt, trousers or shoes; empty: not drawn
    told: bool = True


PARTS = (
    Part("trunk", 0.15),
    Part("chest", 0.12, "shirt"),
    Part("head", 0.095, "skin"),
    Part("left upper arm", 0.055, "shirt"),
    Part("left forearm", 0.045, "skin"),
    Part("right upper arm", 0.055, "shirt"),
    Part("right forearm", 0.045, "skin"),
    Part("waist", 0.15, "shirt", told=False),
    Part("pelvis", 0.152, "trousers", told=False),
    Part("neck", 0.055, "skin", told=False),
    Part("hair", 0.092, "hair", told=False),
    *(
        Part(f"{side} {part}", radius, colour, told=False)
        for side in ("left", "right")
        for part, radius, colour in (("thigh", 0.085, "trousers"), ("shin", 0.06, "trousers"), ("foot", 0.045, "shoes"))
    ),
)
TOLD = tuple(index for index, part in enumerate(PARTS) if part.told)


def colour(part: Part, person: int) -> tuple[float, float, float, float]:
    """RGBA of a part that is drawn; everybody wears another shirt."""
    shirt = SHIRTS[person % len(SHIRTS)]
    return {"skin": SKIN, "hair": HAIR, "shirt": shirt, "trousers": TROUSERS, "shoes": SHOES}[part.colour]


def capsules(pose: Pose) -> Array:
    """Ends (P, 2, 3), m, in base_link of the axes of all PARTS."""
    left, right = SHOULDER_M, SHOULDER_M * [1, -1, 1]
    left_elbow, left_hand = _LEFT_ARM
    right_elbow, right_hand = _arm(right, pose.hand, outward=-1.0)
    ends = [
        ((0.0, 0.0, 0.91), (0.0, 0.0, 1.30)),
        ((0.0, 0.07, 1.36), (0.0, -0.07, 1.36)),
        ((0.01, 0.0, 1.565), (0.01, 0.0, 1.645)),
        (left, left_elbow),
        (left_elbow, left_hand),
        (right, right_elbow),
        (right_elbow, right_hand),
        ((0.0, 0.0, 1.06), (0.0, 0.0, 1.30)),
        ((0.0, 0.0, 0.91), (0.0, 0.0, 0.93)),
        ((0.0, 0.0, 1.42), (0.0, 0.0, 1.55)),
        ((-0.018, 0.0, 1.64), (-0.010, 0.0, 1.668)),
        *_leg(pose, side=1.0),
        *_leg(pose, side=-1.0),
    ]
    return _in_base(np.array(ends), pose.position, pose.heading)


def right_shoulder(position: Array, heading: float) -> Array:
    """Where the right arm of somebody at (2,) m begins, (3,) m in base_link."""
    return _in_base(SHOULDER_M * [1, -1, 1], position, heading)


def in_body(vector: Array, heading: float) -> Array:
    """A vector (3,) of base_link in the frame of a body with this heading."""
    cosine, sine = np.cos(heading), np.sin(heading)
    return np.array([cosine * vector[0] + sine * vector[1], cosine * vector[1] - sine * vector[0], vector[2]])


def _in_base(points: Array, position: Array, heading: float) -> Array:
    cosine, sine = np.cos(heading), np.sin(heading)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return points @ turn.T + [position[0], position[1], FLOOR_M]


def _arm(shoulder: Array, hand: Array, outward: float) -> tuple[Array, Array]:
    """Elbow and hand (3,), m, of an arm whose hand is wanted at `hand` from the shoulder; elbow down and outward."""
    wanted = max(float(np.linalg.norm(hand)), 1e-6)
    length = min(max(wanted, 0.1), REACH_M)
    way = np.asarray(hand) / wanted
    along = (length**2 + UPPER_ARM_M**2 - FOREARM_M**2) / (2.0 * length)
    down = np.array([-0.4, 0.25 * outward, -1.0])
    bend = down - (down @ way) * way
    bend /= np.linalg.norm(bend)
    elbow = shoulder + along * way + np.sqrt(max(UPPER_ARM_M**2 - along**2, 0.0)) * bend
    return elbow, shoulder + length * way


def _leg(pose: Pose, side: float) -> list[tuple[Array, Array]]:
    """Thigh, shin and foot; how far the leg swings grows with the speed."""
    phase = 2.0 * np.pi * pose.walked_m / STRIDE_M
    effort = min(1.0, pose.speed_m_per_s)
    thigh = side * SWING_RAD * effort * np.sin(phase)
    shin = thigh - KNEE_RAD * effort * max(0.0, side * np.cos(phase))
    hip = HIP_M * [1, side, 1]
    knee = hip + THIGH_M * np.array([np.sin(thigh), 0.0, -np.cos(thigh)])
    ankle = knee + SHIN_M * np.array([np.sin(shin), 0.0, -np.cos(shin)])
    toe = ankle + FOOT_M * np.array([np.cos(shin), 0.0, np.sin(shin)])
    return [(hip, knee), (knee, ankle), (ankle, toe)]


_LEFT_ARM = _arm(SHOULDER_M, HANGING_M * [1, -1, 1], outward=1.0)
