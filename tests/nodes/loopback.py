"""A cell without physics round a real guardrail node: an arm that follows perfectly, and all that is in people's hands.

The arm keeps the rules of the stock joint_trajectory_controller and no others: only messages bring it to rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import rclpy
from ami_interfaces.msg import Deadman, GuardrailReport, HeldTool, PersonArray, ProposedCommand
from ami_interfaces.srv import SelectSource
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from ami_nodes import qos
from ami_nodes.common import result_within
from ami_nodes.convert import (
    from_trajectory_msg,
    to_field,
    to_held_tool_msg,
    to_people_msg,
    to_proposal_msg,
    to_time,
)
from ami_nodes.urgency import be_urgent
from ami_robot.safety.spec import load_spec
from ami_robot.types import HeldTool as HeldToolRecord
from ami_robot.types import People, Person, Proposal
from ami_sim.controller import JointTrajectoryController
from ami_sim.scene import Scene
from tests.nodes.graph import REST_RAD_PER_S, wait_for

SEED = 1000  # of the scene in whose start the arm stands
JOINT_STATES_S, PEOPLE_S, DEADMAN_S, PROPOSAL_S = 0.01, 0.05, 0.05, 0.2
STEP_M, TURN_M = 0.03, 0.12
SERVICES = {
    "guardrail/change_state": ChangeState,
    "guardrail/arm": SetBool,
    "guardrail/reset_e_stop": Trigger,
    "select_source": SelectSource,
}
ANSWER_S = 5.0


class Cell:
    """One node for all that surrounds the guardrail. What it says repeatedly is in attributes; set them from a test."""

    def __init__(self) -> None:
        self.node = node = rclpy.create_node("cell")
        self.controller = JointTrajectoryController(load_spec().joint_names)
        self.controller.hold(Scene.from_seed(SEED).start_joint_positions, self.now_s())
        self.speaks = True  # the arm, in joint states
        self.persons: tuple[Person, ...] | None = ()  # None: the detector is silent
        self.tool: str | None = "none"
        self.held: str | None = None  # the source whose deadman switch is repeated
        self.going: tuple[str, ...] = ()  # the sources that propose to and fro
        self.rejected: list[str] = []
        self.reports: list[GuardrailReport] = []
        self.sequence, self._way = 0, 1.0
        self._joint_states = node.create_publisher(JointState, "joint_states", qos.SENSOR_OUT)
        self._people = node.create_publisher(PersonArray, "people", qos.SENSOR_OUT)
        self._tool = node.create_publisher(HeldTool, "held_tool", qos.SENSOR_OUT)
        self._deadman = node.create_publisher(Deadman, "deadman", qos.EVENTS)
        self._proposals = node.create_publisher(ProposedCommand, "proposed_command", qos.EVENTS)
        self.e_stop = node.create_publisher(Bool, "e_stop", qos.LATCHED)
        self._clients = {name: node.create_client(kind, name) for name, kind in SERVICES.items()}
        node.create_subscription(
            JointTrajectory, "joint_trajectory_controller/joint_trajectory", self._on_trajectory, qos.COMMAND
        )
        node.create_subscription(GuardrailReport, "guardrail_report", self.reports.append, qos.EVENTS)
        node.create_timer(JOINT_STATES_S, self._say_joints)
        node.create_timer(PEOPLE_S, self._say_people)
        node.create_timer(DEADMAN_S, self._say_deadman)
        node.create_timer(PROPOSAL_S, self._go)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)

    def spin(self) -> None:
        """For a thread; until `close`. It goes before others where the system allows it, as the arm node does."""
        be_urgent()
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self.node.destroy_node()

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def now_s(self) -> float:
        return self.now_ns() / 1e9

    def speed(self) -> float:
        """Greatest joint speed that the controller wants now, rad/s."""
        return float(np.abs(self.controller.sample(self.now_s()).velocities).max())

    def rests(self) -> bool:
        return self.speed() < REST_RAD_PER_S

    def ask(self, service: str, request: object) -> object:
        """The answer of one of SERVICES."""
        assert self._clients[service].wait_for_service(timeout_sec=20.0), f"no service {service}"
        answer = result_within(self._clients[service].call_async(request), ANSWER_S)
        assert answer is not None, f"{service} did not answer"
        return answer

    def bring_up(self) -> None:
        """Configure and activate the guardrail node."""
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            assert self.ask("guardrail/change_state", request).success

    def arm(self) -> str:
        """What guardrail/arm says, asked again for a moment: topics are discovered, and a brake takes its time."""
        answers: list[SetBool.Response] = []

        def armed() -> bool:
            answers.append(self.ask("guardrail/arm", SetBool.Request(data=True)))
            return answers[-1].success

        wait_for(armed, 2.0)
        return answers[-1].message

    def disarm(self) -> None:
        self.ask("guardrail/arm", SetBool.Request(data=False))

    def select(self, source: str) -> None:
        assert self.ask("select_source", SelectSource.Request(source=source)).success

    def decisions(self, since: int = 0) -> list[tuple[str, str]]:
        """(decision, guardrail) of the reports but the heartbeat's."""
        return [(r.decision, r.guardrail) for r in self.reports[since:] if r.decision != GuardrailReport.STATUS]

    def wait_for_report(self, since: int, condition: Callable[[GuardrailReport], bool], timeout_s: float = 3.0) -> bool:
        return wait_for(lambda: any(condition(report) for report in self.reports[since:]), timeout_s)

    def _on_trajectory(self, message: JointTrajectory) -> None:
        reason = self.controller.accept(from_trajectory_msg(message), self.now_s())
        if reason:
            self.rejected.append(reason)

    def _say_joints(self) -> None:
        if not self.speaks:
            return
        now_ns = self.now_ns()
        state = self.controller.sample(now_ns / 1e9)
        message = JointState(name=list(self.controller.joint_names))
        message.position, message.velocity = to_field(state.positions), to_field(state.velocities)
        message.header.stamp = to_time(now_ns)
        self._joint_states.publish(message)

    def _say_people(self) -> None:
        if self.persons is not None:
            self._people.publish(to_people_msg(People(self.now_ns(), self.persons)))
        if self.tool is not None:
            self._tool.publish(to_held_tool_msg(HeldToolRecord(self.now_ns(), self.tool, np.zeros(3))))

    def _go(self) -> None:
        if not (self.going and self.reports):
            return
        y = self.reports[-1].target_tool_position.y
        self._way = -1.0 if y > TURN_M else 1.0 if y < -TURN_M else self._way
        for source in self.going:
            self.sequence += 1
            now_ns, step = self.now_ns(), np.array([0.0, self._way * STEP_M, 0.0])
            proposal = Proposal(source, self.sequence, now_ns, now_ns, 0.2, 0.0, tool_displacement=step)
            self._proposals.publish(to_proposal_msg(proposal))

    def _say_deadman(self) -> None:
        if self.held is not None:
            self.say_deadman(self.held, True)

    def say_deadman(self, source: str, pressed: bool) -> None:
        """Once."""
        message = Deadman(source=source, pressed=pressed)
        message.header.stamp = to_time(self.now_ns())
        self._deadman.publish(message)
