"""Feeds a node's clock from /clock while `use_sim_time` is true."""

from __future__ import annotations

import struct
from typing import Any

from .clock import ROSClock
from .qos import QoSProfile, QoSReliabilityPolicy

_TIME = struct.Struct("<iI")  # rosgraph_msgs/Clock after its encapsulation: read as such, it comes 100 times a second


class TimeSource:
    """Joins a node and its clock."""

    def __init__(self, node: Any, clock: ROSClock) -> None:
        self._node, self._clock = node, clock
        self._subscription: Any = None

    def use_sim_time(self, enabled: bool) -> None:
        """Follow /clock, or the system clock."""
        from rosgraph_msgs.msg import Clock as Message

        self._clock._set_ros_time_is_active(enabled)
        if enabled and self._subscription is None:
            qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
            self._subscription = self._node.create_subscription(Message, "/clock", self._on_clock, qos, raw=True)
            self._subscription._inline = True  # shorter than the way to another thread
        elif not enabled and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_clock(self, cdr: bytes) -> None:
        if len(cdr) >= 12:
            seconds, nanoseconds = _TIME.unpack_from(cdr, 4)
            self._clock._set_override_ns(seconds * 1_000_000_000 + nanoseconds)
