"""Durations in nanoseconds."""

from __future__ import annotations

from functools import total_ordering
from typing import Any

_NS = 1_000_000_000


@total_ordering
class Duration:
    """A signed span of time."""

    __slots__ = ("_ns",)

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self._ns = int(seconds * _NS) + int(nanoseconds)
        if not -(2**63) <= self._ns < 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C duration.")

    @property
    def nanoseconds(self) -> int:
        """The span in ns."""
        return self._ns

    def to_msg(self) -> Any:
        """Return a builtin_interfaces/Duration."""
        from builtin_interfaces.msg import Duration as Message

        sec, nanosec = divmod(self._ns, _NS)
        return Message(sec=sec, nanosec=nanosec)

    def __eq__(self, other: object) -> bool:
        return self._ns == other._ns if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other: Duration) -> bool:
        return self._ns < other._ns if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._ns)

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self._ns})"


Infinite = Duration(nanoseconds=2**63 - 1)
