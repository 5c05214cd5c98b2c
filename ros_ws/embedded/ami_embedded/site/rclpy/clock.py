"""Clocks. A ROS clock shows the system time until a TimeSource feeds it from /clock."""

from __future__ import annotations

import time as _time
import weakref
from typing import Any

from .clock_type import ClockType
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
        self.ns = _time.time_ns

    @property
    def is_simulated(self) -> bool:
        """Whether the clock stands still between messages."""
        return self._active

    @property
    def ros_time_is_active(self) -> bool:
        """Whether the clock follows /clock."""
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

    def _set_override_ns(self, ns: int) -> None:
        backwards = ns < self._override_ns
        self._override_ns = ns
        if self._active:
            for timer in tuple(self._timers):
                if backwards:
                    timer._clock_jumped()
                elif timer.is_ready():
                    timer._wake()
