"""Threads in the loop that closes every 10 ms run before others, as those of ros2_control's controller manager do."""

from __future__ import annotations

import contextlib
import os
import sys

REALTIME_PRIORITY = 40
"""Of SCHED_FIFO: below the kernel's interrupt threads and ros2_control's, which both have 50 by default."""

NICENESS = -10

NOT_ALLOWED = (
    "no real-time priority, so a busy machine delays decisions, which brakes the arm; a user may have it with "
    f"`@realtime - rtprio {REALTIME_PRIORITY}` in /etc/security/limits.conf, as a member of that group."
)


def be_urgent() -> bool:
    """For the calling thread and those it starts: real-time priority; where that is not allowed, niceness at least.

    Returns whether it is real-time priority. See sched(7).
    """
    with contextlib.suppress(PermissionError):
        if sys.platform == "linux":
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
            return True
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    return False


def start_ordinary_threads() -> None:
    """From now on: what a thread with real-time priority starts, a window's thread for example, has none."""
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(REALTIME_PRIORITY))
