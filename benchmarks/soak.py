"""An hour of the whole graph: does any node grow, miss its deadlines, or leave something behind?

    OMP_NUM_THREADS=1 python -m benchmarks.soak                  an hour; writes results/soak.json
    OMP_NUM_THREADS=1 python -m benchmarks.soak --minutes 5 --no-write

Camera at 15 Hz, planning at 5 Hz, guardrail at 100 Hz: goal pictures are pursued one after the other, 8 s each. Memory
is each process's resident set without file mappings, every 30 s, since what it shares with others (libtorch) counts as
more or less with every process that comes or goes; its growth is the slope of a line through all but the first
tenth. Deadlines: joint states that the guardrail was late for while armed, frames that did not come, and plans that did
not come while a goal was pursued. Left behind: zombies, and files in /dev/shm once all has ended. Exit status 1 when a
bar is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from ami_robot.cli.demo import find_rclpy

RCLPY, LAUNCHER = find_rclpy()

from ami_interfaces.msg import CycleTimes, GuardrailReport, Plan  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

from ami_nodes import qos  # noqa: E402
from ami_nodes.convert import to_ns  # noqa: E402
from ami_nodes.demo_graph import Graph, GraphError  # noqa: E402
from ami_nodes.graph_client import GraphClient, image_goal  # noqa: E402
from ami_robot.perception.camera import load_camera  # noqa: E402
from ami_robot.provenance import made_with  # noqa: E402
from ami_robot.types import MODEL_STEP_S, NS_PER_S  # noqa: E402
from ami_sim.arm import CAMERA_SUBSTEPS  # noqa: E402
from ami_sim.judge import EPISODE_S  # noqa: E402
from ami_sim.scene import Scene  # noqa: E402
from ami_sim.world import PHYSICS_HZ, render_goal_image  # noqa: E402
from benchmarks.live_cell import LAUNCH_FILE  # noqa: E402
from benchmarks.own_domain import own_domain  # noqa: E402

RESULT = Path(__file__).parent / "results" / "soak.json"
MINUTES, SAMPLE_S, BRING_UP_S, FIRST_SEED = 60.0, 30.0, 60.0, 20_000
MOST_MB_PER_H, MOST_MISSED = 5.0, 0.01
FRAME_S = CAMERA_SUBSTEPS / PHYSICS_HZ
SHM = Path("/dev/shm")


class Soak:
    """Pursues goals in a running graph and keeps what is heard and measured."""

    def __init__(self, graph: Graph, client: GraphClient) -> None:
        self._graph, self._client, self._camera = graph, client, load_camera()
        self._began_s = self._sampled_s = time.monotonic()
        self.memory: list[dict[str, float]] = []  # name -> MB, and the time in "s"
        self.frames_ns: list[int] = []
        self.plans = self.due_plans = self.goals = self.disarmed = 0
        self.cycles: CycleTimes | None = None
        self._armed = False
        node = client.node
        node.create_subscription(
            CameraInfo, "camera/camera_info", lambda info: self.frames_ns.append(to_ns(info.header.stamp)), qos.EVENTS
        )
        node.create_subscription(Plan, "plan", self._on_plan, qos.EVENTS)
        node.create_subscription(GuardrailReport, "guardrail_report", self._on_report, qos.EVENTS)
        node.create_subscription(CycleTimes, "guardrail_cycles", self._on_cycles, qos.LATCHED)

    def pursue_one(self) -> None:
        """One goal; a late joint state may disarm the guardrail before its end, which counts."""
        scene = Scene.from_seed(FIRST_SEED + self.goals)
        self._client.begin_episode(scene.seed)
        before = self.plans
        handle = self._client.start(image_goal(render_goal_image(scene, self._camera), self._camera), EPISODE_S)
        self._client.finish(handle, 4 * EPISODE_S, self._sample)
        self.goals += 1
        self.disarmed += not self._armed
        self.due_plans += round(EPISODE_S / MODEL_STEP_S)
        self.plans = min(self.plans, before + round(EPISODE_S / MODEL_STEP_S))

    def figures(self) -> dict[str, Any]:
        """Of all that was heard until now."""
        assert self.cycles is not None
        frames_due = round((self.frames_ns[-1] - self.frames_ns[0]) / NS_PER_S / FRAME_S) + 1
        missed = {
            "guardrail": self.cycles.late / self.cycles.cycles,
            "camera": 1.0 - len(self.frames_ns) / frames_due,
            "planner": 1.0 - self.plans / self.due_plans,
        }
        names = [name for name in self.memory[-1] if name != "s"]
        return {
            "minutes": round(self.memory[-1]["s"] / 60.0, 1),
            "goals": self.goals,
            "goals_disarmed": self.disarmed,
            "missed_share": {name: round(share, 5) for name, share in missed.items()},
            "guardrail_worst_ms": round(self.cycles.worst_ms, 1),
            "guardrail_worst_gap_ms": round(self.cycles.worst_gap_ms, 1),
            "memory": {name: self._memory_of(name) for name in names},
        }

    def _memory_of(self, name: str) -> dict[str, float]:
        kept = self.memory[len(self.memory) // 10 :]
        hours, mb = (np.array([sample[key] for sample in kept]) for key in ("s", name))
        slope = float(np.polyfit(hours / 3600.0, mb, 1)[0]) if len(kept) > 2 else float("nan")
        return {"first_mb": round(mb[0], 1), "last_mb": round(mb[-1], 1), "mb_per_h": round(slope, 2)}

    def _sample(self) -> None:
        now_s = time.monotonic()
        if now_s < self._sampled_s + SAMPLE_S:
            return
        self._sampled_s = now_s
        of_node = {node["name"]: psutil.Process(node["pid"]).memory_info() for node in self._graph.nodes()}
        own_mb = {name: (info.rss - info.shared) / 2**20 for name, info in of_node.items()}
        self.memory.append({"s": now_s - self._began_s} | own_mb)

    def _on_plan(self, _: Plan) -> None:
        self.plans += 1

    def _on_report(self, message: GuardrailReport) -> None:
        self._armed = message.armed

    def _on_cycles(self, message: CycleTimes) -> None:
        self.cycles = message


def run(minutes: float, log: Path) -> dict[str, Any]:
    """The figures of so many minutes, and what was left behind after them."""
    before = {path.name for path in SHM.iterdir()}
    with (
        Graph(LAUNCHER, {"config": "reach"}, log, [str(LAUNCH_FILE)]) as graph,
        GraphClient("soak", BRING_UP_S, graph.check) as client,
    ):
        client.wait_until_active(BRING_UP_S)
        soak, end_s = Soak(graph, client), time.monotonic() + 60.0 * minutes
        with tqdm(total=round(60.0 * minutes), unit="s", disable=not sys.stderr.isatty()) as bar:
            while (left_s := end_s - time.monotonic()) > 0.0:
                soak.pursue_one()
                bar.update(min(bar.total, round(60.0 * minutes - left_s)) - bar.n)
        client.arm(False)
        client.wait_until(lambda: soak.cycles is not None, BRING_UP_S, "the guardrail's cycle times")
        zombies = [node["name"] for node in graph.nodes() if psutil.Process(node["pid"]).status() == "zombie"]
        figures, memory = soak.figures(), soak.memory
    left = sorted({path.name for path in SHM.iterdir()} - before)
    zombies += [child.name() for child in psutil.Process().children(recursive=True) if child.status() == "zombie"]
    return figures | {"zombies": zombies, "left_in_dev_shm": left, "samples": memory}


def broken(figures: dict[str, Any]) -> list[str]:
    """One sentence for each bar that is not kept."""
    found = [
        f"{name} grows by {of['mb_per_h']} MB an hour."
        for name, of in figures["memory"].items()
        if not of["mb_per_h"] < MOST_MB_PER_H
    ]
    found += [
        f"{name} missed {share:.2%}." for name, share in figures["missed_share"].items() if not share <= MOST_MISSED
    ]
    found += [f"{name} is a zombie." for name in figures["zombies"]]
    return found + [f"{name} was left in /dev/shm." for name in figures["left_in_dev_shm"]]


def table(figures: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{figures['minutes']} min, {figures['goals']} goals, {figures['goals_disarmed']} ended by a brake", ""]
    lines += ["| node | MB at first | MB in the end | MB/h |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {of['first_mb']} | {of['last_mb']} | {of['mb_per_h']} |" for name, of in figures["memory"].items()
    ]
    lines += ["", "missed: " + ", ".join(f"{name} {share:.2%}" for name, share in figures["missed_share"].items())]
    return "\n".join([*lines, *broken(figures)])


def main() -> int:
    """Soak, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="default: %(default)g")
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        with own_domain(), tempfile.TemporaryDirectory(prefix="ami_soak_") as folder:
            figures = run(args.minutes, Path(folder) / "graph.log")
    except GraphError as error:
        print(f"the graph did not last: {error}", file=sys.stderr)
        return 1
    print(table(figures))
    if not args.no_write:
        command = f"OMP_NUM_THREADS=1 python -m benchmarks.soak --minutes {args.minutes:g}"
        document = made_with(command, load) | {"rclpy": RCLPY} | figures
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
    return int(bool(broken(figures)))


if __name__ == "__main__":
    sys.exit(main())
