"""Timers on any clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .clock import Clock, ROSClock


class Timer:
    """Calls back periodically. Made by `Node.create_timer`; on a ROS clock it follows simulated time."""

    _inline = False

    def __init__(
        self,
        callback: Callable[..., Any] | None,
        callback_group: Any,
        timer_period_ns: int,
        clock: Clock,
        wake: Callable[[], None],
        *,
        autostart: bool = True,
    ) -> None:
        if timer_period_ns < 0:
            raise ValueError("timer period must not be negative")
        self.callback, self.callback_group, self.clock = callback, callback_group, clock
        self.timer_period_ns, self._wake = timer_period_ns, wake
        self._canceled = not autostart
        self.next_ns = clock.ns() + timer_period_ns
        if isinstance(clock, ROSClock):
            clock._timers.add(self)

    def is_ready(self) -> bool:
        """Whether it is due."""
        return not self._canceled and self.clock.ns() >= self.next_ns

    def cancel(self) -> None:
        """Stop until `reset`."""
        self._canceled = True

    def reset(self) -> None:
        """Start again: due one period from now."""
        self._canceled = False
        self._clock_jumped()

    def _clock_jumped(self) -> None:
        self.next_ns = self.clock.ns() + self.timer_period_ns
        self._wake()

    def _take(self) -> Callable[[], Any] | None:
        """Claim the call that is due. Missed periods are skipped, the phase is kept (as rcl does)."""
        now = self.clock.ns()
        if self._canceled or now < self.next_ns:
            return None
        if self.timer_period_ns:
            self.next_ns += self.timer_period_ns * ((now - self.next_ns) // self.timer_period_ns + 1)
        return self.callback

    def destroy(self) -> None:
        """Stop it for good; use `Node.destroy_timer`."""
        self._canceled = True
        if isinstance(self.clock, ROSClock):
            self.clock._timers.discard(self)
