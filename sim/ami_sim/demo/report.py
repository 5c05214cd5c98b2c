"""The figures of a run: one JSON for machines, one table for the terminal."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ami_robot.statistics import wilson_interval
from ami_robot.types import Array
from ami_sim.demo.record import EpisodeRecord

DISTRIBUTIONS = ("ami-robot", "numpy", "torch", "opencv-python", "pybullet", "cyclonedds", "rosbags")
OURS = "ami"
CYCLES = ("cycles", "late", "worst_ms", "worst_gap_ms", "cpu_ms_p50", "cpu_ms_p99")


def build_report(
    task: str,
    records: Sequence[EpisodeRecord],
    controls: Mapping[str, tuple[int, int]],
    nodes: Sequence[Mapping[str, Any]],
    rclpy: str,
    checkpoint_sha256: str,
    cycles: Mapping[str, float],
) -> dict[str, Any]:
    """The content of report.json.

    controls: successes and episodes by name. nodes: name and pid of each process. rclpy: embedded or ros2. cycles: how
    punctual the guardrail was, by CYCLES; empty when it did not say. Latencies
    are those of every plan and every sent command; the planner's rate leaves out the pauses between episodes.
    """
    successes = sum(record.success for record in records)
    return {
        "task": task,
        "episodes": [
            {
                "seed": record.seed,
                "success": record.success,
                "final_distance_m": _rounded(record.final_distance_m),
                "steps": record.steps,
                "refusals": record.refusals,
                "stops": len(record.stops),
            }
            for record in records
        ],
        "success_rate": successes / len(records),
        "success_interval_95": [round(bound, 4) for bound in wilson_interval(successes, len(records))],
        "controls": {name: reached / episodes for name, (reached, episodes) in controls.items()},
        "plan_ms": _percentiles([record.plan_ms for record in records]),
        "camera_to_command_ms": _percentiles([record.camera_to_command_ms for record in records]),
        "planner_rate_hz": _rounded(_rate_hz([record.plans_s for record in records])),
        "real_time_factor": _rounded(float(np.mean([record.real_time_factor for record in records]))),
        "guardrail": {
            "violations": sum(len(record.violations) for record in records),
            "interventions": sum(record.interventions for record in records),
            "checked_commands": sum(record.checked_commands for record in records),
            **{name: _rounded(cycles.get(name, float("nan"))) for name in CYCLES},
        },
        "nodes": [dict(node) for node in nodes],
        "rclpy": rclpy,
        "versions": _versions(),
        "checkpoint_sha256": checkpoint_sha256,
    }


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the JSON so that it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    os.replace(partial, path)


Row = tuple[str, int, int, float, float]
"""Name, successes, episodes and the bounds of the 95 % interval."""


def rows(report: Mapping[str, Any], controls: Mapping[str, tuple[int, int]]) -> list[Row]:
    """Ours first, then the controls."""
    ours = (sum(episode["success"] for episode in report["episodes"]), len(report["episodes"]))
    return [
        (name, reached, episodes, *wilson_interval(reached, episodes))
        for name, (reached, episodes) in {OURS: ours, **controls}.items()
    ]


def format_table(report: Mapping[str, Any], controls: Mapping[str, tuple[int, int]]) -> str:
    """What the terminal shows at the end."""
    lines = [f"{'':16} reached   rate   95 % interval"]
    for name, reached, episodes, low, high in rows(report, controls):
        lines.append(
            f"{name:16} {reached:3d}/{episodes:<3d}  {reached / episodes:5.0%}   {100 * low:3.0f}-{100 * high:.0f} %"
        )
    plan, command, guardrail = report["plan_ms"], report["camera_to_command_ms"], report["guardrail"]
    lines += [
        "",
        f"plan              p50 {_number(plan['p50'])} ms, p95 {_number(plan['p95'])} ms, "
        f"{_number(report['planner_rate_hz'], 2)} Hz",
        f"camera to command p50 {_number(command['p50'])} ms, p95 {_number(command['p95'])} ms",
        f"guardrail         {guardrail['violations']} violations in {guardrail['checked_commands']} commands, "
        f"{guardrail['interventions']} interventions",
        f"guardrail's loop  {_number(guardrail['late'])} of {_number(guardrail['cycles'])} cycles late, the longest "
        f"{_number(guardrail['worst_ms'], 1)} ms; CPU p50 {_number(guardrail['cpu_ms_p50'], 1)} ms, "
        f"p99 {_number(guardrail['cpu_ms_p99'], 1)} ms",
        f"simulation        {_number(report['real_time_factor'], 3)} of real time, "
        f"{len(report['nodes'])} node processes",
    ]
    return "\n".join(lines)


def _percentiles(parts: Sequence[Array]) -> dict[str, float | None]:
    values = np.concatenate([np.asarray(part, float).ravel() for part in parts]) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    return {name: _rounded(float(np.percentile(values, q))) if values.size else None for name, q in _QUANTILES}


_QUANTILES = (("p50", 50), ("p95", 95))


def _rate_hz(stamps: Sequence[Array]) -> float:
    """Plans a second of simulated time between the first and the last plan of each episode."""
    intervals = sum(max(0, len(times) - 1) for times in stamps)
    spent_s = sum(float(times[-1] - times[0]) for times in stamps if len(times) > 1)
    return intervals / spent_s if spent_s > 0 else 0.0


def _rounded(value: float) -> float | None:
    """Four decimals; None where there is no number, since JSON has no NaN."""
    return round(value, 4) if np.isfinite(value) else None


def _number(value: float | None, decimals: int = 0) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
