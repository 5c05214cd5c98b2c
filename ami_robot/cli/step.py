"""`ami step`: a first run on a robot, one step for each press of Enter."""

from __future__ import annotations

import argparse

from ami_robot.cli.demo import find_rclpy

EXAMPLES = """examples, in two terminals:
  ros2 launch ami_bringup bringup.launch.xml arm:=ros2_control camera:=v4l2 step_by_step:=true
  ami step

Needs a graph launched with step_by_step:=true, an armed guardrail and a goal that is pursued.
Exit status: 0 done, 1 no plan or no decision came, 130 interrupted."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami step`."""
    subparsers.add_parser(
        "step", help="let the arm take one step for each press of Enter", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def run(_: argparse.Namespace) -> int:
    """Show what comes next, wait for Enter, say what became of it; until q, Ctrl-D or Ctrl-C."""
    find_rclpy()
    from ami_nodes.stepper import Stepper

    with Stepper() as stepper:
        while True:
            try:
                word = input(f"{stepper.next_step()}. Enter: do it, q: end > ")
            except EOFError:
                print()
                return 0
            if word.strip().lower() == "q":
                return 0
            print(stepper.step(), flush=True)
