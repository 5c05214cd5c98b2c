"""No picture is lost between two processes."""

import json
import subprocess
import sys
from pathlib import Path


def test_sixty_pictures_reach_another_process_and_none_is_lost(tmp_path):
    """Ages depend on what else the machine does: their bars, and so the exit status, are for the benchmark alone."""
    out = tmp_path / "image_path.json"
    command = [sys.executable, "-m", "benchmarks.image_path", "--seconds", "2", "--out", str(out)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=180)
    assert out.is_file(), done.stdout + done.stderr
    pictures, joint_states = json.loads(out.read_text())["streams"]
    assert (pictures["messages"], pictures["lost"]) == (60, 0), done.stdout
    assert 0.0 < pictures["p50_ms"] <= pictures["p99_ms"] <= pictures["worst_ms"] < 1000.0
    assert joint_states["messages"] == 500
    assert ("not kept" in done.stdout) == bool(done.returncode)
