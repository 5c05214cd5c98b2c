"""The controls of the tasks beyond reaching."""

import subprocess
import sys
from pathlib import Path


def test_the_table_has_a_row_for_each_actor_with_its_interval():
    words = ["--tasks", "push", "--actors", "expert", "hold", "--seeds", "1", "2", "--shift", "friction"]
    command = [sys.executable, "benchmarks/manipulation.py", *words]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "| push | expert | 1/1 = 100% | 21% to 100% |" in done.stdout
    assert "| push | hold | 0/1 = 0% | 0% to 79% |" in done.stdout
    assert "where the expert failed: nowhere" in done.stdout
