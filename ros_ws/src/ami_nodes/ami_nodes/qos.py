"""The quality of service of every topic, in one place (REP 2003, and the advice of ros2_control for commands)."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


_BEST_EFFORT, _RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
_VOLATILE, _TRANSIENT_LOCAL = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL

SENSOR_OUT = _profile(5, _RELIABLE, _VOLATILE)
"""What sensors publish: reliable, so that a recorder may ask for every message."""

SENSOR_IN = _profile(5, _BEST_EFFORT, _VOLATILE)
"""What sensors are read with: the newest counts, a lost one is not sent again."""

LATEST_IN = _profile(1, _BEST_EFFORT, _VOLATILE)
"""Read by a consumer that is allowed to be slower than the sensor: the newest only."""

COMMAND = _profile(1, _RELIABLE, _VOLATILE)
"""Commands: reliable, the newest replaces what was not read yet."""

EVENTS = _profile(20, _RELIABLE, _VOLATILE)
"""What every reader has to see in order: decisions of the guardrail, plans; what several sources say to one reader,
who must not lose one's word to another's."""

LATCHED = _profile(1, _RELIABLE, _TRANSIENT_LOCAL)
"""Said once, heard by late joiners too."""

SWITCH = _profile(20, _RELIABLE, _TRANSIENT_LOCAL)
"""Latched too, but with what was said before: a short press of an e-stop is not lost to its release."""

CLOCK = _profile(1, _BEST_EFFORT, _VOLATILE)
"""As rclpy's time source reads /clock."""


def matching(offers: list[QoSProfile], depth: int) -> QoSProfile:
    """What all publishers of a topic can give: reliable and transient-local where all of them are (as rosbag2 asks)."""
    reliable = all(offer.reliability == _RELIABLE for offer in offers)
    latched = all(offer.durability == _TRANSIENT_LOCAL for offer in offers)
    return _profile(depth, _RELIABLE if reliable else _BEST_EFFORT, _TRANSIENT_LOCAL if latched else _VOLATILE)
