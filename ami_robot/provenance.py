"""Which code, on which machine, a figure is of."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def commit() -> str:
    """The hash of the commit that is checked out; "unknown" where there is no repository."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def made_with(command: str, load: float) -> dict[str, Any]:
    """How figures came about; `load` is the machine's before."""
    return {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "load_average": load_average(load),
    }


def load_average(before: float) -> list[float]:
    """Of the last minute: before, and now. Where a graph ran, it is a part of the second."""
    return [round(before, 2), round(os.getloadavg()[0], 2)]


def machine() -> str:
    """In words."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
