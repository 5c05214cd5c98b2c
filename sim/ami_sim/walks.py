"""How a person moves: where they stand, which way they look and where their right hand is, as a function of time alone.

A walk is linear between its knots, so it can be played again for a film, and no part of the body that counts is faster
than the speeds that its builder was given. Positions are on the floor in base_link, m; headings in rad from x to y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ami_robot.types import Array
from ami_sim.body import HANGING_M, Pose, in_body, right_shoulder

WORKPLACE_M = np.array([0.45, 0.0])
"""Where the arm works: what people look at, and the way that they come."""

_VISITORS_WAY_M, _PAUSE_S = 1.3, 0.1
TURN_RAD_PER_S = 2.5  # on the spot: a hand moves at less than 1.2 m/s


@dataclass(frozen=True, eq=False)
class Walk:
    """Knots, and straight lines between them; before the first and after the last the person stands."""

    times_s: Array  # (K,), increasing
    positions: Array  # (K, 2), m
    headings: Array  # (K,), rad, unwrapped
    hands: Array  # (K, 3), m, as in Pose

    def __post_init__(self) -> None:
        """Raise ValueError for knots that are no motion."""
        count = len(self.times_s)
        shapes = (self.positions.shape, self.headings.shape, self.hands.shape)
        if shapes != ((count, 2), (count,), (count, 3)) or not (np.diff(self.times_s) > 0.0).all():
            raise ValueError(
                f"a walk needs increasing times and one position, heading and hand for each, got {shapes}."
            )
        steps = np.linalg.norm(np.diff(self.positions, axis=0), axis=1)
        walked = np.concatenate([[0.0], np.cumsum(steps)])
        object.__setattr__(self, "_knots", np.column_stack([self.positions, self.headings, self.hands, walked]))

    def at(self, t_s: float) -> Pose:
        """The pose `t_s` seconds after the scene's start."""
        knots: Array = self._knots  # type: ignore[attr-defined]  # made above
        after = int(np.searchsorted(self.times_s, t_s, side="right"))
        if after in (0, len(knots)):
            now, speed = knots[min(after, len(knots) - 1)], 0.0
        else:
            span_s = self.times_s[after] - self.times_s[after - 1]
            share = (t_s - self.times_s[after - 1]) / span_s
            now = (1.0 - share) * knots[after - 1] + share * knots[after]
            speed = (knots[after, 6] - knots[after - 1, 6]) / span_s
        return Pose(now[:2], float(now[2]), now[3:6], float(now[6]), float(speed))


def standing(position: Array, towards: Array = WORKPLACE_M) -> Walk:
    """Stand at (2,) m and look at a point (2,) m."""
    return _through([(0.0, np.asarray(position, float))], heading=_direction(position, towards))


def walking(start: Array, goal: Array, speed_m_per_s: float, start_s: float = 0.0) -> Walk:
    """Wait until `start_s`, walk straight from one point (2,) m to another, and stay there."""
    start, goal = np.asarray(start, float), np.asarray(goal, float)
    arrival_s = start_s + float(np.linalg.norm(goal - start)) / speed_m_per_s
    return _through([(start_s, start), (arrival_s, goal)], heading=_direction(start, goal))


def approaching(
    bearing_rad: float, distance_m: float, speed_m_per_s: float, start_s: float = 0.0, goal: Array = WORKPLACE_M
) -> Walk:
    """Come in from `distance_m` away in the direction `bearing_rad` of the goal (2,) m, and walk right up to it."""
    start = np.asarray(goal) + distance_m * np.array([np.cos(bearing_rad), np.sin(bearing_rad)])
    return walking(start, goal, speed_m_per_s, start_s)


def pacing(one: Array, other: Array, speed_m_per_s: float, duration_s: float) -> Walk:
    """Walk to and fro between two points (2,) m, turning on the spot, for at least `duration_s`."""
    corners = [np.asarray(one, float), np.asarray(other, float)]
    legs = 1 + int(duration_s * speed_m_per_s / np.linalg.norm(corners[1] - corners[0]))
    return _visiting([corners[leg % 2] for leg in range(legs + 1)], [speed_m_per_s] * legs)


def wandering(
    seed: int, lower: Array, upper: Array, duration_s: float, slowest_m_per_s: float = 0.3, fastest_m_per_s: float = 1.6
) -> Walk:
    """Walk from one random point of a rectangle (2,) m to the next, each time at another speed, for `duration_s`."""
    rng = np.random.default_rng(seed)
    points, speeds, t_s = [rng.uniform(lower, upper)], [], 0.0
    while t_s < duration_s:
        points.append(rng.uniform(lower, upper))
        speeds.append(float(rng.uniform(slowest_m_per_s, fastest_m_per_s)))
        t_s += float(np.linalg.norm(points[-1] - points[-2])) / speeds[-1]
    return _visiting(points, speeds)


def reaching(
    position: Array, hand: Array, start_s: float = 0.0, hand_speed_m_per_s: float = 1.0, stay_s: float | None = None
) -> Walk:
    """Stand at (2,) m, and from `start_s` on reach with the right hand towards (3,) m in base_link.

    The hand stays there, or goes back after `stay_s`. It gets no further than the arm is long.
    """
    position, hand = np.asarray(position, float), np.asarray(hand, float)
    heading = _direction(position, hand[:2])
    reach = in_body(hand - right_shoulder(position, heading), heading)
    takes_s = float(np.linalg.norm(reach - HANGING_M)) / hand_speed_m_per_s
    times_s, hands = [start_s, start_s + takes_s], [HANGING_M, reach]
    if stay_s is not None:
        times_s += [start_s + takes_s + stay_s, start_s + 2 * takes_s + stay_s]
        hands += [reach, HANGING_M]
    count = len(times_s)
    return Walk(np.array(times_s), np.tile(position, (count, 1)), np.full(count, heading), np.array(hands))


def visit(place: Array, hand: Array, start_s: float, stay_s: float, speed_m_per_s: float = 1.2) -> Walk:
    """Come straight to `place` (2,) m, reach towards `hand` (3,) m for a while, and step back the way one came."""
    place = np.asarray(place, float)
    away = place - WORKPLACE_M
    outside = place + _VISITORS_WAY_M * away / np.linalg.norm(away)
    coming = walking(outside, place, speed_m_per_s, start_s)
    reach = reaching(place, hand, coming.times_s[-1] + _PAUSE_S, stay_s=stay_s)
    gone_s = reach.times_s[-1] + _PAUSE_S
    heading = float(reach.headings[-1])
    return Walk(
        np.concatenate([coming.times_s, reach.times_s, [gone_s, gone_s + _VISITORS_WAY_M / speed_m_per_s]]),
        np.concatenate([coming.positions, reach.positions, [place, outside]]),
        np.full(8, heading),
        np.concatenate([coming.hands, reach.hands, np.tile(HANGING_M, (2, 1))]),
    )


def looking_on(place: Array, start_s: float, stay_s: float, speed_m_per_s: float = 1.2) -> Walk:
    """Come straight to `place` (2,) m, stand there for a while, and step back the way one came."""
    place = np.asarray(place, float)
    outside = place + _VISITORS_WAY_M * (place - WORKPLACE_M) / np.linalg.norm(place - WORKPLACE_M)
    takes_s = _VISITORS_WAY_M / speed_m_per_s
    times_s = start_s + np.cumsum([0.0, takes_s, stay_s, takes_s])
    positions = np.array([outside, place, place, outside])
    return Walk(times_s, positions, np.full(4, _direction(outside, place)), np.tile(HANGING_M, (4, 1)))


def _visiting(points: Sequence[Array], speeds: Sequence[float]) -> Walk:
    """Walk through points (2,) m, one speed for each leg, turning on the spot in between."""
    times_s, positions, headings = [0.0], [points[0]], [_direction(points[0], points[1])]
    for start, goal, speed in zip(points, points[1:], speeds, strict=False):
        turn = (_direction(start, goal) - headings[-1] + np.pi) % (2 * np.pi) - np.pi
        if turn:
            times_s.append(times_s[-1] + abs(turn) / TURN_RAD_PER_S)
            positions.append(start)
            headings.append(headings[-1] + turn)
        times_s.append(times_s[-1] + float(np.linalg.norm(goal - start)) / speed)
        positions.append(goal)
        headings.append(headings[-1])
    return Walk(np.array(times_s), np.array(positions), np.array(headings), np.tile(HANGING_M, (len(times_s), 1)))


def _through(knots: Sequence[tuple[float, Array]], heading: float) -> Walk:
    times_s, positions = np.array([t_s for t_s, _ in knots]), np.array([position for _, position in knots])
    return Walk(times_s, positions, np.full(len(knots), heading), np.tile(HANGING_M, (len(knots), 1)))


def _direction(start: Array, goal: Array) -> float:
    """Heading, rad, from one point (2,) to another; 0 where they are the same."""
    way = np.asarray(goal, float) - np.asarray(start, float)
    return float(np.arctan2(way[1], way[0]))
