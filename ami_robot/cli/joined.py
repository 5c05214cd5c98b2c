"""What the verbs share that join a running graph: as whom, in which namespace, and how they leave it."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import namespace
from ami_robot.cli.demo import find_rclpy

if TYPE_CHECKING:
    from ami_nodes.graph_client import GraphClient


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Declare `--namespace`."""
    text = "of the graph, as its launch was given it with namespace:=NS (default: none)"
    parser.add_argument("--namespace", type=namespace, default="", metavar="NS", help=text)


@contextmanager
def joined(name: str, args: argparse.Namespace) -> Iterator[GraphClient]:
    """The graph, by a node of this name in the namespace of `args`. Ctrl-C, and a kill, end the block."""
    find_rclpy()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from ami_nodes.graph_client import GraphClient

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is killed stays in the eyes of the others for 10 s
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is for the command line
    try:
        with GraphClient(name, namespace=args.namespace) as client:
            yield client
    finally:
        rclpy.try_shutdown()
