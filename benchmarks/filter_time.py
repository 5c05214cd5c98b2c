"""How long does the filter take? Thread CPU time over random states, with its rows, and with the gate's check after it.

    OMP_NUM_THREADS=1 python benchmarks/filter_time.py --out filter_time.json

Each state is half way through a step of the tool through the workspace, and asks for another step: `ordinary` ones of
4 cm, which mostly pass as they are, and `bent` ones, whose targets the filter had to move. `filter` is the quadratic
programme and its rows; `gate` the check of the whole motion to its answer, brake to rest included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.provenance import made_with
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.filter import FilteredTarget, nearest_target
from ami_robot.safety.gate import check_motion
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import MOVE_DURATIONS_S, Spline, move_to_rest
from ami_robot.safety.quintic import Strays
from ami_robot.safety.spec import load_spec
from ami_robot.safety.strays import strays
from ami_robot.types import MODEL_STEP_S, Array, JointState

PERCENTILES = (50, 95, 99)
FAR_M = 0.06  # what the bent ones ask for: a step and a half


def main() -> None:
    """Time the filter and the gate, print a table, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file for the table")
    args = parser.parse_args()

    ordinary = Timing(args.seed, load_spec().tool_displacement.max_m_per_step)
    bent = Timing(args.seed + 1, FAR_M)
    result: dict[str, Any] = {"states": args.states, "seed": args.seed}
    load = os.getloadavg()[0]
    for name, timing, kept in (("ordinary", ordinary, lambda _: True), ("bent", bent, lambda row: row != "")):
        result[name] = timing.run(args.states, kept, name)
    print(
        f"{'CPU time, ms':24}" + "".join(f"{f'p{p}':>8}" for p in PERCENTILES) + "   rows >=   refused   gate refused"
    )
    for name in ("ordinary", "bent"):
        row = result[name]
        for part in ("filter", "filter_and_gate"):
            times = "".join(f"{row[f'{part}_ms'][f'p{p}']:8.3f}" for p in PERCENTILES)
            print(f"{name + ', ' + part:24}{times}{row['rows']:10}{row['refused']:10}{row['gate_refused']:15}")
    if args.out:
        made = made_with(" ".join(["OMP_NUM_THREADS=1 python benchmarks/filter_time.py", *sys.argv[1:]]), load)
        args.out.write_text(json.dumps(result | made, indent=2) + "\n")


class Timing:
    """Random states of the arm on its way, and how long their filter takes."""

    def __init__(self, seed: int, step_m: float) -> None:
        self._spec, self._kinematics, self._dynamics = load_spec(), Kinematics(), Dynamics()
        self._generator, self._step_m = np.random.default_rng(seed), step_m

    def run(self, states: int, kept: Callable[[str], bool], name: str) -> dict[str, Any]:
        """Percentiles over `states` answers whose active row is wanted."""
        filter_s: list[float] = []
        both_s: list[float] = []
        rows, refused, gate_refused = np.inf, 0, 0
        with tqdm(total=states, desc=name) as progress:
            while len(both_s) < states:
                start, also_from, nominal = self._state()
                begun = time.thread_time()
                answer = nearest_target(self._spec, self._kinematics, start, nominal, float(MOVE_DURATIONS_S[0]))
                took_s = time.thread_time() - begun
                if not isinstance(answer, FilteredTarget):
                    refused += 1
                    continue
                if not kept(answer.active_row):
                    continue
                begun = time.thread_time()
                trajectory = move_to_rest(start, answer.joint_positions, self._spec, also_from)
                motion = None if trajectory is None else Spline(start, trajectory, also_from)
                verdict = motion and check_motion(self._spec, self._kinematics, self._dynamics, motion)
                filter_s.append(took_s)
                both_s.append(took_s + time.thread_time() - begun)
                rows, gate_refused = (
                    min(rows, answer.rows),
                    gate_refused + (verdict is None or verdict.refusal is not None),
                )
                progress.update()
        return {
            "filter_ms": _percentiles(filter_s),
            "filter_and_gate_ms": _percentiles(both_s),
            "rows": int(rows),
            "refused": refused,
            "gate_refused": gate_refused,
        }

    def _state(self) -> tuple[JointState, Strays, Array]:
        """Half way through one step, where else that may be, (7,) joint positions of the next one."""
        spec, rest = self._spec, np.zeros(7)
        while True:
            tool = self._generator.uniform(spec.workspace.lower_m, spec.workspace.upper_m)
            begin = JointState(self._kinematics.inverse(tool)[0], rest, rest)
            end = np.clip(tool + self._step(), spec.workspace.lower_m, spec.workspace.upper_m)
            motion = move_to_rest(begin, self._kinematics.inverse(end)[0], spec)
            if motion is not None:
                running, jitter_s = Spline(begin, motion), spec.transport.jitter_s
                also_from = strays(running, MODEL_STEP_S, jitter_s, jitter_s)
                return running.sample(MODEL_STEP_S), also_from, self._kinematics.inverse(end + self._step())[0]

    def _step(self) -> Array:
        step = self._generator.normal(size=3)
        return step / np.linalg.norm(step) * self._step_m


def _percentiles(times_s: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(times_s, p)) * 1e3, 4) for p in PERCENTILES}


if __name__ == "__main__":
    main()
