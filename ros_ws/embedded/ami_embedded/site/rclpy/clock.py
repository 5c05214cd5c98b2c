"""Clocks. A ROS clock shows the system time until a TimeSource feeds it from /clock."""

from __future__ import annotations

import threading
import time as _time
import weakref
from typing import Any

from .clock_type import ClockType
from .duration import Duration
from .time import Time

__all__ = ["Clock", "ClockType", "ROSClock"]


class Clock:
    """A clock of one kind. `Clock()` is a system clock; `Clock(clock_type=ClockType.ROS_TIME)` a ROSClock."""

    _clock_type: ClockType

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        """Pick ROSClock for ROS time."""
        self = object.__new__(ROSClock if clock_type is ClockType.ROS_TIME else cls)
        self._clock_type = clock_type
        self._setup()
        return self

    def _setup(self) -> None:
        self.ns = _time.monotonic_ns if self._clock_type is ClockType.STEADY_TIME else _time.time_ns

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    @property
    def is_simulated(self) -> bool:
        """Whether the clock stands still between messages."""
        return False

    def now(self) -> Time:
        """The present time."""
        return Time(nanoseconds=self.ns(), clock_type=self._clock_type)

    def sleep_until(self, until: Time, context: Any = None) -> bool:
        """Block until that time on this clock; False when the context was shut down first."""
        from .utilities import get_default_context

        context = context or get_default_context()
        change = threading.Event()
        context._sleepers.add(change)
        try:
            while context.ok():
                remaining = until.nanoseconds - self.ns()
                if remaining <= 0:
                    return True
                change.wait(min(remaining * 1e-9, 1.0))
                change.clear()
            return False
        finally:
            context._sleepers.discard(change)

    def sleep_for(self, span: Duration, context: Any = None) -> bool:
        """Block for that long on this clock; False when the context was shut down first."""
        return self.sleep_until(self.now() + span, context)


class ROSClock(Clock):
    """System time, or the time of /clock while `ros_time_is_active`."""

    def __new__(cls) -> ROSClock:  # type: ignore[misc]
        """Create a ROS clock."""
        self = object.__new__(cls)
        self._clock_type = ClockType.ROS_TIME
        self._setup()
        return self

    def _setup(self) -> None:
        self._override_ns = 0
        self._active = False
        self._timers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._changed = threading.Condition()
        self.ns = _time.time_ns

    @property
    def ros_time_is_active(self) -> bool:
        """Whether the clock follows /clock."""
        return self._active

    @property
    def is_simulated(self) -> bool:
        """Whether the clock stands still between messages."""
        return self._active

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._active:
            return
        self._active = enabled
        self.ns = self._simulated_ns if enabled else _time.time_ns
        for timer in tuple(self._timers):
            timer._clock_jumped()

    def _simulated_ns(self) -> int:
        return self._override_ns

    def set_ros_time_override(self, time: Time) -> None:
        """Set the time of /clock."""
        self._set_override_ns(time.nanoseconds)

    def _set_override_ns(self, ns: int) -> None:
        backwards = ns < self._override_ns
        self._override_ns = ns
        if self._active:
            for timer in tuple(self._timers):
                if backwards:
                    timer._clock_jumped()
                elif timer.is_ready():
                    timer._wake()
        with self._changed:
            self._changed.notify_all()

    def sleep_until(self, until: Time, context: Any = None) -> bool:
        """Block until that time on this clock, simulated or not; False when the context was shut down first."""
        if not self._active:
            return super().sleep_until(until, context)
        from .utilities import get_default_context

        context = context or get_default_context()
        with self._changed:
            while self.ns() < until.nanoseconds and context.ok():
                self._changed.wait(0.1)  # the shutdown of a context does not notify clocks
        return self.ns() >= until.nanoseconds
