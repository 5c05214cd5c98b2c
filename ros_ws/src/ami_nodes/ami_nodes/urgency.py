"""Threads in the loop that closes every 10 ms run before others, as those of ros2_control's controller manager do."""

from __future__ import annotations

import contextlib
import os
import sys
import time

REALTIME_PRIORITY = 40
"""Of SCHED_FIFO: below the kernel's interrupt threads and ros2_control's, which both have 50 by default."""

NICENESS = -10

REST_SHARE = 0.12
"""Of what a piece of work took. Linux keeps 5 % of each second for threads without real-time priority (sched(7)), and
takes them at once where they were left less: for 50 ms, in which no joint state is heard. 8 % are just enough.
"""

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


def rest_after(busy_s: float) -> None:
    """Leave the core to others after work that took so long, s, in small pieces before it is taken in a large one."""
    time.sleep(REST_SHARE * busy_s)


def start_ordinary_threads() -> None:
    """From now on: what a thread with real-time priority starts, a window's thread for example, has none."""
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(REALTIME_PRIORITY))
