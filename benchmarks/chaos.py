"""Nodes are killed, started again, frozen and slowed at random while the arm moves: does it always brake in time?

    OMP_NUM_THREADS=1 python -m benchmarks.chaos                    ten minutes, seed 0; writes results/chaos.json
    OMP_NUM_THREADS=1 python -m benchmarks.chaos --minutes 1 --seed 3 --no-write

The whole graph with `respawn:=true`, people on a topic, and the goal picture of another scene each time. Each round has
another victim and mischief; all pairs come once before one comes again. The arm has to rest within the bound that
follows from the guardrail file for such a fault (as in benchmarks/safety_faults.py), by the stamps of the joint states,
and to stay at rest until it is armed again where a node was lost. The simulator's judge must have seen no limit broken,
its controller must have refused nothing, and each command is verified again by the code of `ami verify-run`. A node
that goes on soon, or slowly, need not brake; there, too, nothing may be broken. Exit status 1 when any of it fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.cli.demo import find_rclpy

RCLPY, LAUNCHER = find_rclpy()

from ami_nodes.demo_graph import GraphError  # noqa: E402
from ami_nodes.graph_client import GraphClient, image_goal  # noqa: E402
from ami_robot.perception.camera import load_camera  # noqa: E402
from ami_robot.provenance import ROOT, made_with  # noqa: E402
from ami_robot.types import NS_PER_S  # noqa: E402
from ami_sim.scene import Scene  # noqa: E402
from ami_sim.world import render_goal_image  # noqa: E402
from benchmarks.live_cell import Cell, CellKind, launched  # noqa: E402
from benchmarks.live_stories import verified  # noqa: E402
from benchmarks.own_domain import own_domain  # noqa: E402
from benchmarks.safety_faults import motion_bounds_s  # noqa: E402

RESULT = Path(__file__).parent / "results" / "chaos.json"
KEPT = ROOT / "data" / "chaos"
"""Log and reports of the last run."""

MINUTES = 10.0
MANAGER, MANAGER_IS_BACK = "lifecycle_manager", "it had been active before its manager"
BOUNDS = {
    "people": "tail",
    "camera": "frame",
    "encoder": "frame",
    "world_model": "lost",
    "planner": "lost",
    "guardrail": "tail",
    MANAGER: None,  # nobody moves because of it
}
"""What follows from the loss of a node."""


MISCHIEFS = ("kill", "restart", "freeze", "slow")
MOVES_RAD_PER_S = 0.1
GOAL_S, SET_OUT_S, ON_THE_WAY_S, BACK_S = 8.0, 40.0, 0.8, 60.0
FROZEN_S = (0.05, 7.0)  # the manager misses a node after 5 s
SLOWED_S, SLICE_S, STOPPED = 3.0, 0.05, 0.7  # of each slice


@dataclass(frozen=True)
class Round:
    """One mischief, and what came of it. Times are the arm's, but back_s, which is wall time."""

    victim: str
    mischief: str
    held_up_s: float  # for how long the victim stood still, or was slow; NaN: it ended
    speed_rad_per_s: float  # of the fastest joint just before
    bound_s: float | None  # within which the arm has to be at rest for good; None: it need not
    rest_s: float  # when it was last seen moving, from the mischief on, until it is armed again or the victim goes on
    back_s: float  # until the manager said that all nodes are active
    failures: list[str]


class Chaos:
    """A running graph, and somebody who does mischief to it. The same seed does the same in the same order."""

    def __init__(self, cell: Cell, client: GraphClient, seed: int) -> None:
        self.cell, self._client, self._rng = cell, client, random.Random(seed)
        self._camera, self._bounds_s = load_camera(), motion_bounds_s(cell.spec)
        self._seed = seed
        self.stalls = 0
        """How often the arm did not set out at once."""

    def rounds(self) -> Iterator[Round]:
        """One after the other, for ever."""
        pairs = [(victim, mischief) for victim in BOUNDS for mischief in MISCHIEFS]
        scene_seed = 10_000 * (1 + self._seed)
        while True:
            self._rng.shuffle(pairs)
            for victim, mischief in pairs:
                yield self._round(victim, mischief, scene_seed)
                scene_seed += 1

    def _round(self, victim: str, mischief: str, scene_seed: int) -> Round:
        cell, client = self.cell, self._client
        log_from = cell.log_length()
        handle = self._set_out(scene_seed)
        time.sleep(self._rng.uniform(0.0, ON_THE_WAY_S))
        log_before, before, began_s, speed = cell.log_length(), len(cell.states), time.monotonic(), self._speed()
        held_up_s = self._do(mischief, cell.process(victim))
        bound_s = self._bound_s(victim, mischief, held_up_s)
        if lost := np.isnan(held_up_s):
            self._wait_until_back(victim, log_before)
        until = len(cell.states) if mischief == "freeze" else None
        if not (lost and victim == "planner"):
            self._give_up(handle)
        client.wait_until_active(BACK_S)
        back_s = time.monotonic() - began_s
        rest_s = self._last_moved_s(before, until)
        failures = [*client.judge().violations, *cell.rejected(log_from)]
        if bound_s is not None and rest_s > bound_s:
            failures.append(f"the arm still moved {rest_s:.2f} s after, bound {bound_s:.2f} s.")
        return Round(victim, mischief, held_up_s, speed, bound_s, rest_s, back_s, failures)

    def _set_out(self, scene_seed: int) -> Any:
        """The handle of a pursuit that moves the arm.

        It may take a while: a late joint state on a busy machine disarms, and nodes that thought a frozen one dead
        (DDS: after 10 s) find it again when it announces itself (within 8 s), until when the planner has no frames.
        """
        goal = image_goal(render_goal_image(Scene.from_seed(scene_seed), self._camera), self._camera)
        give_up_s = time.monotonic() + SET_OUT_S
        while time.monotonic() < give_up_s:
            self._client.begin_episode(scene_seed)
            if (handle := self._moving_towards(goal)) is not None:
                return handle
            self.stalls += 1
        raise GraphError(f"the arm did not set out within {SET_OUT_S:g} s (log: {KEPT}).")

    def _moving_towards(self, goal: Any) -> Any:
        handle = self._client.start(goal, GOAL_S)
        result = handle.get_result_async()
        self._client.wait_until(lambda: self._moves() or not self._armed() or result.done(), BACK_S, "a motion")
        if self._moves() and self._armed():
            return handle
        self._give_up(handle)
        return None

    def _give_up(self, handle: Any) -> None:
        with suppress(GraphError):  # it may be over
            self._client.cancel(handle)
        self._client.finish(handle, BACK_S)

    def _moves(self) -> bool:
        return self._speed() > MOVES_RAD_PER_S

    def _armed(self) -> bool:
        return bool(self.cell.reports[-1].armed)

    def _do(self, mischief: str, pid: int) -> float:
        """How long it lasted, s; NaN for the end of a process."""
        if mischief in ("kill", "restart"):
            os.kill(pid, signal.SIGKILL if mischief == "kill" else signal.SIGTERM)
            return float("nan")
        lasts_s = SLOWED_S if mischief == "slow" else self._rng.uniform(*FROZEN_S)
        stands_s, goes_s = (STOPPED * SLICE_S, (1 - STOPPED) * SLICE_S) if mischief == "slow" else (lasts_s, 0.0)
        end_s = time.monotonic() + lasts_s
        while time.monotonic() < end_s:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stands_s)
            os.kill(pid, signal.SIGCONT)
            time.sleep(goes_s)
        return lasts_s

    def _bound_s(self, victim: str, mischief: str, held_up_s: float) -> float | None:
        name = BOUNDS[victim]
        if name is None or mischief == "slow":
            return None
        bound_s = self._bounds_s[name]
        return None if held_up_s < bound_s else bound_s

    def _wait_until_back(self, victim: str, log_from: int) -> None:
        """The manager says that all are active until it has missed the victim, so its log is what counts."""
        sentence = MANAGER_IS_BACK if victim == MANAGER else f"{victim} is active again"
        self._client.wait_until(lambda: sentence in self.cell.log(log_from), BACK_S, f"the return of {victim}")

    def _speed(self) -> float:
        return float(np.abs(self.cell.states[-1].velocities[:7]).max())

    def _last_moved_s(self, since: int, until: int | None) -> float:
        """From the joint state before a mischief to the last one in motion."""
        began_ns = self.cell.states[since - 1].stamp_ns
        moving = [
            state.stamp_ns
            for state in self.cell.states[since:until]
            if np.abs(state.velocities[:7]).max() > self.cell.spec.arming.rest_velocity_rad_per_s
        ]
        return (max(moving, default=began_ns) - began_ns) / NS_PER_S


def main() -> int:
    """Do mischief for so many minutes, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default: %(default)g")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with own_domain():
        document = play(args.minutes * 60.0, args.seed)
    command = f"OMP_NUM_THREADS=1 python -m benchmarks.chaos --minutes {args.minutes:g} --seed {args.seed}"
    document |= made_with(command, load) | {"rclpy": RCLPY}
    print(table(document))
    if not args.no_write:
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
    return int(document["failed"])


def play(seconds: float, seed: int) -> dict[str, Any]:
    """What came of all rounds that begin within so many seconds."""
    rounds: list[Round] = []
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    with GraphClient("chaos", BACK_S) as client:
        with launched(CellKind(people="nobody", sees=True, respawn=True), client, LAUNCHER, KEPT) as cell:
            end_s = time.monotonic() + seconds
            chaos = Chaos(cell, client, seed)
            with tqdm(unit="round", disable=not sys.stderr.isatty()) as bar:
                for one in chaos.rounds():
                    rounds.append(one)
                    bar.update()
                    bar.set_postfix_str(f"{one.mischief} {one.victim}, {sum(bool(r.failures) for r in rounds)} failed")
                    if time.monotonic() > end_s:
                        break
        [findings], [commands] = verified(KEPT, cell, [0])
    return summary(rounds, [f"{finding.row}: {finding.reason}" for finding in findings]) | {
        "commands_verified": commands,
        "stalls": chaos.stalls,
    }


def summary(rounds: list[Round], findings: list[str]) -> dict[str, Any]:
    """What is written: a row for each victim and mischief that came, and all rounds."""
    rows = []
    for victim, mischief in [(victim, mischief) for victim in BOUNDS for mischief in MISCHIEFS]:
        these = [one for one in rounds if (one.victim, one.mischief) == (victim, mischief)]
        if not these:
            continue
        bound = [one for one in these if one.bound_s is not None]
        worst = max(bound, key=lambda one: one.rest_s - (one.bound_s or 0.0), default=None)
        rows.append(
            {
                "victim": victim,
                "mischief": mischief,
                "rounds": len(these),
                "had_to_rest": len(bound),
                "rest_ms": round(worst.rest_s * 1e3) if worst else None,
                "bound_ms": round((worst.bound_s or 0.0) * 1e3) if worst else None,
                "back_s": round(max(one.back_s for one in these), 1),
                "failed": sum(bool(one.failures) for one in these),
            }
        )
    failed = bool(findings) or not rounds or any(one.failures for one in rounds)
    return {
        "failed": failed,
        "rows": rows,
        "rounds": [asdict(one) for one in rounds],
        "findings": findings,
    }


def table(document: dict[str, Any]) -> str:
    """For people."""
    lines = [
        "| victim | mischief | rounds | had to rest | at rest after, ms | bound, ms | all active after, s | failed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = ("victim", "mischief", "rounds", "had_to_rest", "rest_ms", "bound_ms", "back_s", "failed")
    lines += ["| " + " | ".join("" if row[name] is None else str(row[name]) for name in names) + " |"
              for row in document["rows"]]  # fmt: skip
    lines += [
        f"{one['mischief']} {one['victim']}: {failure}" for one in document["rounds"] for failure in one["failures"]
    ]
    lines += document["findings"]
    lines.append(
        f"{document['commands_verified']} commands verified again; {document['stalls']} times the arm did not set out "
        "at once"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
