"""The kinds of clock (ROS 2 design, "Clock and Time")."""

from __future__ import annotations

from enum import IntEnum


class ClockType(IntEnum):
    """ROS_TIME follows /clock when use_sim_time is set."""

    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3
