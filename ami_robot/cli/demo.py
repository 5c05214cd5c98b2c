"""`ami demo`: start the whole graph, show it goals, and write down how it did beside what is easily had."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import SHIPPED, add_verb, count, positive_count

if TYPE_CHECKING:
    import numpy as np

    from ami_robot.perception.checkpoint import Checkpoint
    from ami_sim.demo.record import EpisodeRecord

EXAMPLES = """examples:
  ami demo                                  20 goals as pictures, seed 0; the report is in runs/latest/
  ami demo pick_place --episodes 3          a block is carried to where a picture shows it; also push, pick_lift
  ami demo --episodes 2 --gui               watch two of them
  ami demo --planner analytic --episodes 2  the same nodes, straight lines to goals given as positions

Exit status: 0 done, 1 a node died or a limit was broken, 2 wrong input, 130 interrupted."""

REACH = "reach"
HANDLING_CAMERA = "close"
"""Whose pictures the model was trained on that handles blocks."""

BRING_UP_S = 60.0
ANSWER_S = 5.0
WORKERS = 2


class DemoError(ValueError):
    """What is asked for nobody can do."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    parser = add_verb(subparsers, "demo", "bring about what pictures show, through the whole graph", EXAMPLES)
    add = parser.add_argument
    add(
        "task",
        nargs="?",
        choices=tuple(SHIPPED),
        default=REACH,
        help="what the pictures ask for (default %(default)s)",
    )
    add(
        "--episodes",
        type=positive_count,
        default=20,
        metavar="N",
        help="goals to pursue, 8 to 14 s each (default %(default)s)",
    )
    add("--seed", type=count, default=0, metavar="S", help="seed of the first scene; the others follow (default 0)")
    add("--planner", choices=("icem", "analytic"), default="icem", help="icem plans on pictures, analytic on positions")
    add("--config", type=Path, metavar="F", help="task YAML for the planner instead of the one that ships")
    add(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="checkpoint folder in place of the one that the task takes",
    )
    add("--gui", action="store_true", help="show PyBullet's window")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="where reports go (default %(default)s)")
    add("--no-video", action="store_true", help="leave demo.mp4 out")


def run(args: argparse.Namespace) -> int:
    """Check what was given, run the episodes, then the controls and the film, then write the report."""
    from ami_robot.configurator.configurator import load_task, task_file
    from ami_robot.perception.checkpoint import checkpoint_folder, load_checkpoint

    if args.task != REACH and args.planner == "analytic":
        raise DemoError(f"--planner analytic moves the tool alone, and {args.task} takes a block; leave --planner out.")
    config = args.config or task_file("analytic" if args.planner == "analytic" else SHIPPED[args.task])
    task = load_task(config)
    model = args.checkpoint or task.block_head or None
    checkpoint = load_checkpoint(model) if task.uses_world_model else None
    folder = _new_folder(args.out)
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randrange(1, 102)))  # above 101 ports may clash
    rclpy_kind, launcher = find_rclpy()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = {
        "config": str(config.resolve()),
        "vision": "true" if checkpoint else "false",  # goals given as positions need neither camera nor encoder
        "gui": "true" if args.gui else "false",
        "scenes": args.task,
    }
    if args.task != REACH:
        arguments["camera_file"] = HANDLING_CAMERA
    if model:
        arguments["checkpoint"] = str(checkpoint_folder(model).resolve())
    try:
        records, nodes, goals, cycles = _run_graph(args, launcher, arguments, folder, as_pose=checkpoint is None)
    finally:
        with contextlib.suppress(OSError):  # not empty: there is something to keep
            folder.rmdir()
    return _conclude(args, folder, records, nodes, rclpy_kind, checkpoint, goals, cycles)


def _run_graph(
    args: argparse.Namespace, launcher: list[str], arguments: dict[str, str], folder: Path, as_pose: bool
) -> tuple[list[EpisodeRecord], list[dict], list[np.ndarray], dict[str, float]]:
    """The episodes' records, the node processes, the goal pictures, how punctual the guardrail was."""
    import rclpy
    from ami_interfaces.msg import GuardrailReport
    from rclpy.signals import SignalHandlerOptions
    from tqdm import tqdm

    from ami_nodes.demo_client import DemoClient
    from ami_nodes.demo_graph import Graph
    from ami_nodes.graph_client import GraphClient
    from ami_nodes.recording_topics import record
    from ami_robot.episodes.recording import REPORT_TOPIC
    from ami_robot.perception.camera import camera_file, load_camera
    from ami_sim.tasks import TASKS

    camera = load_camera(camera_file(arguments["camera_file"])) if "camera_file" in arguments else load_camera()
    tasks = [TASKS[args.task](args.seed + number) for number in range(args.episodes)]
    goals = [task.goal_image(camera) for task in tasks]
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C has to reach us, not only rclpy
    records: list[EpisodeRecord] = []
    try:
        log, interval_s = folder / "nodes.log", 0.2 if sys.stderr.isatty() else 2.0
        with Graph(launcher, arguments, log) as graph:
            client = GraphClient("demo", ANSWER_S, graph.check)
            with (
                record(client.node, GuardrailReport, REPORT_TOPIC, folder / REPORT_TOPIC),  # ends after the client
                client,
                tqdm(tasks, unit="goal", desc="starting", mininterval=interval_s) as bar,
            ):
                demo = DemoClient(client)
                try:
                    client.wait_until_active(BRING_UP_S)
                    nodes = graph.nodes()
                    for task, goal in zip(tasks, goals, strict=True):
                        bar.set_description(f"scene {task.scene.seed}")
                        episode = demo.run_episode(task, goal, camera, as_pose, lambda d: _show(bar, d, records))
                        episode.save(folder / f"scene{task.scene.seed:04d}.npz")
                        records.append(episode)
                        bar.update()
                        bar.write(_line(episode), file=sys.stdout)
                finally:
                    demo.rest()
    finally:
        rclpy.try_shutdown()
    return records, nodes, goals, demo.cycles()


def _conclude(
    args: argparse.Namespace,
    folder: Path,
    records: list[EpisodeRecord],
    nodes: list[dict],
    rclpy_kind: str,
    checkpoint: Checkpoint | None,
    goals: list[np.ndarray],
    cycles: dict[str, float],
) -> int:
    """Controls and film on all cores, now that no latency is being measured; then the report, whole or not at all."""
    from ami_sim.demo.controls import success_counts
    from ami_sim.demo.html import write_html
    from ami_sim.demo.report import build_report, format_table, write_report
    from ami_sim.demo.workers import run_workers

    decoded = _decode(goals, checkpoint) if checkpoint and args.task == REACH else [None] * len(goals)
    results, film = run_workers(records, decoded, None if args.no_video else folder / "demo.mp4", WORKERS)
    counts = success_counts(results)
    task = f"{args.task.replace('_', ' ')} what a picture shows" if checkpoint else "reach a position"
    sha256 = checkpoint.sha256 if checkpoint else ""
    report = build_report(task, records, counts, nodes, rclpy_kind, sha256, cycles)
    write_html(folder / "report.html", report, records, counts, film)
    write_report(folder / "report.json", report)
    _point_latest(args.out, folder)
    print(f"\n{format_table(report, counts)}\n\nreport: {args.out / 'latest' / 'report.html'}")
    return 1 if report["guardrail"]["violations"] else 0


def find_rclpy() -> tuple[str, list[str]]:
    """Which rclpy there is, and the command that reads launch files. Idempotent."""
    if find_spec("ami_embedded") or not find_spec("rclpy"):  # with neither, the import says what is absent
        from ami_embedded import finder

        if finder.install():
            return "embedded", [sys.executable, "-m", "ami_embedded.launch"]
    return "ros2", ["ros2", "launch"]


def _decode(goals: Sequence[np.ndarray], checkpoint: Checkpoint) -> list[np.ndarray]:
    """The tool position (3,) m that the checkpoint's head reads from each goal picture."""
    import torch

    from ami_robot.perception.camera import load_camera
    from ami_robot.perception.encoder import ImageEncoder
    from ami_robot.perception.view import TrainingView

    torch.set_num_threads(1)
    view, encoder = TrainingView(load_camera(), checkpoint.training_camera), ImageEncoder(checkpoint)
    return [encoder.decode_tool_position(encoder.encode(view(goal))) for goal in goals]


def _new_folder(out: Path) -> Path:
    """runs/<UTC time>/; raises OSError where nothing can be written."""
    folder = out / datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
    folder.mkdir(parents=True)
    return folder


def _point_latest(out: Path, folder: Path) -> None:
    """runs/latest -> the newest complete run."""
    link = out / ".latest.partial"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    os.replace(link, out / "latest")


def _show(bar, distance_m: float, records: list[EpisodeRecord]) -> None:
    reached = sum(record.success for record in records)
    bar.set_postfix_str(f"{100 * distance_m:4.1f} cm from the goal, {reached}/{len(records)} reached", refresh=False)
    bar.update(0)  # draws no more often than the bar's interval


def _line(record: EpisodeRecord) -> str:
    word = "reached" if record.success else "missed "
    broken = f", {len(record.violations)} VIOLATIONS" if record.violations else ""
    stopped = f"; guardrail stops: {len(record.stops)}, the last: {record.stops[-1]}" if record.stops else ""
    return (
        f"scene {record.seed:4d}  {word}  {100 * record.final_distance_m:5.1f} cm  "
        f"{record.steps} steps, {record.refusals} refusals{broken}{stopped}"
    )
