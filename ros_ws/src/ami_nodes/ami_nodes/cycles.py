"""How punctual a loop is that has to close with every joint state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ami_robot.types import NS_PER_S

BIN_S, BINS = 2e-5, 5000
"""Of CPU times; what takes longer than all of them counts in the last."""

PERIOD_S = 0.01
"""Of the joint states. A cycle that takes longer is late, and so is one before which a joint state is missing."""


class Figures(NamedTuple):
    """Of all cycles that counted."""

    cycles: int
    late: int
    worst_ms: float  # wall time of a cycle
    worst_gap_ms: float  # between the stamps of two joint states
    cpu_ms_p50: float  # CPU time of the thread in a cycle
    cpu_ms_p99: float


class Cycles:
    """Counts the cycles that are late, and how many took how much CPU time."""

    def __init__(self) -> None:
        self.count = self.late = 0
        self._worst_s = self._worst_gap_s = 0.0
        self._cpu_bins = np.zeros(BINS, np.int64)
        self._stamp_ns: int | None = None

    @contextmanager
    def timed(self, stamp_ns: int, counts: bool) -> Iterator[None]:
        """Around the work on the joint state of this stamp; one that does not count is the one before the next."""
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        began_s, cpu_s = time.perf_counter(), time.thread_time()
        yield
        if not counts:
            return
        self._cpu_bins[min(int((time.thread_time() - cpu_s) / BIN_S), BINS - 1)] += 1
        took_s = time.perf_counter() - began_s
        gap_s = (stamp_ns - before_ns) / NS_PER_S if before_ns is not None else 0.0
        self.count += 1
        self.late += took_s > PERIOD_S or gap_s > 2.0 * PERIOD_S
        self._worst_s, self._worst_gap_s = max(self._worst_s, took_s), max(self._worst_gap_s, gap_s)

    def figures(self) -> Figures:
        """So far; NaN for the CPU time of no cycle."""
        return Figures(
            self.count,
            self.late,
            self._worst_s * 1e3,
            self._worst_gap_s * 1e3,
            self._cpu_ms(0.5),
            self._cpu_ms(0.99),
        )

    def _cpu_ms(self, share: float) -> float:
        """The middle of the bin in which that share of the cycles is reached."""
        if not self.count:
            return float("nan")
        return (int(np.searchsorted(self._cpu_bins.cumsum(), share * self.count)) + 0.5) * BIN_S * 1e3
