"""Ctrl-C while a node is being made, or ends: no traceback, and what is ordinary as an exit code."""

import subprocess
import sys

import pytest

from tests.nodes.graph import ENVIRONMENT

INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ami_embedded import finder; finder.install()
from contextlib import suppress
from rclpy.node import Node
from ami_nodes.common import run_node

def make_node():
    with suppress({swallowed}):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # until the handler has run
            pass
    return Node("late")

sys.exit(run_node("late", make_node))
"""


@pytest.mark.parametrize("swallowed", ["ValueError", "KeyboardInterrupt"], ids=["heard at once", "known by what fails"])
def test_a_node_that_is_interrupted_while_it_is_made_ends_quietly(swallowed):
    script = [sys.executable, "-W", "ignore", "-c", INTERRUPTED.format(swallowed=swallowed)]  # rclpy warns
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


INTERRUPTED_AGAIN = """
import os, signal, sys
from ami_embedded import finder; finder.install()
from rclpy.node import Node
from ami_nodes.common import run_node

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Ending(Node):
    def __init__(self):
        super().__init__("ending")
        self.create_timer(0.05, interrupt)

    def destroy_node(self):
        interrupt()
        super().destroy_node()
        print("destroyed", flush=True)

sys.exit(run_node("ending", Ending))
"""


def test_a_node_that_ends_already_is_not_torn_by_another_interrupt():
    """`ros2 launch` sends one to nodes that the terminal interrupted already."""
    script = [sys.executable, "-c", INTERRUPTED_AGAIN]
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "destroyed\n") and "Traceback" not in done.stderr
