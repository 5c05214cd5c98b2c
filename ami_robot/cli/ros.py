"""`ami ros`: who is in the graph, what is said and what is answered, also on a machine without ROS 2."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import add_verb, positive_count, positive_number_of
from ami_robot.cli.demo import find_rclpy

if TYPE_CHECKING:
    from ami_nodes.graph_visitor import GraphVisitor

EXIT_STATUS = """Only nodes with the same ROS_DOMAIN_ID are seen; `ami demo` chooses one of its own where none is set.
Exit status: 0 done, 1 nothing was heard or answered, 2 wrong input, 130 interrupted."""

EXAMPLES = f"""examples:
  ami ros list
  ami ros echo /guardrail_report --once
  ami ros hz /joint_states
  ami ros call /guardrail/arm '{{data: true}}'

`ami ros WHAT --help` explains each of them. {EXIT_STATUS}"""

LIST = f"""examples:
  ami ros list                               nodes, topics, services
  ami ros list --topics                      types, and how many publish and listen
  ami ros list --services --all              those of actions too

{EXIT_STATUS}"""

ECHO = f"""examples:
  ami ros echo /joint_states                 until Ctrl-C
  ami ros echo /joint_states --once
  ami ros echo /guardrail_report --count 5 --timeout 30

Asks for what the publishers offer: what was latched is heard, and what is sent best effort as well.
{EXIT_STATUS}"""

HZ = f"""examples:
  ami ros hz /joint_states
  ami ros hz /camera/image_raw --seconds 20

Gaps are wall time. The age is the graph's clock (/clock where it is published) at arrival, less the header's stamp.
{EXIT_STATUS}"""

CALL = f"""examples:
  ami ros call /lifecycle_manager/is_active
  ami ros call /guardrail/arm '{{data: true}}'
  ami ros call /select_source '{{source: teleop}}' --timeout 2

Fields that are not named keep their defaults.
{EXIT_STATUS}"""

FIRST_MESSAGE_S = 10.0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami ros list`, `echo`, `hz` and `call`."""
    parser = add_verb(subparsers, "ros", "look into a running graph: list, echo, hz, call", EXAMPLES)
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    add_kind = partial(add_verb, kinds)
    listing = add_kind("list", "who is there: nodes, topics, services", LIST)
    for kind in ("nodes", "topics", "services"):
        listing.add_argument(f"--{kind}", dest="kinds", action="append_const", const=kind, help=f"list the {kind}")
    listing.add_argument("--all", action="store_true", help="also hidden ones: a part of their name begins with _")
    listing.set_defaults(ask=_list)
    echo = add_kind("echo", "print messages as YAML; long arrays are only counted", ECHO)
    echo.add_argument("topic", metavar="TOPIC")
    number = echo.add_mutually_exclusive_group()
    number.add_argument("--once", dest="count", action="store_const", const=1, help="one message")
    number.add_argument("--count", type=positive_count, metavar="N", help="so many; by default until Ctrl-C")
    text = f"give up when no message comes for so long (default {FIRST_MESSAGE_S:g} with --once or --count, else never)"
    echo.add_argument("--timeout", type=positive_number_of("seconds"), metavar="S", help=text)
    echo.set_defaults(ask=_echo)
    hz = add_kind("hz", "how often messages come, and how old they are", HZ)
    hz.add_argument("topic", metavar="TOPIC")
    hz.add_argument(
        "--seconds", type=positive_number_of("seconds"), default=5.0, metavar="S", help="how long to listen (default 5)"
    )
    hz.set_defaults(ask=_hz)
    call = add_kind("call", "call a service and print its answer as YAML", CALL)
    call.add_argument("service", metavar="SERVICE")
    call.add_argument("request", nargs="?", default="", metavar="YAML", help="such as '{data: true}' (default: {})")
    call.add_argument(
        "--timeout", type=positive_number_of("seconds"), default=5.0, metavar="S", help="longest wait (default 5)"
    )
    call.set_defaults(ask=_call)


def run(args: argparse.Namespace) -> int:
    """Join the graph, ask, leave it."""
    find_rclpy()
    from ami_nodes.graph_visitor import GraphVisitor

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is killed stays in the eyes of the others for 10 s
    try:
        with GraphVisitor() as visitor:
            args.ask(visitor, args)
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _list(visitor: GraphVisitor, args: argparse.Namespace) -> None:
    print(visitor.listing(args.kinds or ("nodes", "topics", "services"), args.all))


def _echo(visitor: GraphVisitor, args: argparse.Namespace) -> None:
    timeout_s = args.timeout or (FIRST_MESSAGE_S if args.count else math.inf)
    for text in itertools.islice(visitor.messages(args.topic, timeout_s), args.count):
        print(f"{text}---", flush=True)


def _hz(visitor: GraphVisitor, args: argparse.Namespace) -> None:
    print(visitor.rhythm(args.topic, args.seconds))


def _call(visitor: GraphVisitor, args: argparse.Namespace) -> None:
    print(visitor.call(args.service, args.request, args.timeout), end="")
