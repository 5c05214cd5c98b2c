"""The graph of node processes in one cell, and everything that it was heard to say while stories are played in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rclpy
from ami_interfaces.msg import GuardrailReport, ProposedCommand, SimState
from ami_interfaces.srv import PredictOutcomes
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState

from ami_nodes import qos
from ami_nodes.convert import as_array, to_field, to_ns
from ami_nodes.demo_graph import Graph
from ami_nodes.graph_client import GraphClient
from ami_nodes.recording_topics import EVERY_MESSAGE, record
from ami_robot.episodes.recording import REPORT_TOPIC
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import DEFAULT_SPEC, Spec, load_spec
from ami_robot.types import ACTION_DIM, NS_PER_S, Array
from ami_robot.world_model.protocol import WorldModel

LAUNCH_FILE = Path(__file__).parents[1] / "ros_ws" / "src" / "ami_bringup" / "launch" / "demo.launch.xml"
BRING_UP_S = 60.0
SILENCE_S = 5.0
"""Wall time without a joint state after which the graph counts as dead."""
PATIENCE_S = 20.0
"""Wall time after which what is waited for does not come any more, however much else is heard."""


@dataclass(frozen=True)
class CellKind:
    """What the launch file is given. Stories of one kind share one graph."""

    people: str = "none"  # script by which people move; none is a fenced cell
    held_tool: str = "none"
    sees: bool = False  # plans with the shipped world model on the camera's frames
    lies: bool = False  # the node of the world model is left out; a double answers for it
    crate: Box | None = None  # an obstacle of the guardrail file
    respawn: bool = False  # nodes that ended come back


@dataclass(frozen=True)
class Heard:
    """One joint state."""

    stamp_ns: int
    positions: Array  # (9,), rad and m
    velocities: Array  # (9,)


class Cell:
    """A running graph. `client` drives it; joint states and reports are kept in the order in which they came."""

    def __init__(self, kind: CellKind, spec: Spec, graph: Graph, client: GraphClient, node: Any, log: Path) -> None:
        self.kind, self.spec, self.graph, self.client, self._log = kind, spec, graph, client, log
        self.states: list[Heard] = []
        self.reports: list[Any] = []
        self.scene_start_ns = -1
        """When the scene that was put up last began."""
        self.world_model: WorldModel | None = None
        """The double's: what is answered where the node of the world model was left out."""
        self.proposals = node.create_publisher(ProposedCommand, "proposed_command", qos.EVENTS)
        self._changed = threading.Condition()
        node.create_subscription(JointState, "joint_states", self._on_joint_states, EVERY_MESSAGE)
        node.create_subscription(GuardrailReport, REPORT_TOPIC, self._on_report, EVERY_MESSAGE)
        node.create_subscription(SimState, "sim/state", self._on_sim_state, qos.SENSOR_IN)
        if kind.lies:
            self._checkpoint_sha256 = load_checkpoint(None).sha256
            node.create_service(PredictOutcomes, "predict_outcomes", self._on_predict)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Until something that is heard makes it true. Raises GraphError; RuntimeError when it does not come."""
        give_up_s = time.monotonic() + PATIENCE_S
        with self._changed:
            while not condition():
                if not self._changed.wait(SILENCE_S):
                    self.graph.check()
                    raise RuntimeError(f"nothing was heard for {SILENCE_S:g} s while waiting for {what}.")
                if time.monotonic() > give_up_s:  # an arm that was braked stays disarmed
                    raise RuntimeError(f"waited {PATIENCE_S:g} s for {what} in vain.")

    def rejected(self, since: int = 0) -> list[str]:
        """What the arm's controller did not take, in the log from this length on."""
        return [line for line in self.log(since).splitlines() if "trajectory rejected" in line]

    def log(self, since: int = 0) -> str:
        """What the nodes have said, from this length on."""
        return self._log.read_text()[since:]

    def log_length(self) -> int:
        """Characters that the nodes have said."""
        return len(self.log())

    def process(self, name: str) -> int:
        """Process id of a node."""
        return next(node["pid"] for node in self.graph.nodes() if node["name"] == name)

    def _on_joint_states(self, message: JointState) -> None:
        heard = Heard(to_ns(message.header.stamp), as_array(message.position), as_array(message.velocity))
        with self._changed:
            self.states.append(heard)
            self._changed.notify_all()

    def _on_report(self, message: GuardrailReport) -> None:
        with self._changed:
            self.reports.append(message)
            self._changed.notify_all()

    def _on_sim_state(self, message: SimState) -> None:
        start_ns = to_ns(message.header.stamp) - round(message.scene_time * NS_PER_S)
        with self._changed:
            self.scene_start_ns = max(self.scene_start_ns, start_ns)
            self._changed.notify_all()

    def _on_predict(
        self, request: PredictOutcomes.Request, response: PredictOutcomes.Response
    ) -> PredictOutcomes.Response:
        if self.world_model is None:
            response.message = "no story is played."
            return response
        actions = as_array(request.actions).reshape(request.candidates, request.horizon, ACTION_DIM)
        told = self.world_model.predict(as_array(request.image_latent), as_array(request.proprio), actions)
        response.success, response.checkpoint_sha256 = True, self._checkpoint_sha256
        response.image_latents, response.proprio = to_field(told.image_latents, "f"), to_field(told.proprio, "f")
        return response


@contextmanager
def launched(kind: CellKind, client: GraphClient, launcher: list[str], folder: Path) -> Iterator[Cell]:
    """The graph of this kind, active, and gone afterwards; log and recorded reports stay in `folder`."""
    spec_file, log = folder / "guardrail.yaml", folder / "graph.log"
    spec_file.write_text(spec_text(kind))
    arguments = {
        "config": "reach" if kind.sees else "analytic",
        "vision": str(kind.sees).lower(),
        "people": kind.people,
        "held_tool": kind.held_tool,
        "respawn": str(kind.respawn).lower(),
        "guardrail_file": str(spec_file),
    }
    launch_file = _without_world_model(folder) if kind.lies else LAUNCH_FILE
    node = rclpy.create_node("live_stories")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with Graph(launcher, arguments, log, [str(launch_file)]) as graph:
        cell = Cell(kind, load_spec(spec_file), graph, client, node, log)
        writer = record(node, GuardrailReport, REPORT_TOPIC, folder / REPORT_TOPIC)
        thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
        thread.start()
        try:
            client.wait_until(lambda: graph.check() or cell.states, BRING_UP_S, "the first joint state")
            client.wait_until_active(BRING_UP_S)
            yield cell
            client.arm(False)
        finally:
            executor.shutdown()
            thread.join(2.0)
            node.destroy_node()
            writer.close()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


def spec_text(kind: CellKind) -> str:
    """The shipped guardrail file, with people asked for, and the crate."""
    text = DEFAULT_SPEC.read_text()
    if kind.people != "none":
        text = _replaced(text, "none_fenced_cell   #", "topic   #")
    if kind.crate is not None:
        lower, upper = (np.asarray(corner).tolist() for corner in (kind.crate.lower_m, kind.crate.upper_m))
        entry = f"  boxes:\n    - {{name: {kind.crate.name}, lower_m: {lower}, upper_m: {upper}}}\n"
        text = _replaced(text, "  boxes:\n", entry)
    return text


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"the shipped guardrail file no longer holds {old!r} once.")
    return text.replace(old, new)


def _without_world_model(folder: Path) -> Path:
    """The launch file for all nodes but the world model."""
    tree = ElementTree.parse(LAUNCH_FILE.with_name("bringup.launch.xml"))
    root = tree.getroot()
    learned = next(group for group in root.iter("group") if group.find("node[@name='world_model']") is not None)
    learned.remove(learned.find("node[@name='world_model']"))
    managed = next(let for let in root.findall("let") if "$(var world_model_node), " in let.get("value", ""))
    managed.set("value", managed.get("value", "").replace("$(var world_model_node), ", ""))
    tree.write(path := folder / "without_world_model.launch.xml")
    return path
