"""Brings the nodes up in order, watches over them, and brings them down in reverse.

A node that falls silent or disappears is lost: the manager takes the graph down, the guardrail first, the arm last, and
ends with 1. With `respawn` it has the guardrail disarmed instead, and brings the node up again when it comes back. A
manager that itself comes back finds the nodes up, and has the guardrail disarmed: nobody had watched over them.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from ami_nodes import qos
from ami_nodes.common import EXIT_BAD_PARAMETER, ignore_interrupts, result_within
from ami_nodes.health import EVERY_S, NOT_ACTIVE, to_diagnostics
from ami_nodes.heartbeats import GONE, INACTIVE, SILENT, UP, Heartbeats
from ami_nodes.parameters import Param, ParameterError, checked_parameters

GUARDRAIL = "guardrail"
ALL_WELL = "all nodes are active"
ERROR_LEVEL = 40
POLL_S = 0.05
WATCH_S = 0.1
DOWN_TIMEOUT_S = 1.0
LEAVE_S = 0.3
"""Ctrl-C in a terminal, and the end of a launch, reach all nodes at once: those are left to go by themselves."""

WAY_UP = (
    (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE, "configure"),
    (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE, "activate"),
)
WAY_DOWN = (  # from the state that is left
    (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_ACTIVE, "deactivate"),
    (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_INACTIVE, "clean up"),
)


class NodeError(RuntimeError):
    """A node that does not come up, or is lost: its name, what happened, and why."""


class LifecycleManager(Node):
    """Its work is done by the main thread; the executor that brings the answers in spins on another.

    Nodes that came back are brought up by a thread each, so that the others are watched meanwhile.
    """

    PARAMETERS: ClassVar[tuple[Param, ...]] = (
        Param("node_names", [""], "the nodes in the order they are brought up"),
        Param("timeout_s", 30.0, "longest wait for a node to appear or to answer", minimum=0.1, maximum=600.0),
        Param("attempts", 2, "how often a transition is tried", minimum=1, maximum=10),
        Param("silent_s", 5.0, "a node that says nothing on /diagnostics for so long is lost", minimum=2, maximum=60),
        Param("respawn", False, "whether a lost node is expected to come back; else its loss ends the graph"),
    )

    def __init__(self) -> None:
        """Raise ParameterError when the parameters given are not those of PARAMETERS."""
        super().__init__("lifecycle_manager", automatically_declare_parameters_from_overrides=True)
        self.settings = checked_parameters(self, self.PARAMETERS)
        self.names = [name for name in self.settings.node_names if name]
        self.heartbeats = Heartbeats(self.names, self.settings.silent_s)
        self.returning: dict[str, threading.Thread] = {}
        self.failed: NodeError | None = None
        self.disarm_because = ""  # why the guardrail has to be disarmed, until it is
        self.disarming: Any = None  # its answer to come
        self.asked_s = 0.0
        self.last_error: dict[str, str] = {}
        self.changers = {name: self.create_client(ChangeState, f"{name}/change_state") for name in self.names}
        self.askers = {name: self.create_client(GetState, f"{name}/get_state") for name in self.names}
        self.guardrail = self.create_client(SetBool, "guardrail/arm")
        self.full_names = {self.resolve_topic_name(name): name for name in self.names}  # as topics are: by namespace
        self.diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, qos.EVENTS)
        self.create_subscription(Log, "/rosout", self.on_log, qos.EVENTS)
        self.create_service(Trigger, "~/is_active", self.on_is_active)
        self.create_timer(EVERY_S, self.tell, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_log(self, message: Log) -> None:
        """Remember why a node failed: it says so in its log, not in its answer."""
        if message.level >= ERROR_LEVEL:
            self.last_error[message.name.rpartition(".")[2]] = message.msg

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """A heartbeat, if it is one of ours."""
        for status in message.status:
            if status.name in self.full_names:
                self.heartbeats.put(self.full_names[status.name], active=status.message != NOT_ACTIVE)

    def on_is_active(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Whether every node is active; if not, who is not."""
        unwell = self.unwell()
        response.success, response.message = not unwell, unwell or ALL_WELL
        return response

    def unwell(self) -> str:
        """Who is not well, and how; empty when all are."""
        states = dict(self.heartbeats.states) | dict.fromkeys(self.returning, "coming back")
        found = [f"{name} is {state}" for name, state in states.items() if state != UP]
        return "; ".join(found) or (f"{GUARDRAIL} is not disarmed yet" if self.disarm_because else "")

    def tell(self) -> None:
        """To /diagnostics, how all are."""
        unwell = self.unwell()
        level = DiagnosticStatus.ERROR if unwell else DiagnosticStatus.OK
        self.diagnostics.publish(to_diagnostics(self, level, unwell or ALL_WELL, self.heartbeats.states))

    def bring_up(self) -> None:
        """Configure all in order, then activate all in order. Raises NodeError."""
        changed = set()
        for transition, goal_state, verb in WAY_UP:
            changed = {name for name in self.names if self.change(name, transition, goal_state, verb)}
        if GUARDRAIL not in changed:
            self.disarm("it had been active before its manager")
        for name in self.names:
            self.heartbeats.set_up(name)
        self.get_logger().info(f"active: {', '.join(self.names)}")

    def watch(self) -> None:
        """Look after the nodes until Ctrl-C. Raises NodeError: one is lost, or came back and does not come up."""
        looked_s = time.monotonic()
        while rclpy.ok():
            time.sleep(WATCH_S)
            elapsed_s = time.monotonic() - looked_s
            looked_s += elapsed_s
            # While this process itself did not run, nobody was silent: what they said may still be on its way.
            for name, state in self.heartbeats.look(min(elapsed_s, 2 * WATCH_S), self.is_there).items():
                if name not in self.returning:
                    self.judge(name, state)
            for name, thread in list(self.returning.items()):
                if not thread.is_alive():
                    self.welcome(name)
            self.see_to_disarming()

    def judge(self, name: str, state: str) -> None:
        """A node is not as it was. Raises NodeError when it is lost and nobody will bring it back."""
        if state == UP:
            self.get_logger().info(f"{name} is heard again")
            self.disarm(f"{name} came back")
            return
        reason = {
            GONE: "it left the graph",
            SILENT: f"it said nothing for {self.settings.silent_s:g} s",
            INACTIVE: "it was deactivated, or started again",
        }[state]
        last_error = f"; its last error: {self.last_error[name]}" if name in self.last_error else ""
        sentence = f"{name} is {state}: {reason}{last_error}"
        if state != INACTIVE and not self.settings.respawn:
            raise NodeError(sentence)
        self.get_logger().error(sentence)
        self.disarm(f"{name} was {state}")
        if state == INACTIVE and self.settings.respawn:
            self.returning[name] = threading.Thread(target=self.bring_back, args=(name,), name=name, daemon=True)
            self.returning[name].start()

    def bring_back(self, name: str) -> None:
        """Bring one node up, on a thread of its own."""
        try:
            for transition, goal_state, verb in WAY_UP:
                self.change(name, transition, goal_state, verb)
        except NodeError as error:
            self.failed = error

    def welcome(self, name: str) -> None:
        """A node that came back has been brought up. Raises NodeError when it has not."""
        if self.failed is not None:
            raise self.failed
        self.get_logger().info(f"{name} is active again")
        self.disarm(f"{name} came back")
        self.heartbeats.set_up(name)
        del self.returning[name]

    def disarm(self, reason: str) -> None:
        """Have the guardrail disarmed as soon as it can be asked."""
        if GUARDRAIL in self.names:
            self.disarm_because, self.disarming = reason, None

    def see_to_disarming(self) -> None:
        """Ask the guardrail until it answers.

        One that is stuck is asked once, and disarms first thing when it goes on. One that has just come back may not
        be found yet, so what is up is asked again.
        """
        if not self.disarm_because:
            return
        up = self.heartbeats.states[GUARDRAIL] == UP
        unheard = self.disarming is None or (up and time.monotonic() - self.asked_s > DOWN_TIMEOUT_S)
        if self.disarming is not None and self.disarming.done():
            reason, self.disarm_because, self.disarming = self.disarm_because, "", None
            self.get_logger().warning(f"{GUARDRAIL} is disarmed, because {reason}: guardrail/arm arms it again")
        elif unheard and self.guardrail.service_is_ready():
            self.disarming, self.asked_s = self.guardrail.call_async(SetBool.Request(data=False)), time.monotonic()

    def is_there(self, name: str) -> bool:
        """Whether it can be asked; a killed node still seems to be there for some seconds."""
        return bool(self.changers[name].service_is_ready() and self.askers[name].service_is_ready())

    def bring_down(self) -> None:
        """Disarm, then deactivate and clean up in reverse; who is gone, silent or does not answer is passed over."""
        states = self.heartbeats.states
        names = [name for name in reversed(self.names) if states[name] not in (GONE, SILENT)]
        if GUARDRAIL in names and self.guardrail.service_is_ready():
            result_within(self.guardrail.call_async(SetBool.Request(data=False)), DOWN_TIMEOUT_S)
        for transition, state, verb in WAY_DOWN:
            for name in names:
                if not self.changers[name].service_is_ready() or not self.is_at(name, state):
                    continue
                if not self.ask(name, transition, DOWN_TIMEOUT_S):
                    self.get_logger().warning(f"{name} did not {verb}")

    def change(self, name: str, transition: int, goal_state: int, verb: str) -> bool:
        """One transition of one node, tried again when it fails; False: it was there already. Raises NodeError."""
        self.wait_for_service(name)
        if self.is_at(name, goal_state):
            return False
        for _ in range(self.settings.attempts):
            if self.ask(name, transition, self.settings.timeout_s) or self.is_at(name, goal_state):
                return True
        time.sleep(2 * POLL_S)  # its log may arrive after its answer
        reason = self.last_error.get(name, f"it did not answer within {self.settings.timeout_s} s, or gave no reason.")
        raise NodeError(f"{name} did not {verb}: {reason}")

    def ask(self, name: str, transition: int, timeout_s: float) -> bool:
        """Whether the node says that it made the transition."""
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = result_within(self.changers[name].call_async(request), timeout_s)
        return answer is not None and answer.success

    def is_at(self, name: str, goal_state: int) -> bool:
        """Whether the node says that it is in this state, or further."""
        answer = result_within(self.askers[name].call_async(GetState.Request()), DOWN_TIMEOUT_S)
        return answer is not None and goal_state <= answer.current_state.id <= State.PRIMARY_STATE_ACTIVE

    def wait_for_service(self, name: str) -> None:
        """Until the node is there. Raises NodeError."""
        give_up_s = time.monotonic() + self.settings.timeout_s
        while not self.is_there(name):
            if time.monotonic() > give_up_s:
                raise NodeError(f"{name} did not appear within {self.settings.timeout_s} s: is its process running?")
            time.sleep(POLL_S)


def main() -> int:
    """Run the manager. It handles Ctrl-C itself, because rclpy's handler would end the communication it still needs."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        manager = LifecycleManager()
    except ParameterError as error:
        print(f"lifecycle_manager: error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return EXIT_BAD_PARAMETER
    executor = SingleThreadedExecutor()
    executor.add_node(manager)
    thread = threading.Thread(target=_spin, args=(executor,), name="executor", daemon=True)
    thread.start()
    code = 0
    try:
        manager.bring_up()
        manager.watch()
    except KeyboardInterrupt:
        ignore_interrupts()
        time.sleep(LEAVE_S)
        manager.bring_down()
    except NodeError as error:
        manager.get_logger().fatal(str(error))
        with contextlib.suppress(KeyboardInterrupt):
            manager.bring_down()
        code = 1
    rclpy.try_shutdown()
    thread.join(DOWN_TIMEOUT_S)
    return code


def _spin(executor: Any) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()


if __name__ == "__main__":
    sys.exit(main())
