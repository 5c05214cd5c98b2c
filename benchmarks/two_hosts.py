"""Camera and arm on one host, what is learned and plans on another: what does the arm do when the cable is bad, or out?

`OMP_NUM_THREADS=1 python -m benchmarks.two_hosts` takes five minutes on two cores and writes
benchmarks/results/two_hosts.json. The halves of bringup.launch.xml run in two network namespaces (root, or below
`unshare -rn`), with a cable of benchmarks/cable.py between them; whoever commands is on the robot's host.
First goals are pursued over a good and over a bad cable; then it is pulled while the arm moves, for shorter and longer,
and plugged in again. The recording of all that is verified by `ami verify-run`. The exit status is 1 when something did
not hold, 3 where no network namespaces can be made.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ami_embedded.launch_packages import Packages
from ami_robot.cli.demo import find_rclpy

RCLPY, LAUNCHER = find_rclpy()

import rclpy  # noqa: E402
from ami_interfaces.msg import GuardrailReport  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from ami_nodes import qos  # noqa: E402
from ami_nodes.convert import as_array, to_ns  # noqa: E402
from ami_nodes.demo_graph import Graph, GraphError  # noqa: E402
from ami_nodes.graph_client import GraphClient, position_goal  # noqa: E402
from ami_nodes.lifecycle_manager import LifecycleManager  # noqa: E402
from ami_nodes.pursuit import FRAME_TIMEOUT_S, MAX_SILENCES  # noqa: E402
from ami_robot.provenance import made_with  # noqa: E402
from ami_robot.safety.kinematics import Kinematics  # noqa: E402
from ami_robot.safety.motion import MOVE_DURATIONS_S  # noqa: E402
from ami_robot.safety.spec import load_spec  # noqa: E402
from ami_robot.types import NS_PER_S  # noqa: E402
from benchmarks.cable import Cable, NotPossibleError, make_host, measure  # noqa: E402

RESULT = Path(__file__).parent / "results" / "two_hosts.json"
LAUNCH_FILE = ("ami_bringup", "bringup.launch.xml")
NOT_POSSIBLE = 3
ROBOT, BRAIN = "10.77.0.1", "10.77.0.2"
NO_MULTICAST = "<General><AllowMulticast>false</AllowMulticast></General>"
BLIND = {"arm": "loopback", "vision": "false", "config": "analytic"}
SIDES = (np.array([0.5, 0.2, 0.15]), np.array([0.5, -0.2, 0.15]))
"""Goals, m: 40 cm are two seconds of motion."""

CABLES = {"good": {}, "20 ms, 2 % lost": {"delay_s": 0.02, "jitter_s": 0.005, "loss": 0.02}}
SPEC = load_spec()
REST_RAD_PER_S = SPEC.arming.rest_velocity_rad_per_s
BOUND_S = SPEC.staleness.proposal_s + float(MOVE_DURATIONS_S[-1]) + SPEC.transport.jitter_s
"""From a cut to rest at the latest: a proposal that has arrived may still begin the longest of all motions."""

GIVES_UP_S = MAX_SILENCES * FRAME_TIMEOUT_S
"""Without a frame for so long the planner ends its goal."""

SILENT_S = next(param.default for param in LifecycleManager.PARAMETERS if param.name == "silent_s")
CUTS_S = [1.0] * 2 + [3.0] * 12 + [8.0] * 2 + [15.0] * 2
BRING_UP_S, PATIENCE_S = 90.0, 30.0
LOOK_S = 2.0  # at an arm that should not move
UNDER_WAY_S = 0.3  # a motion, before the cable is pulled
LONG_S = 120.0  # of a goal that is cancelled, or given up


class Watch:
    """Hears joint states and reports on the robot's host; times are those of the steady clock."""

    def __init__(self, node: Any) -> None:
        self.speeds: list[tuple[float, float]] = []
        self._positions, self._kinematics = np.zeros(len(SPEC.joint_names)), Kinematics()
        self.reports: list[tuple[float, GuardrailReport]] = []
        node.create_subscription(JointState, "joint_states", self._on_joint_states, qos.SENSOR_IN)
        node.create_subscription(GuardrailReport, "guardrail_report", self._on_report, qos.EVENTS)

    def _on_joint_states(self, message: JointState) -> None:
        self._positions = as_array(message.position)[: len(SPEC.joint_names)]
        speed = np.abs(as_array(message.velocity)[: len(SPEC.joint_names)]).max()
        self.speeds.append((time.monotonic(), float(speed)))

    def _on_report(self, message: GuardrailReport) -> None:
        self.reports.append((time.monotonic(), message))

    def other_side(self) -> np.ndarray:
        """The goal that the tool is farther from."""
        tool = self._kinematics.tool_position(self._positions)
        return max(SIDES, key=lambda side: float(np.linalg.norm(side - tool)))

    def moves(self) -> bool:
        """Clearly, and now."""
        return bool(self.speeds) and self.speeds[-1][1] > 5 * REST_RAD_PER_S

    def last_motion_s(self, since_s: float) -> float:
        """When it last moved after that; that moment itself where it did not."""
        return max((at_s for at_s, speed in self.speeds if at_s > since_s and speed > REST_RAD_PER_S), default=since_s)

    def armed(self) -> bool:
        """By the last report."""
        return bool(self.reports) and self.reports[-1][1].armed

    def promised_rest_s(self) -> float:
        """When the last motion that was sent ends."""
        sent_s, report = next((at_s, r) for at_s, r in reversed(self.reports) if r.sequence)
        return sent_s + to_ns(report.sent.points[-1].time_from_start) / NS_PER_S

    def decisions(self, since_s: float) -> dict[str, int]:
        """How often what was decided since then, and by which guardrail."""
        heard = [r for at_s, r in self.reports if at_s > since_s and r.decision != GuardrailReport.STATUS]
        return dict(Counter(f"{report.decision} {report.guardrail}".strip() for report in heard))


def main() -> int:
    """Go through all of it, print tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blind", action="store_true", help="without physics and vision: the analytic planner alone")
    parser.add_argument("--goals", type=int, default=4, help="over each cable; default: %(default)s")
    parser.add_argument("--away-s", type=float, nargs="+", default=CUTS_S, help="of the cuts")
    parser.add_argument("--silent-s", type=float, default=SILENT_S, help="of the manager; default: %(default)s")
    parser.add_argument("--no-multicast", action="store_true", help="in the network; the hosts are told of each other")
    parser.add_argument("--out", type=Path, default=RESULT, help="default: %(default)s")
    args = parser.parse_args()
    os.environ |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_DOMAIN_ID": "0"}  # nobody else is in the namespaces
    if args.no_multicast:
        os.environ |= {"ROS_STATIC_PEERS": f"{ROBOT};{BRAIN}", "CYCLONEDDS_URI": NO_MULTICAST}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ami_two_hosts_") as name:
        try:
            figures = run(args, Path(name))
        except NotPossibleError as reason:
            print(f"two_hosts: error: {reason}", file=sys.stderr)
            return NOT_POSSIBLE
        except GraphError as error:
            logs = "".join(path.read_text() for path in sorted(Path(name).glob("*.log")))
            print(f"{logs}two_hosts: error: {error}", file=sys.stderr)
            return 1
        figures |= verify(Path(name) / "bag")
    command = shlex.join(["OMP_NUM_THREADS=1", "python", "-m", "benchmarks.two_hosts", *sys.argv[1:]])
    settings = {"rclpy": RCLPY, "bound_s": round(BOUND_S, 2), "silent_s": args.silent_s}
    figures = made_with(command, load) | settings | figures
    figures["held"] = held(figures)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(tables(figures))
    return 0 if figures["held"] else 1


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both halves from beginning to end."""
    robot, brain = make_host(ROBOT), make_host(BRAIN)
    given = {**(BLIND if args.blind else {}), "respawn": "true", "params_file": parameters(args.silent_s, folder)}
    with ExitStack() as stack:
        cable = stack.enter_context(Cable((robot, brain), multicast=not args.no_multicast))
        stack.enter_context(robot.inside())
        with brain.inside():
            halves = [stack.enter_context(half("brain", given, folder))]
        recorded = {"record": "true", "record_folder": str(folder / "bag")}
        halves.append(stack.enter_context(half("robot", given | recorded, folder)))
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        client = stack.enter_context(GraphClient("operator", check_alive=lambda: [one.check() for one in halves]))
        watch = Watch(client.node)
        began_s = time.monotonic()
        client.wait_until_active(BRING_UP_S)
        up_s = time.monotonic() - began_s
        goals = [over(name, cable, client, watch, args.goals) for name in CABLES]
        set_cable(cable, "good")
        cuts = [cut(away_s, cable, client, watch) for away_s in args.away_s]
        rests_s = [row["rest_s"] for row in cuts if row["rest_s"] is not None] or [float("nan")]
        return {
            "up_s": round(up_s, 1),
            "goals": goals,
            "rest_s": {"median": round(float(np.median(rests_s)), 2), "worst": max(rests_s)},
            "cuts": cuts,
            "frames": cable.frames,
            "ip_fragments": cable.ip_fragments,
            "udp_ports": sorted(cable.udp_ports),
        }


def parameters(silent_s: float, folder: Path) -> str:
    """A copy of the parameter file that ships, with the manager's patience."""
    values = yaml.safe_load((Packages().share(LAUNCH_FILE[0]) / "config" / "demo.yaml").read_text())
    values["/**/lifecycle_manager"]["ros__parameters"]["silent_s"] = silent_s
    (folder / "parameters.yaml").write_text(yaml.safe_dump(values))
    return str(folder / "parameters.yaml")


def half(part: str, given: dict[str, str], folder: Path) -> Graph:
    """One host's launch."""
    return Graph(LAUNCHER, {**given, "part": part}, folder / f"{part}.log", LAUNCH_FILE)


def set_cable(cable: Cable, name: str) -> None:
    """Make it one of CABLES."""
    for what, value in {"delay_s": 0.0, "jitter_s": 0.0, "loss": 0.0, **CABLES[name]}.items():
        setattr(cable, what, value)


def arm(client: GraphClient, watch: Watch) -> None:
    """As long as it is not: on a busy machine joint states may come too late, which disarms."""
    if not watch.armed():
        client.arm(True)
        client.wait_until(watch.armed, PATIENCE_S, "the report of being armed")


def set_going(client: GraphClient, watch: Watch) -> None:
    """Armed, and in motion towards the goal that is pursued."""

    def moves() -> bool:
        arm(client, watch)
        return watch.moves()

    client.wait_until(moves, PATIENCE_S, "motion")


def over(name: str, cable: Cable, client: GraphClient, watch: Watch, goals: int) -> dict[str, Any]:
    """Goals pursued over a cable."""
    set_cable(cable, name)
    took_s, lost = measure(cable)
    began_s = time.monotonic()
    results = []
    for _ in range(goals):
        arm(client, watch)
        results.append(client.pursue(position_goal(watch.other_side()), 5.0))
    return {
        "cable": name,
        "took_ms": [round(1000 * float(q), 1) for q in np.percentile(took_s, (5, 50, 95))],
        "lost": round(lost, 3),
        "outcomes": [result.outcome for result in results],
        "distances_m": [round(float(result.goal_distance), 4) for result in results],
        "steps": sum(result.steps for result in results),
        "planner_refused": sum(result.refusals for result in results),
        "decisions": watch.decisions(began_s),
    }


def cut(away_s: float, cable: Cable, client: GraphClient, watch: Watch) -> dict[str, Any]:
    """Pull the cable while the arm moves, plug it in again, and see what moves the arm then."""
    handle = client.start(position_goal(watch.other_side()), LONG_S)
    set_going(client, watch)
    time.sleep(UNDER_WAY_S)
    cable.pull()
    cut_s = time.monotonic()
    time.sleep(away_s)
    row = {
        "away_s": away_s,
        "rest_s": None if watch.moves() else round(watch.last_motion_s(cut_s) - cut_s, 2),
        "promised_s": round(watch.promised_rest_s() - cut_s, 2),
        "manager_says": client.is_active().message,
        "armed": watch.armed(),
    }
    cable.plug()
    back_s = time.monotonic()
    client.wait_until_active(PATIENCE_S)
    row["all_heard_after_s"] = round(time.monotonic() - back_s, 1)
    time.sleep(LOOK_S)
    row["moved_untold"] = watch.last_motion_s(back_s) > back_s
    if away_s < GIVES_UP_S:
        client.cancel(handle)
        client.wait_until(lambda: not watch.moves(), PATIENCE_S, "rest")
        return row
    return row | told(client, watch)


def told(client: GraphClient, watch: Watch) -> dict[str, Any]:
    """What a new goal alone does, and what arming does then; the goal is cancelled."""
    asked_s = time.monotonic()
    handle = client.start(position_goal(watch.other_side()), LONG_S)
    row = {}
    if not watch.armed():
        time.sleep(LOOK_S)
        row["moved_disarmed"] = watch.last_motion_s(asked_s) > asked_s
    set_going(client, watch)
    client.cancel(handle)
    client.wait_until(lambda: not watch.moves(), PATIENCE_S, "rest")
    return row | {"goes_on": True}


def verify(recording: Path) -> dict[str, Any]:
    """What `ami verify-run` finds in the recording of the robot's host."""
    command = [sys.executable, "-m", "ami_robot.cli.main", "verify-run", str(recording), "--json"]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout)
    return {"commands": found["commands"], "findings": found["findings"]}


def held(figures: dict[str, Any]) -> bool:
    """Whether every command keeps every guardrail, the arm rests in time, and goes on only when it may."""
    return bool(
        figures["commands"]
        and not figures["findings"]
        and set(figures["goals"][0]["outcomes"]) <= {"done"}  # over a bad cable a goal may be given up
        and not figures["ip_fragments"]
        and all(cut_held(row, figures["silent_s"]) for row in figures["cuts"])
    )


def cut_held(row: dict[str, Any], silent_s: float) -> bool:
    """Of one cut. One that is over before the planner gives up may end in motion again: the goal is still wanted."""
    if row["away_s"] < GIVES_UP_S:
        return True
    disarmed = row["away_s"] < silent_s or (not row["armed"] and row["moved_disarmed"] is False)
    return row["rest_s"] <= BOUND_S and not row["moved_untold"] and row["goes_on"] and disarmed


def tables(figures: dict[str, Any]) -> str:
    """For people."""
    lines = [
        "| cable | ms, 5th, 50th, 95th percentile | lost | goals done | cm left | planner refused | decisions |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures["goals"]:
        ends = ", ".join(f"{100 * distance:.1f}" for distance in row["distances_m"])
        decisions = ", ".join(f"{count} {what}" for what, count in row["decisions"].items())
        done = f"{row['outcomes'].count('done')}/{len(row['outcomes'])}"
        took = ", ".join(map(str, row["took_ms"]))
        refused = f"{row['planner_refused']} of {row['steps']}"
        lines.append(f"| {row['cable']} | {took} | {row['lost']:.1%} | {done} | {ends} | {refused} | {decisions} |")
    lines += [
        "",
        f"| cable out for, s | at rest after, s (bound {BOUND_S:.2f}) | promised, s | armed when back | moved untold | "
        "moved by a goal, disarmed | all heard again after, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures["cuts"]:
        cells = ("away_s", "rest_s", "promised_s", "armed", "moved_untold", "moved_disarmed", "all_heard_after_s")
        lines.append(f"| {' | '.join(str(row.get(cell, '')) for cell in cells)} |")
    rest, verdict = figures["rest_s"], "All held." if figures["held"] else "Something did not hold."
    lines += [
        "",
        f"From cut to rest {rest['median']} s in the median, {rest['worst']} s at worst. "
        f"{figures['commands']} commands verified, {len(figures['findings'])} findings. {verdict}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
