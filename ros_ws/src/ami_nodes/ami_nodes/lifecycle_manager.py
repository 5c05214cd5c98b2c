"""Brings the nodes up in order, answers whether they are, and brings them down in reverse."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any, ClassVar

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from ami_nodes import qos
from ami_nodes.common import EXIT_BAD_PARAMETER, result_within
from ami_nodes.parameters import Param, ParameterError, checked_parameters

ERROR_LEVEL = 40
POLL_S = 0.05
DOWN_TIMEOUT_S = 1.0
LEAVE_S = 0.3
"""Ctrl-C in a terminal, and the end of a launch, reach all nodes at once: those are left to go by themselves."""

WAY_UP = (
    (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE, "configure"),
    (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE, "activate"),
)
WAY_DOWN = ((Transition.TRANSITION_DEACTIVATE, "deactivate"), (Transition.TRANSITION_CLEANUP, "clean up"))


class BringUpError(RuntimeError):
    """A node that does not come up: its name, what it failed to do, and why."""


class LifecycleManager(Node):
    """Its work is done by the main thread; the executor that brings the answers in spins on another."""

    PARAMETERS: ClassVar[tuple[Param, ...]] = (
        Param("node_names", [""], "the nodes in the order they are brought up"),
        Param("timeout_s", 30.0, "longest wait for a node to appear or to answer", minimum=0.1, maximum=600.0),
        Param("attempts", 2, "how often a transition is tried", minimum=1, maximum=10),
    )

    def __init__(self) -> None:
        """Raise ParameterError when the parameters given are not those of PARAMETERS."""
        super().__init__("lifecycle_manager", automatically_declare_parameters_from_overrides=True)
        self.settings = checked_parameters(self, self.PARAMETERS)
        self.names = [name for name in self.settings.node_names if name]
        self.active = False
        self.last_error: dict[str, str] = {}
        self.changers = {name: self.create_client(ChangeState, f"{name}/change_state") for name in self.names}
        self.askers = {name: self.create_client(GetState, f"{name}/get_state") for name in self.names}
        self.create_subscription(Log, "/rosout", self.on_log, qos.EVENTS)
        self.create_service(Trigger, "~/is_active", self.on_is_active)

    def on_log(self, message: Log) -> None:
        """Remember why a node failed: it says so in its log, not in its answer."""
        if message.level >= ERROR_LEVEL:
            self.last_error[message.name.rpartition(".")[2]] = message.msg

    def on_is_active(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Whether every node is active."""
        response.success = self.active
        response.message = "all nodes are active" if self.active else "the nodes are not all active"
        return response

    def bring_up(self) -> None:
        """Configure all in order, then activate all in order. Raises BringUpError."""
        for transition, goal_state, verb in WAY_UP:
            for name in self.names:
                self.change(name, transition, goal_state, verb)
        self.active = True
        self.get_logger().info(f"active: {', '.join(self.names)}")

    def bring_down(self) -> None:
        """Deactivate and clean up in reverse; what is gone already or does not answer is passed over."""
        self.active = False
        for transition, verb in WAY_DOWN:
            for name in reversed(self.names):
                if self.changers[name].service_is_ready() and not self.ask(name, transition, DOWN_TIMEOUT_S):
                    self.get_logger().warning(f"{name} did not {verb}")

    def change(self, name: str, transition: int, goal_state: int, verb: str) -> None:
        """One transition of one node, tried again when it fails. Raises BringUpError."""
        self.wait_for_service(name)
        for _ in range(self.settings.attempts):
            if self.ask(name, transition, self.settings.timeout_s):
                return
            answer = result_within(self.askers[name].call_async(GetState.Request()), DOWN_TIMEOUT_S)
            if answer is not None and goal_state <= answer.current_state.id <= State.PRIMARY_STATE_ACTIVE:
                return  # somebody else had brought it there, or further
        time.sleep(2 * POLL_S)  # its log may arrive after its answer
        reason = self.last_error.get(name, f"it did not answer within {self.settings.timeout_s} s, or gave no reason.")
        raise BringUpError(f"{name} did not {verb}: {reason}")

    def ask(self, name: str, transition: int, timeout_s: float) -> bool:
        """Whether the node says that it made the transition."""
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = result_within(self.changers[name].call_async(request), timeout_s)
        return answer is not None and answer.success

    def wait_for_service(self, name: str) -> None:
        """Until the node is there. Raises BringUpError."""
        give_up_s = time.monotonic() + self.settings.timeout_s
        while not (self.changers[name].service_is_ready() and self.askers[name].service_is_ready()):
            if time.monotonic() > give_up_s:
                raise BringUpError(f"{name} did not appear within {self.settings.timeout_s} s: is its process running?")
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
        thread.join()
    except KeyboardInterrupt:
        time.sleep(LEAVE_S)
        manager.bring_down()
    except BringUpError as error:
        manager.get_logger().fatal(str(error))
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
