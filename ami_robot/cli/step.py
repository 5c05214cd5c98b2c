"""`ami step`: a first run on a robot, one step for each press of Enter."""

from __future__ import annotations

import argparse

from ami_robot.cli.arguments import add_verb
from ami_robot.cli.joined import add_namespace, joined

EXAMPLES = """examples, in two terminals:
  ros2 launch ami_bringup bringup.launch.xml arm:=ros2_control camera:=v4l2 step_by_step:=true
  ami step

Needs a graph launched with step_by_step:=true, an armed guardrail and a goal that is pursued (`ami pursue`).
Exit status: 0 done, 1 no plan or no decision came, 130 interrupted."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami step`."""
    add_namespace(add_verb(subparsers, "step", "let the arm take one step for each press of Enter", EXAMPLES))


def run(args: argparse.Namespace) -> int:
    """Show what comes next, wait for Enter, say what became of it; until q, Ctrl-D or Ctrl-C."""
    with joined("stepper", args) as client:
        from ami_nodes.stepper import Stepper

        stepper = Stepper(client)
        while _asked(f"{stepper.next_step()}. Enter: do it, q: end > "):
            print(stepper.step(), flush=True)
    return 0


def _asked(question: str) -> bool:
    """Whether Enter was pressed; not after q or Ctrl-D."""
    try:
        return input(question).strip().lower() != "q"
    except EOFError:
        print()
        return False
