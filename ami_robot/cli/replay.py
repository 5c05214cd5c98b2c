"""`ami replay`: let encoder and planner decide a recorded run again, and compare with what they decided then."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import add_verb
from ami_robot.cli.demo import find_rclpy

if TYPE_CHECKING:
    from ami_nodes.replay import Replayed
    from ami_nodes.replay_decision import Decided

EXAMPLES = """examples:
  ami replay runs/bag                          a recording of a launch with record:=true
  ami replay runs/bag --checkpoint runs/training
  ami replay runs/bag --config my_task.yaml --guardrail-file my_robot.yaml --json

Exit status: 0 every decision agrees, 1 some do not, 2 there is no such recording."""

SHOWN = 20


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami replay`."""
    parser = add_verb(subparsers, "replay", "decide a recorded run again, and compare", EXAMPLES)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a recording, as record:=true makes it")
    add("--checkpoint", type=Path, metavar="DIR", help="checkpoint folder instead of the one that ships")
    add("--config", default="reach", metavar="TASK", help="task: a name, or a path to a YAML (default %(default)s)")
    add("--guardrail-file", default="panda", metavar="F", help="a robot's, or a path to a YAML (default %(default)s)")
    add("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the recording, decide again, print what came of it."""
    find_rclpy()  # the messages' packages come with it
    from ami_nodes.replay import load_recorded, replay
    from ami_robot.configurator.configurator import load_task, task_file
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.safety.spec import load_spec, spec_file

    began_s = time.monotonic()
    spec, task = load_spec(spec_file(args.guardrail_file)), load_task(task_file(args.config))
    replayed = replay(load_recorded(args.run), spec, task, load_checkpoint(args.checkpoint))
    took_s = time.monotonic() - began_s
    if args.json:
        document = {"recording": str(args.run), "agrees": replayed.agrees, "took_s": took_s, **asdict(replayed)}
        print(json.dumps(document, indent=2))
    else:
        print(_text(args.run, replayed, took_s))
    return 0 if replayed.agrees else 1


def _text(recording: Path, replayed: Replayed, took_s: float) -> str:
    """A table, what differs, and the outcome."""
    decided = replayed.decided
    wrong = [each for each in decided if each.differs]
    lines = [*_table(replayed), ""]
    lines += [f"{_which(each)}: {each.differs}" for each in wrong[:SHOWN]]
    if len(wrong) > SHOWN:
        lines.append(f"... and {len(wrong) - SHOWN} more.")
    lines += [f"{note}." for note in replayed.notes]
    counted = f"{len(decided) - len(wrong)} of {len(decided)} decisions agree"
    outcome = ": it would be decided otherwise now" if wrong else "" if decided else ": nothing was decided in it"
    return "\n".join([*lines, f"{recording}: {counted}{outcome} ({took_s:.1f} s)"])


def _table(replayed: Replayed) -> list[str]:
    """What was compared, how many of it are equal within the tolerance, and the largest difference."""
    plans = [each for each in replayed.decided if not each.refused]
    refusals = [each for each in replayed.decided if each.refused]
    latent = "" if replayed.latent is None else f"{replayed.latent:.2g} in a component"
    rows = [
        ("latents encoded again", str(replayed.frames), "", latent, ""),
        ("plans", *_counts(plans), *_largest(plans, "action_m", " m in an action")),
        ("", "", "", *_largest(plans, "path_m", " m in an imagined tool position")),
        ("", "", "", *_largest(plans, "cost", " in the cost")),
        ("refusals", *_counts(refusals), "", ""),
    ]
    if replayed.taken:
        rows.append(("latents as recorded", str(replayed.taken), "", "", "no picture or joint states with it"))
    if replayed.passed_over:
        rows.append(("passed over", str(replayed.passed_over), "", "", "no frame or no world model was there"))
    head = ("", "number", "agree", "largest difference", "where")
    return [f"{a:<21}  {b:>6}  {c:>5}  {d:<39}  {e}".rstrip() for a, b, c, d, e in [head, *rows]]


def _counts(decided: Sequence[Decided]) -> tuple[str, str]:
    return str(len(decided)), str(sum(not each.differs for each in decided))


def _largest(plans: Sequence[Decided], field: str, unit: str) -> tuple[str, str]:
    """The largest difference and the plan that has it."""
    known = [(getattr(each, field), each) for each in plans if getattr(each, field) is not None]
    most, plan = max(known, key=itemgetter(0), default=(None, None))
    if plan is None:
        return "", ""
    return f"{most:.2g}{unit}", _which(plan) if most else ""


def _which(decided: Decided) -> str:
    return f"plan {decided.number}, frame of {decided.frame_ns / 1e9:.3f} s"
