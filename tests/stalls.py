"""A failed test of a live graph is run again where the machine stood still meanwhile, and only there.

Where it stood still in every one of these runs, and in the last for long enough to brake an arm, the test is skipped
with that reason: on such a machine it can say nothing. After a few such tests the others get one run each there, so
that the whole ends in time.

A virtual machine that gets no core for 50 ms brakes the arm, as it should; that says nothing about the project's code.
So a process of its own watches every core, at a priority above any node's. Run as a program, this file is that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

PERIOD_S = 0.005

STALL_S = 0.01
"""A cycle of the guardrail; two or three such stalls in a row are 50 ms without joint states."""

UNFIT_S = 0.03
"""Joint states that are so late, and what else delays them on a machine of two cores, make 50 ms: the arm is braked."""

PRIORITY = 60
"""Of SCHED_FIFO: above the kernel's interrupt threads, and so above every node."""

RERUNS, DELAY_S = 2, 5
"""A machine that stands still does so again and again for a while: it is waited out."""

EXCUSED = 3
"""After so many tests that were waited for in vain, nothing is waited for."""


class StallWatch:
    """Knows whether a core was away since the test began; a plugin of pytest. Close it."""

    def __init__(self) -> None:
        self._notes = tempfile.NamedTemporaryFile(prefix="stalls")  # noqa: SIM115 - open as long as the watch
        self.process = subprocess.Popen([sys.executable, __file__, self._notes.name])
        self._since_s = time.monotonic()
        self._excused = 0

    def pytest_runtest_setup(self) -> None:
        """A test begins."""
        self._since_s = time.monotonic()

    def longest_s(self) -> float:
        """For how long a core was away at most of those that came back since the test began; 0 where none was."""
        notes = [map(float, line.split()) for line in Path(self._notes.name).read_text().splitlines()]
        return max((away_s for back_s, away_s in notes if back_s >= self._since_s), default=0.0)

    def stalled(self) -> bool:
        """Whether a core came back since the test began after it had been away."""
        return self.longest_s() > 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Excuse the last failure of a live test on a machine that stood still in all its runs."""
        report = yield
        runs = getattr(item, "execution_count", 1)
        last = runs > RERUNS or self._excused >= EXCUSED
        if report.failed and last and item.get_closest_marker("flaky") and self.longest_s() > UNFIT_S:
            times = "once" if runs == 1 else f"{runs} times"
            reason = f"Skipped: it failed {times}, a core was away each time, now for {self.longest_s():.3f} s"
            report.outcome, report.longrepr = "skipped", (str(item.path), item.location[1], reason)
            self._excused += 1
        return report

    def close(self) -> None:
        """End it; RuntimeError if it had ended by itself, since then it has noted nothing."""
        ended_by_itself = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        self._notes.close()
        if ended_by_itself:
            raise RuntimeError("The watch for stalls ended by itself.")


def pytest_collection_modifyitems(config, items) -> None:
    """Mark those that start nodes."""
    live = [item for item in items if "ros" in item.fixturenames or item.get_closest_marker("graph")]
    if live and config.pluginmanager.hasplugin("rerunfailures"):  # make test-ros does without plugins
        watch = StallWatch()
        config.add_cleanup(watch.close)
        config.pluginmanager.register(watch, "stall_watch")
        for item in live:
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, reruns_delay=DELAY_S, condition=watch.stalled))


def watch_core(core: int, notes: Path) -> None:
    """Sleep on it, and note the time (`time.monotonic`) when that took too long."""
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):  # then a busy machine counts as one that stood still
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    last_s = time.monotonic()
    while True:
        time.sleep(PERIOD_S)
        now_s = time.monotonic()
        if now_s - last_s > PERIOD_S + STALL_S:
            with notes.open("a") as file:
                file.write(f"{now_s:.4f} {now_s - last_s:.4f}\n")
        last_s = now_s


def main() -> None:
    """Watch every core that this process may use, until the one that started it is gone."""
    parent, notes = os.getppid(), Path(sys.argv[1])
    for core in os.sched_getaffinity(0):
        threading.Thread(target=watch_core, args=(core, notes), daemon=True).start()
    while os.getppid() == parent:
        time.sleep(1.0)


if __name__ == "__main__":
    main()
