"""Which code, on which machine, a figure is of."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commit() -> str:
    """The hash of the commit that is checked out; "unknown" where there is no repository."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def machine() -> str:
    """In words."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
