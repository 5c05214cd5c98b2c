"""Does any input make the guardrail raise, or send anything but a legal motion? A million malformed ones.

    OMP_NUM_THREADS=1 python -m benchmarks.fuzz                          1,000,000 inputs, two processes
    OMP_NUM_THREADS=1 python -m benchmarks.fuzz --inputs 20000 --seed 7

Each episode arms a guardrail at rest somewhere in the workspace with an arm that follows it, and feeds it joint states,
proposals (displacements and trajectories), people, a held tool, an e-stop, a deadman and stamps. Most of them are
spoilt in one to three places: NaN, infinities, denormals, 1e308, huge integers, wrong types and shapes, joints in
another order or twice, clocks that jump or go back. After every input: nothing was raised; what was sent is finite,
ends at rest, and keeps the joint limits along its way. Half of the episodes ask for people, half are in a fenced cell.
Shards of 20,000 inputs are kept in data/fuzz/ and not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import GuardrailReport, HeldTool, JointState, People, Person, Proposal

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
KEPT = ROOT / "data" / "fuzz"
SHARD, EPISODE = 20_000, 60  # inputs
TICK_NS = 10_000_000
REST = np.zeros(7)
DECISIONS = ("accepted", "modified", "refused", "brake", "status")

HOSTILE: tuple[Any, ...] = (
    float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 1e-310, -0.0, 0, -1, 2**62, 2**63, 10**400, True,
    None, "", "panda_joint1", b"x", [], [[]], {}, (), [None] * 7, ["1"] * 7, [1e308] * 7, [float("nan")] * 7, 1j,
    np.zeros((7, 7)), np.zeros(0), np.float32("nan"), np.array("x"), np.full(3, 1e308), np.full(7, 5e-324), object(),
)  # fmt: skip


class Broken(Exception):  # noqa: N818  # it is the finding, not an error of this program
    """An input got through that should not have."""


class Episode:
    """A guardrail, an arm that follows it, and somebody who spoils what they are told."""

    def __init__(self, spec: Spec, kinematics: Kinematics, dynamics: Dynamics, rng: np.random.Generator) -> None:
        self.spec, self.kinematics, self.rng = spec, kinematics, rng
        lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
        q, _ = kinematics.inverse(rng.uniform(lower, upper))
        self.now_ns, self.sequence = int(rng.integers(10**9, 10**12)), 0
        self.resting, self.since_ns = JointState(q, REST, REST), 0
        self.spline: Spline | None = None
        self.guardrail = Guardrail(spec, kinematics, dynamics)
        self.guardrail.select_source("planner")
        self.guardrail.people(People(self.now_ns, ()))
        self.guardrail.arm(self.resting, self.now_ns, self.now_ns)
        self.spoilt = 0
        self.decisions: Counter[str] = Counter()

    @property
    def state(self) -> JointState:
        """Where the arm is."""
        if self.spline is None:
            return self.resting
        return self.spline.sample((self.now_ns - self.since_ns) / 1e9)

    def turn(self) -> None:
        """10 ms: perhaps somebody says something, then a joint state; each of them spoilt or not."""
        self.now_ns += TICK_NS
        said = self.rng.random()
        if said < 0.4:
            self.guardrail.propose(self._maybe_spoilt(self._proposal()))
        elif said < 0.6:
            self.guardrail.people(self._maybe_spoilt(People(self.now_ns, self._persons())))
        elif said < 0.7:
            self.guardrail.held_tool(self._maybe_spoilt(self._tool()))
        elif said < 0.73:
            self.guardrail.deadman(*self._arguments("teleop", bool(self.rng.random() < 0.5), self.now_ns))
        elif said < 0.74:
            self._check(self.guardrail.e_stop(*self._arguments(False, self.now_ns)))
        state = self.state
        names, positions, velocities = self.spec.joint_names, state.positions, state.velocities
        if self.rng.random() < 0.3:  # in another order, which is legal
            order = self.rng.permutation(7)
            names, positions, velocities = tuple(np.array(names)[order]), positions[order], velocities[order]
        self._check(self.guardrail.step(*self._arguments(names, positions, velocities, self.now_ns, self.now_ns)))

    def _arguments(self, *values: Any) -> list[Any]:
        if self.rng.random() < 0.5:
            return list(values)
        self.spoilt += 1
        place = int(self.rng.integers(len(values)))
        return [*values[:place], self._spoilt(values[place]), *values[place + 1 :]]

    def _maybe_spoilt(self, record: Any) -> Any:
        if self.rng.random() < 0.3:
            return record
        self.spoilt += 1
        for _ in range(self.rng.integers(1, 4)):
            record = self._spoilt(record)
        return record

    def _spoilt(self, value: Any) -> Any:
        """One place of it is replaced, at any depth."""
        choice = self.rng.random()
        if choice < 0.1:
            return self._hostile()
        if is_dataclass(value) and not isinstance(value, type):
            name = self.rng.choice([item.name for item in fields(value)])
            return replace(value, **{name: self._spoilt(getattr(value, name))})
        if isinstance(value, list | tuple) and value:
            place = int(self.rng.integers(len(value)))
            if choice < 0.2:
                return type(value)([*value[:place], *value[place + 1 :]])
            if choice < 0.3:
                return type(value)([*value, value[place]])
            return type(value)([*value[:place], self._spoilt(value[place]), *value[place + 1 :]])
        if isinstance(value, np.ndarray) and value.ndim and value.size and value.dtype.kind == "f":
            return self._spoilt_array(value, choice)
        if isinstance(value, int) and not isinstance(value, bool) and choice < 0.7:  # a stamp or a sequence number
            return value + int(self.rng.choice([-(10**9), -TICK_NS, -1, 1, 10**8, 10**9, 10**18]))
        return self._hostile()

    def _spoilt_array(self, value: np.ndarray, choice: float) -> Any:
        if choice < 0.2:
            return value[..., :-1]
        if choice < 0.25:
            return value[None]
        if choice < 0.3:
            return value.tolist()
        changed = np.array(value, dtype=np.float64)
        place = tuple(self.rng.integers(size) for size in changed.shape)
        numbers = [number for number in HOSTILE if isinstance(number, float)]
        changed[place] = numbers[self.rng.integers(len(numbers))] if choice < 0.7 else self.rng.normal() * 10
        return changed

    def _hostile(self) -> Any:
        return HOSTILE[self.rng.integers(len(HOSTILE))]

    def _proposal(self) -> Proposal:
        self.sequence += 1
        usual = Proposal("planner", self.sequence, self.now_ns, self.now_ns, 0.3, float(self.rng.uniform(0.0, 0.08)))
        if self.rng.random() < 0.7:
            return replace(usual, tool_displacement=self.rng.normal(size=3) * 0.015)
        target, _ = self.kinematics.inverse(self.rng.uniform(self.spec.workspace.lower_m, self.spec.workspace.upper_m))
        return replace(usual, trajectory=move_to_rest(self.state, target, self.spec))

    def _persons(self) -> tuple[Person, ...]:
        count = int(self.rng.choice([0, 0, 1, 2]))
        ends = self.rng.uniform(-3.0, 3.0, size=(count, 2, 3))
        return tuple(Person(a, b, 0.15, np.zeros(3), 0.02) for a, b in ends)

    def _tool(self) -> HeldTool:
        hazard = str(self.rng.choice(["none", "blunt", "edge", "point"]))
        return HeldTool(self.now_ns, hazard, np.array([0.0, 0.0, 0.1]), 0.3)

    def _check(self, report: GuardrailReport | None) -> None:
        """What came out is legal, and the arm follows it."""
        if report is None:
            return
        self.decisions[report.decision] += 1
        if report.decision not in DECISIONS:
            raise Broken(f"unknown decision {report.decision!r}")
        if not self.spec.gripper.lower_m <= report.gripper_width <= self.spec.gripper.upper_m:
            raise Broken(f"gripper width {report.gripper_width}")
        if report.sent is None:
            return
        if report.decision not in ("accepted", "modified", "brake"):
            raise Broken(f"sent with the decision {report.decision!r}")
        if report.decision != "brake" and not all(margin >= -1e-6 for margin in report.margins.values()):
            raise Broken(f"sent with margins {report.margins}")
        self._check_motion(report)
        self.spline, self.since_ns = Spline(self.state, report.sent), self.now_ns

    def _check_motion(self, report: GuardrailReport) -> None:
        sent = report.sent
        assert sent is not None
        for name in ("times_s", "positions", "velocities", "accelerations"):
            if not np.isfinite(getattr(sent, name)).all():
                raise Broken(f"{name} sent that are not finite")
        if (
            sent.velocities[-1].any()
            or sent.accelerations[-1].any()
            or not (np.diff(sent.times_s, prepend=0) > 0).all()
        ):
            raise Broken("sent what does not end at rest, or goes back in time")
        spline = Spline(self.state, sent)
        states = [spline.sample(t_s) for t_s in np.linspace(0.0, spline.duration_s, 50)]
        limits = self.spec
        for state in states:
            inside = np.minimum(
                state.positions - limits.joint_position.lower_rad, limits.joint_position.upper_rad - state.positions
            )
            slow = limits.joint_velocity.limit_rad_per_s - np.abs(state.velocities)
            calm = limits.joint_acceleration.limit_rad_per_s2 - np.abs(state.accelerations)
            if not (inside.min() >= 0 and slow.min() >= 0 and calm.min() >= 0):
                raise Broken("sent a motion beyond the joint limits")


def run_shard(seed: int, inputs: int) -> dict[str, Any]:
    """Episodes until so many spoilt inputs were fed; what raised or got through is told with its episode."""
    kinematics, dynamics, fenced = Kinematics(), Dynamics(), load_spec()
    asked = replace(fenced, people=replace(fenced.people, source_of_people="topic"))
    fed, number, began_s = 0, 0, time.monotonic()
    decisions: Counter[str] = Counter()
    events: list[str] = []
    while fed < inputs:
        rng = np.random.default_rng([seed, number])
        episode = Episode((fenced, asked)[number % 2], kinematics, dynamics, rng)
        try:
            while episode.spoilt < EPISODE and (episode.guardrail.armed or episode.spoilt == 0 or rng.random() < 0.9):
                episode.turn()
        except Exception as error:  # noqa: BLE001  # whatever escapes is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"seed {seed}, episode {number}, {Path(last.filename).name}:{last.lineno}"
            events.append(f"{where}: {type(error).__name__}: {error}"[:300])
        fed += max(episode.spoilt, 1)
        decisions += episode.decisions
        number += 1
    seconds = time.monotonic() - began_s
    return {
        "seed": seed,
        "inputs": fed,
        "episodes": number,
        "decisions": decisions,
        "events": events,
        "seconds": seconds,
    }


def code_sha256() -> str:
    """Of everything whose change makes the shards out of date."""
    paths = sorted([*(ROOT / "ami_robot" / "safety").iterdir(), Path(__file__)])
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths if path.is_file())).hexdigest()


def main() -> int:
    """Run the shards that are missing, print what was found, write the summary. Exit status 1 for any event."""
    args = _arguments()
    KEPT.mkdir(parents=True, exist_ok=True)
    code = code_sha256()
    shards = {
        args.seed + index: KEPT / f"{code[:12]}_{args.seed + index}.json" for index in range(-(-args.inputs // SHARD))
    }
    missing = [seed for seed, path in shards.items() if not path.exists()]
    inputs = min(args.inputs, SHARD)
    with (
        ProcessPoolExecutor(args.workers) as pool,
        tqdm(total=len(shards), initial=len(shards) - len(missing), unit="shard") as bar,
    ):
        for done in as_completed([pool.submit(run_shard, seed, inputs) for seed in missing]):
            shard = done.result()
            shards[shard["seed"]].write_text(json.dumps(shard))
            bar.update()
    return _report([json.loads(path.read_text()) for path in shards.values()], args)


def _report(shards: list[dict[str, Any]], args: argparse.Namespace) -> int:
    decisions: Counter[str] = Counter()
    for shard in shards:
        decisions.update(shard["decisions"])
    events = [event for shard in shards for event in shard["events"]]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    result = {
        "inputs": sum(shard["inputs"] for shard in shards),
        "episodes": sum(shard["episodes"] for shard in shards),
        "events": events,
        "decisions": dict(sorted(decisions.items())),
        "seeds": [args.seed, args.seed + len(shards) - 1],
        "seconds": round(sum(shard["seconds"] for shard in shards)),
        "spec_sha256": load_spec().sha256,
        "command": " ".join(["python -m benchmarks.fuzz", *sys.argv[1:]]),
        "commit": commit.stdout.strip(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(events[:20]))
    print(f"{result['inputs']:,} spoilt inputs in {result['episodes']:,} episodes, {len(events)} events.")
    print(", ".join(f"{count:,} {decision}" for decision, count in sorted(decisions.items())))
    return 1 if events else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the first shard (default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
