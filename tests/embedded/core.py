"""What the core tests share: a node with its own context and executor, and patience with a deadline."""

import subprocess
import sys
import time
from contextlib import contextmanager

import peers
import rclpy
from rclpy.executors import SingleThreadedExecutor

WAIT_S = 5.0


@contextmanager
def running(name="tester", namespace=None, executor_class=SingleThreadedExecutor, args=(), **kwargs):
    """A node and the executor that serves it, in a context of their own."""
    context = rclpy.Context()
    rclpy.init(context=context, args=["test", *args])
    try:
        node = rclpy.create_node(name, namespace=namespace or peers.unique_namespace(), context=context, **kwargs)
        executor = executor_class(context=context)
        executor.add_node(node)
        yield node, executor
    finally:
        context.try_shutdown()


def own_parameters(names):
    """Without the one that nodes of ROS 2 have from Jazzy on."""
    return set(names) - {"start_type_description_service"}


def namespace_of(node):
    return node.get_fully_qualified_name().rpartition("/")[0]


def spin_until(executor, condition, timeout_s=WAIT_S):
    """Serve callbacks until the condition holds; fail after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        executor.spin_once(timeout_sec=0.02)


@contextmanager
def companion(namespace, *args, **popen):
    """subjects/companion.py with more ROS arguments; yields (process, its lines up to "ready")."""
    command = [sys.executable, "-m", "ami_embedded.run", "companion", "--ros-args", "-r", f"__ns:={namespace}", *args]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=peers.importing_from(peers.SUBJECTS), **streams, **popen)
    try:
        yield process, peers.read_until(process, "ready")
    finally:
        process.terminate()  # a killed one would stay alive for 10 s in the eyes of the others
        try:
            process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
