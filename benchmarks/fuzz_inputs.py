"""How inputs are spoilt. Malformed: another thing at some place, at any depth. Odd: well-formed, at the edge of it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from ami_robot.types import Array

HOSTILE: tuple[Any, ...] = (
    float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 1e-310, -0.0, 0, -1, 2**62, 2**63, 10**400, True,
    None, "", "panda_joint1", b"x", [], [[]], {}, (), [None] * 7, ["1"] * 7, [1e308] * 7, [float("nan")] * 7, 1j,
    np.zeros((7, 7)), np.zeros(0), np.float32("nan"), np.array("x"), np.full(3, 1e308), np.full(7, 5e-324), object(),
)  # fmt: skip
NUMBERS = tuple(value for value in HOSTILE if isinstance(value, float))
TINY = (5e-324, -5e-324, 1e-310, -0.0, 1e-17)
STAMP_STEPS_NS = (-(10**9), -(10**7), -1, 1, 10**8, 10**9, 10**18)


class Spoiler:
    """Spoils values of any kind, by one stream of random numbers."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def malformed(self, value: Any) -> Any:
        """One to three places of it are replaced, dropped or doubled."""
        for _ in range(self._rng.integers(1, 4)):
            value = self._place(value)
        return value

    def one_of(self, *values: Any) -> list[Any]:
        """The same values, one of them malformed."""
        place = int(self._rng.integers(len(values)))
        return [*values[:place], self.malformed(values[place]), *values[place + 1 :]]

    def numbers(self, values: Array) -> Array:
        """Floats still, with one of them wrong, or of another shape: what can reach the inside of the guardrail."""
        return np.asarray(self._array(np.asarray(values, dtype=np.float64), self._rng.random()), dtype=np.float64)

    def tiny(self, values: Array) -> Any:
        """The same to all purposes: denormals on top, zeros of the other sign, a list, a tuple, or with strides."""
        values = values + self._rng.choice(TINY, size=np.shape(values))
        choice = self._rng.integers(4)
        if choice == 0:
            return values.tolist()
        if choice == 1:
            return tuple(values.tolist())
        return np.repeat(values, 2, axis=0)[::2] if choice == 2 else values

    def _place(self, value: Any) -> Any:
        choice = self._rng.random()
        if choice < 0.1:
            return self._hostile()
        if is_dataclass(value) and not isinstance(value, type):
            name = self._rng.choice([item.name for item in fields(value)])
            return replace(value, **{name: self._place(getattr(value, name))})
        if isinstance(value, list | tuple) and value:
            return self._sequence(value, choice)
        if isinstance(value, np.ndarray) and value.ndim and value.size and value.dtype.kind == "f":
            return self._array(value, choice)
        if isinstance(value, int) and not isinstance(value, bool) and choice < 0.7:  # a stamp or a sequence number
            return value + int(self._rng.choice(STAMP_STEPS_NS))
        return self._hostile()

    def _sequence(self, value: Any, choice: float) -> Any:
        place = int(self._rng.integers(len(value)))
        if choice < 0.2:
            return type(value)([*value[:place], *value[place + 1 :]])
        if choice < 0.3:
            return type(value)([*value, value[place]])
        return type(value)([*value[:place], self._place(value[place]), *value[place + 1 :]])

    def _array(self, value: Array, choice: float) -> Any:
        if choice < 0.2:
            return value[..., :-1]
        if choice < 0.25:
            return value[None]
        if choice < 0.3:
            return value.tolist()
        changed = np.array(value, dtype=np.float64)
        place = tuple(self._rng.integers(size) for size in changed.shape)
        changed[place] = self._rng.choice(NUMBERS) if choice < 0.7 else self._rng.normal() * 10
        return changed

    def _hostile(self) -> Any:
        return HOSTILE[self._rng.integers(len(HOSTILE))]
