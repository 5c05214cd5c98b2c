"""`ami pursue`: show a goal file to a running graph, and tell what comes of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import add_verb, positive_number_of
from ami_robot.cli.joined import add_namespace, joined

EXAMPLES = """examples, beside a graph that runs in another terminal:
  ami goal pose 0.5 0.1 0.2 --out goal.npz
  ami ros call /guardrail/arm '{data: true}'
  ami pursue goal.npz
  ami pursue goal.npz --duration 20
  ami pursue goal.npz --namespace cell1

Needs an armed guardrail, and arms none. Ctrl-C cancels the goal: the arm comes to rest.
Exit status: 0 done, 1 refused (the goal, or every step of it), cancelled or disarmed, 2 wrong input or no graph,
130 interrupted."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami pursue`."""
    parser = add_verb(subparsers, "pursue", "have a running graph bring about what a goal file shows", EXAMPLES)
    parser.add_argument("goal", type=Path, metavar="GOAL", help="file that `ami goal` made, .npz")
    text = "how long to pursue it, on the graph's clock (default %(default)g)"
    parser.add_argument("--duration", type=positive_number_of("seconds"), default=8.0, metavar="S", help=text)
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Read the goal, join the graph, show it, say how it gets on and ends."""
    from ami_robot.episodes.goals import read_goal

    goal = read_goal(args.goal)
    with joined("pursuer", args) as client:
        from ami_nodes.pursuer import Pursuer

        outcome = Pursuer(client).pursue(goal, args.duration, lambda line: print(line, flush=True))
    print(outcome.sentence)
    return 0 if outcome.done else 1
