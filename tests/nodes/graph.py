"""Starts launches for the tests and listens to what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ami_interfaces.action import PursueGoal
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from ami_nodes import qos
from ami_nodes.common import result_within
from ami_nodes.demo_graph import GraphError
from ami_nodes.graph_client import GraphClient
from ami_robot.safety.motion import MOVE_DURATIONS_S
from tests.domains import GRAPHS

ENVIRONMENT = os.environ | {"ROS_DOMAIN_ID": GRAPHS, "OMP_NUM_THREADS": "1"}
END_S = 10.0
LAUNCH_FILE = Path(__file__).parents[2] / "ros_ws" / "src" / "ami_bringup" / "launch" / "demo.launch.xml"
REST_RAD_PER_S = 0.02
TAIL_S = float(MOVE_DURATIONS_S[-1]) + 0.2  # the longest motion, and what a busy machine adds
PLANNED_S = 0.4  # a plan that was made from the last frame may still be proposed


class Process:
    """A launch or a node; its output goes to a file."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path(tempfile.mkstemp(prefix="ami_graph_", suffix=".log")[1])
        with self.log.open("w") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *arguments], env=ENVIRONMENT, stdout=file, stderr=subprocess.STDOUT
            )

    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        return self.log.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        if self.running():
            self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(END_S)

    def node(self, name: str) -> psutil.Process:
        """The process of a node of this launch."""
        children = psutil.Process(self.popen.pid).children(recursive=True)
        return next(child for child in children if f"__node:={name}" in child.cmdline())

    def end(self) -> None:
        """By Ctrl-C if that helps: a launch that is killed cannot end its nodes."""
        try:
            self.interrupt()
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(END_S)
        self.log.unlink(missing_ok=True)


@contextmanager
def _ended(process: Process) -> Iterator[Process]:
    """It is gone afterwards; what it said is shown when the block raises."""
    try:
        yield process
    except BaseException:
        print(process.output())
        raise
    finally:
        process.end()


@contextmanager
def launched(file: str | Path, **arguments: str) -> Iterator[Process]:
    """A launch that is gone afterwards; shows what it said when the test fails."""
    given = (f"{name}:={value}" for name, value in arguments.items())
    with _ended(Process("ami_embedded.launch", str(file), *given)) as process:
        yield process


@contextmanager
def node_process(executable: str, name: str, **parameters: object) -> Iterator[Process]:
    """One node of ours by itself; nobody configures it. Shows what it said when the test fails."""
    given = [word for parameter, value in parameters.items() for word in ("-p", f"{parameter}:={value}")]
    node = ("ami_embedded.run", f"ami_nodes.{executable}:main", "--ros-args", "-r", f"__node:={name}")
    with _ended(Process(*node, *given)) as process:
        yield process


def changes(client: GraphClient, name: str, transition: int) -> bool:
    """Whether the node, which may only just begin, says that it made the transition."""
    changer = client.node.create_client(ChangeState, f"{name}/change_state")
    try:
        assert changer.wait_for_service(timeout_sec=30.0), f"there is no {name}"
        request = ChangeState.Request(transition=Transition(id=transition))
        return result_within(changer.call_async(request), 20.0).success
    finally:
        client.node.destroy_client(changer)


@contextmanager
def listening(client: GraphClient, *wanted: tuple[type, str, Callable[[Any], object]]) -> Iterator[None]:
    """Subscriptions to (type, topic, callback), for as long as the block lasts."""
    made = [client.node.create_subscription(kind, topic, callback, qos.EVENTS) for kind, topic, callback in wanted]
    try:
        yield
    finally:
        for subscription in made:
            client.node.destroy_subscription(subscription)


@contextmanager
def pursuing(client: GraphClient, goal: PursueGoal.Goal, duration_s: float) -> Iterator[Any]:
    """The handle of a goal that nobody pursues afterwards, whatever the test came to: else the next one is refused."""
    handle = client.start(goal, duration_s)
    try:
        yield handle
    finally:
        with suppress(GraphError):  # it has come to its end
            client.cancel(handle)


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time."""
    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def assert_rests(ear, fault_s: float) -> None:
    """From the end of the tail after a fault on, for half a second of joint states, the arm does not move."""
    begin_s = fault_s + PLANNED_S + TAIL_S
    assert wait_for(lambda: ear.speeds[-1][0] > begin_s + 0.5, begin_s + 5.0 - time.monotonic())
    assert max(speed for heard_s, speed in ear.speeds if heard_s > begin_s) < REST_RAD_PER_S
