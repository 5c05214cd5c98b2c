"""Distances from people's capsules, compiled: people as one array, and what every check of them is computed with.

Points are (..., 3), m, in base_link. What is no capsule is a row of NaN, and NaN in a point or a person is NaN in what
is computed of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ami_robot.safety.checks import is_number
from ami_robot.safety.compiled import FLOAT, array, compiled, made, several
from ami_robot.types import Array, People, Person

_FARTHEST_M = 1e6
"""No coordinate or radius is greater, m: beyond it, rounding would move a person by more than 1e-10 m."""

_LONGEST_AXIS_M = 1e6
"""The nearest point of a longer axis is lost in rounding, so its distance is NaN."""

_SHORTEST_SQUARE_M2 = float(np.finfo(np.float64).tiny)  # a ball has no axis

_last: tuple[People | None, Array] = (None, np.empty((0, 8)))  # of `capsules`


def capsules(people: People) -> Array:
    """People as (N, 8): one end (3), m, axis to the other (3), m, 1 / its square, 1/m^2, radius with its error, m.

    NaN rows for what is not finite, too far away, or has a negative radius. A message is converted once and not looked
    at again: the checks of many steps ask for the same one, and it does not change after it was heard.
    """
    global _last
    known, rows = _last  # read once: another thread may ask for another message
    if known is not people:
        rows = np.array([_capsule(person) for person in people.persons], dtype=np.float64).reshape(-1, 8)
        rows.setflags(write=False)
        _last = people, rows
    return rows


def distances(points: Array, people: People) -> Array:
    """Distances (..., N), m, of points (..., 3) to each of N persons' surface, grown by its error."""
    return _distances(_rows(points), capsules(people)).T.reshape(*points.shape[:-1], len(people.persons))


def least_margin(centers: Array, radii: Array, times_s: Array, people: People, speed_m_per_s: float) -> float:
    """Least distance, m, of spheres (T, S, 3) at times (T,), s, to capsules that grow at this speed from time 0 on.

    What a sphere faster than that gains on them in the step before is subtracted. Radii (S,), m.
    """
    samples, spheres, _ = centers.shape
    if times_s.shape != (samples,) or radii.shape != (spheres,):
        raise ValueError(f"{samples} samples of {spheres} spheres, but {times_s.shape} times and {radii.shape} radii.")
    persons = capsules(people)
    return _least_margin(_contiguous(centers), _contiguous(radii), _contiguous(times_s), persons, speed_m_per_s)


def nearest(centers: Array, radii: Array, people: People) -> float:
    """Least distance, m, of any sphere (..., S, 3), radii (S,), m, to anybody's capsule."""
    to_nearest_m = _to_nearest(_rows(centers), capsules(people)).reshape(centers.shape[:-1])
    return float((to_nearest_m - radii).min())


def greatest_cosine(points: Array, directions: Array, people: People) -> float:
    """Greatest cosine between directions (..., 3) of any length and the ways from points (..., 3) to anybody's axis."""
    if points.shape != directions.shape:
        points, directions = np.broadcast_arrays(points, directions)
    return _greatest_cosine(_rows(points), _rows(directions), capsules(people))


def is_point(values: Any) -> bool:
    """Three finite coordinates, m, none too far away to compute with."""
    return _point(values) is not None


def _capsule(person: Any) -> list[float]:
    if not isinstance(person, Person):
        return [math.nan] * 8
    end_a, end_b, velocity = _point(person.end_a), _point(person.end_b), _point(person.velocity)
    if end_a is None or end_b is None or velocity is None:
        return [math.nan] * 8
    if not (_is_length(person.radius) and _is_length(person.radius_error)):
        return [math.nan] * 8
    x, y, z = end_b[0] - end_a[0], end_b[1] - end_a[1], end_b[2] - end_a[2]
    square = x * x + y * y + z * z
    inverse = 1.0 / max(square, _SHORTEST_SQUARE_M2) if square <= _LONGEST_AXIS_M**2 else math.nan
    return [*end_a, x, y, z, inverse, float(person.radius) + float(person.radius_error)]


def _is_length(value: Any) -> bool:
    return is_number(value) and 0.0 <= value <= _FARTHEST_M


def _point(values: Any) -> tuple[float, float, float] | None:
    try:
        point = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if point.shape != (3,):
        return None
    x, y, z = point.tolist()
    return (x, y, z) if abs(x) <= _FARTHEST_M and abs(y) <= _FARTHEST_M and abs(z) <= _FARTHEST_M else None


def _contiguous(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)


def _rows(points: Array) -> Array:
    """Points (..., 3) as (M, 3)."""
    return _contiguous(points).reshape(-1, 3)


@compiled(several(FLOAT, FLOAT, FLOAT), FLOAT, FLOAT, FLOAT, array(1))
def _way(x: float, y: float, z: float, person: Array) -> tuple[float, float, float]:
    """From a point to the nearest one of a capsule's axis."""
    x, y, z = person[0] - x, person[1] - y, person[2] - z
    along = -(x * person[3] + y * person[4] + z * person[5]) * person[6]
    if along < 0.0:  # neither holds for NaN, which stays
        along = 0.0
    elif along > 1.0:
        along = 1.0
    return x + along * person[3], y + along * person[4], z + along * person[5]


@compiled(FLOAT, FLOAT, FLOAT, FLOAT)
def _length(x: float, y: float, z: float) -> float:
    return math.sqrt(x * x + y * y + z * z)


@compiled(made(2), array(2), array(2))
def _distances(points: Array, persons: Array) -> Array:
    """(N, M), coordinate by coordinate and person by person: so it takes a fifth of the time, as vectors."""
    x, y, z = points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy()
    distances = np.empty((len(persons), len(points)))
    for n in range(len(persons)):
        person = persons[n]
        for m in range(len(points)):
            distances[n, m] = _length(*_way(x[m], y[m], z[m], person)) - person[7]
    return distances


@compiled(made(1), array(2), array(2))
def _to_nearest(points: Array, persons: Array) -> Array:
    """The least of `_distances` (M,) over all persons."""
    distances, least = _distances(points, persons), np.full(len(points), np.inf)
    for n in range(len(persons)):
        for m in range(len(points)):
            least[m] = np.minimum(least[m], distances[n, m])  # keeps NaN
    return least


@compiled(FLOAT, array(3), array(1), array(1), array(2), FLOAT)
def _least_margin(centers: Array, radii: Array, times_s: Array, persons: Array, speed_m_per_s: float) -> float:
    least, nearest_m = np.inf, _to_nearest(centers.reshape(-1, 3), persons)
    for t in range(len(centers)):
        for s in range(len(radii)):
            margin = nearest_m[t * len(radii) + s] - radii[s] - speed_m_per_s * times_s[t]
            if t > 0:
                here, before = centers[t, s], centers[t - 1, s]
                step_m = _length(here[0] - before[0], here[1] - before[1], here[2] - before[2])
                margin -= np.maximum(step_m - speed_m_per_s * (times_s[t] - times_s[t - 1]), 0.0)
            least = np.minimum(least, margin)
    return least


@compiled(FLOAT, array(2), array(2), array(2))
def _greatest_cosine(points: Array, directions: Array, persons: Array) -> float:
    greatest = -np.inf
    for m in range(len(points)):
        point, (dx, dy, dz) = points[m], (directions[m, 0], directions[m, 1], directions[m, 2])
        for n in range(len(persons)):
            x, y, z = _way(point[0], point[1], point[2], persons[n])
            cosine = (x * dx + y * dy + z * dz) / (_length(x, y, z) * _length(dx, dy, dz))
            if math.isnan(cosine):
                return math.nan
            greatest = max(greatest, cosine)
    return greatest
