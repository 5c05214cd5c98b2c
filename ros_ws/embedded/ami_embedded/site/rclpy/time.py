"""Points in time on a clock of a known kind."""

from __future__ import annotations

from typing import Any

from .clock_type import ClockType
from .duration import Duration

_NS = 1_000_000_000


class Time:
    """Nanoseconds since the start of a clock. Times of different clock types do not compare."""

    __slots__ = ("_ns", "_type")

    def __init__(
        self, *, seconds: float = 0, nanoseconds: int = 0, clock_type: ClockType = ClockType.SYSTEM_TIME
    ) -> None:
        if seconds < 0 or nanoseconds < 0:
            raise ValueError("Time values must not be negative")
        self._ns, self._type = int(seconds * _NS) + int(nanoseconds), clock_type
        if self._ns >= 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C time point.")

    @property
    def nanoseconds(self) -> int:
        """Since the start of the clock, ns."""
        return self._ns

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._type

    def to_msg(self) -> Any:
        """Return a builtin_interfaces/Time."""
        from builtin_interfaces.msg import Time as Message

        sec, nanosec = divmod(self._ns, _NS)
        return Message(sec=sec, nanosec=nanosec)

    def __add__(self, other: object) -> Time:
        if isinstance(other, Duration):
            return Time(nanoseconds=self._ns + other.nanoseconds, clock_type=self._type)
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: object) -> Any:
        if isinstance(other, Time):
            return Duration(nanoseconds=self._ns - self._same(other))
        if isinstance(other, Duration):
            return Time(nanoseconds=self._ns - other.nanoseconds, clock_type=self._type)
        return NotImplemented

    def _same(self, other: Time) -> int:
        if other._type != self._type:
            raise TypeError("Can't compare times with different clock types")
        return other._ns

    def __eq__(self, other: object) -> bool:
        return self._ns == self._same(other) if isinstance(other, Time) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._ns < self._same(other) if isinstance(other, Time) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._ns <= self._same(other) if isinstance(other, Time) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._ns > self._same(other) if isinstance(other, Time) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._ns >= self._same(other) if isinstance(other, Time) else NotImplemented

    def __hash__(self) -> int:
        return hash((self._ns, self._type))

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self._ns}, clock_type={self._type.name})"
