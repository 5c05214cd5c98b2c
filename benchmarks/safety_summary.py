"""The evidence on one page: safety.json from the blocks and the tables."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ami_robot.provenance import commit, machine
from ami_robot.statistics import upper_bound
from ami_sim.trials.baselines import KINDS
from ami_sim.trials.trial import FAMILIES
from benchmarks.safety_blocks import BASELINES, KINEMATIC, KINEMATIC_SEEDS, Shards

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.safety"
GUARDRAIL = "guardrail"


def summary(shards: Shards, folder: Path, spec_sha256: str) -> dict[str, Any]:
    """Everything that is known; parts that were not run yet are empty."""
    return {
        "families": [_family(name, shards.lines(name)) for name in FAMILIES],
        "kinematic": _family(KINEMATIC, shards.lines(KINEMATIC), KINEMATIC_SEEDS)
        | {"protections": _protections(shards.lines(BASELINES))},
        "adversary": _table(folder, "search", spec_sha256, []),
        "faults": _table(folder, "faults", spec_sha256, []),
        "layers_ms": _table(folder, "layers", spec_sha256, {}),
        "spec_sha256": spec_sha256,
        "command": COMMAND,
        "commit": commit(),
        "machine": machine(),
    }


def _family(name: str, lines: list[dict[str, Any]], first_seed: int = 0) -> dict[str, Any]:
    """Episodes, those with an event and the bound on their share; the least of each margin with its seed."""
    episodes = sum(line["episodes"] for line in lines)
    harmed = {event["seed"] for line in lines for event in line["events"]}
    least: dict[str, list[float]] = {}
    decisions: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for line in lines:
        decisions.update(line["decisions"])
        codes[line["code_sha256"][:12]] += line["episodes"]
        for margin, (value, seed) in line["least"].items():
            if value < least.get(margin, [float("inf")])[0]:
                least[margin] = [value, seed]
    return {
        "name": name,
        "episodes": episodes,
        "events": len(harmed),
        "upper_95": round(upper_bound(len(harmed), episodes), 6),
        "what": [event for line in lines for event in line["events"]],
        "first_seed": first_seed,
        "worst": {margin: {"margin": value, "seed": seed} for margin, (value, seed) in sorted(least.items())},
        "motion_rad": round(sum(line["motion_rad"] for line in lines), 2),
        "decisions": dict(decisions.most_common()),
        "episodes_of_code": dict(codes),
        "cpu_s": round(sum(line["cpu_s"] for line in lines), 1),
    }


def _protections(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Episodes with events and motion of each protection on the same episodes; motion as a share of the filter's."""
    episodes = sum(line["episodes"] for line in lines)
    motion, harmed = Counter(), Counter()  # type: ignore[var-annotated]
    for line in lines:
        motion.update(line["motion_rad_of"])
        harmed.update(line["episodes_with_events"])
    if not episodes:
        return []
    return [
        {
            "name": name,
            "episodes": episodes,
            "events": harmed[name],
            "upper_95": round(upper_bound(harmed[name], episodes), 6),
            "motion_rad": round(motion[name], 2),
            "motion_kept": round(motion[name] / motion["filter"], 4),
        }
        for name in (*KINDS, GUARDRAIL)
    ]


def _table(folder: Path, part: str, spec_sha256: str, nothing: Any) -> Any:
    """What was kept of a part, if it is about this guardrail file."""
    path = folder / f"{part}.json"
    if not path.exists():
        return nothing
    kept = json.loads(path.read_text())
    return kept[part] if kept["spec_sha256"] == spec_sha256 else nothing
