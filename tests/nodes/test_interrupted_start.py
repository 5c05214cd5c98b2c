"""Ctrl-C while a node is being made: it ends without a traceback, and with what is ordinary as an exit code."""

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
    script = INTERRUPTED.format(swallowed=swallowed)
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr
