"""How a node is: rates, times and counts for /diagnostics (REP 107)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

HARDWARE_ID = "ami_robot"
EVERY_S = 1.0
"""Between two words on how a node is; they are its heartbeat, too."""


ACTIVE, NOT_ACTIVE = "active", "not active"
"""What a node says that has nothing to complain about; one that is not active always says so."""


@dataclass(frozen=True)
class Health:
    """What is wrong, if anything, and figures with their unit in the name."""

    warning: str = ""  # one sentence; empty when all is well
    figures: Mapping[str, object] = field(default_factory=dict)


def to_diagnostics(node: Any, level: bytes, message: str, figures: Mapping[str, object]) -> DiagnosticArray:
    """The message by which a node tells it."""
    status = DiagnosticStatus(level=level, name=node.get_fully_qualified_name(), message=message)
    status.hardware_id = HARDWARE_ID
    status.values = [KeyValue(key=key, value=str(value)) for key, value in figures.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = node.get_clock().now().to_msg()
    return array


class Meter:
    """How often something happens, and how long it takes, since this was last read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._read_s, self._count = time.monotonic(), 0
        self._took_s: list[float] = []

    def tick(self) -> None:
        """It happened."""
        self._count += 1

    @contextmanager
    def timed(self) -> Iterator[None]:
        """It happens meanwhile."""
        began_s = time.perf_counter()
        yield
        self._took_s.append(time.perf_counter() - began_s)
        self._count += 1

    def read(self) -> dict[str, float]:
        """Its name with `_hz`, and of what was timed with `_ms_median` and `_ms_worst`; begins anew."""
        now_s, name = time.monotonic(), self._name
        figures = {f"{name}_hz": round(self._count / max(now_s - self._read_s, 1e-9), 2)}
        if self._took_s:
            figures[f"{name}_ms_median"] = round(float(np.median(self._took_s)) * 1e3, 2)
            figures[f"{name}_ms_worst"] = round(max(self._took_s) * 1e3, 2)
        self._read_s, self._count, self._took_s = now_s, 0, []
        return figures
