"""What a detector would say about the people in the world: late, a little wrong, and aware of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ami_robot.types import Array, People, Person


class PeopleSensor:
    """Captures the truth `rate_hz` times a second; each message arrives `delay_s` after its capture.

    Each end of a capsule is wrong by a random vector, uniform in a ball of radius `noise_m`; the radius error says so,
    so the capsules that are told always cover the true ones. Deterministic from the seed.
    """

    def __init__(self, delay_s: float = 0.05, noise_m: float = 0.02, rate_hz: float = 30.0, seed: int = 0):
        """Raise ValueError for a negative delay or noise, or a rate that is not positive."""
        if not (delay_s >= 0.0 and noise_m >= 0.0 and rate_hz > 0.0):
            raise ValueError(f"delay and noise cannot be negative, rates not 0: got {delay_s}, {noise_m}, {rate_hz}.")
        self._delay_ns, self._period_ns = round(delay_s * 1e9), round(1e9 / rate_hz)
        self._noise_m, self._rng = noise_m, np.random.default_rng(seed)
        self._next_ns: int | None = None  # when it captures again
        self._under_way: deque[People] = deque()

    def update(self, now_ns: int, truth: Callable[[], tuple[Person, ...]]) -> list[People]:
        """Call at every substep; `truth` is asked when a capture is due. Returns the messages that arrive now."""
        if self._next_ns is None or now_ns >= self._next_ns:
            self._next_ns = (now_ns if self._next_ns is None else self._next_ns) + self._period_ns
            persons = tuple(self._blurred(person) for person in truth())
            self._under_way.append(People(now_ns, persons))
        arrived = []
        while self._under_way and self._under_way[0].stamp_ns + self._delay_ns <= now_ns:
            arrived.append(self._under_way.popleft())
        return arrived

    def _blurred(self, person: Person) -> Person:
        end_a, end_b = person.end_a + self._error(), person.end_b + self._error()
        return replace(person, end_a=end_a, end_b=end_b, radius_error=person.radius_error + self._noise_m)

    def _error(self) -> Array:
        """Uniform in the ball of radius noise_m."""
        direction = self._rng.normal(size=3)
        return direction / np.linalg.norm(direction) * self._noise_m * self._rng.uniform() ** (1.0 / 3.0)
