"""What all nodes share: a lifecycle node with checked parameters, and a main that ends with an honest exit code."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, ClassVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.guard_condition import GuardCondition
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from ami_nodes import qos
from ami_nodes.health import ACTIVE, EVERY_S, NOT_ACTIVE, Health, to_diagnostics
from ami_nodes.parameters import Param, ParameterError, checked_parameters
from ami_nodes.urgency import NOT_ALLOWED, be_urgent, start_ordinary_threads
from ami_robot.safety.spec import Spec, load_spec, spec_file

CHECKPOINT = Param("checkpoint", "reach", "folder of the checkpoint, or the name of a shipped one: reach, manipulation")
GUARDRAIL_FILE = Param("guardrail_file", "panda", "guardrail YAML, or the robot of a shipped one; one for all nodes")

EXIT_BAD_PARAMETER = 2
COMPLAIN_EVERY_S = 1.0


class AmiNode(LifecycleNode):
    """A lifecycle node in four verbs: `build` what it needs, `start`, `stop`, `discard`.

    `start` returns the subscriptions, timers and services that live while the node is active; they are destroyed after
    `stop`, because rclpy's lifecycle gates publishers only. Raising OSError, ValueError or RuntimeError in `build` or
    `start` refuses the transition with that sentence in the log.
    """

    PARAMETERS: ClassVar[tuple[Param, ...]] = ()
    REHEARSES: ClassVar[bool] = True
    """Whether `build` and `start` may be tried out where nobody hears the node: they leave nothing behind."""

    def __init__(self, name: str) -> None:
        """Raise ParameterError when the parameters given are not those of PARAMETERS."""
        super().__init__(name, automatically_declare_parameters_from_overrides=True)
        self.settings = checked_parameters(self, self.PARAMETERS)
        self._while_active: list[Any] = []
        self._built_publishers: list[Any] = []
        self._with_overrides: set[str] = set()  # `<topic>.<publisher or subscription>.`
        self._active = False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENTS)  # inactive or not
        self.create_timer(EVERY_S, self._say_health, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publisher(self, kind: type, topic: str, profile: QoSProfile) -> Any:
        """A publisher that speaks while the node is active and goes away at cleanup; to be called in `build`."""
        options = self._overridable(topic, "publisher", profile)
        self._built_publishers.append(self.create_lifecycle_publisher(kind, topic, copy(profile), **options))
        return self._built_publishers[-1]

    def subscription(
        self, kind: type, topic: str, callback: Callable[..., Any], profile: QoSProfile, **options: Any
    ) -> Any:
        """As rclpy's create_subscription, with a QoS that parameters may override."""
        options |= self._overridable(topic, "subscription", profile)
        return self.create_subscription(kind, topic, callback, copy(profile), **options)

    def load_spec(self) -> Spec:
        """What the parameter guardrail_file names; raises SpecError, one sentence."""
        return load_spec(spec_file(self.settings.guardrail_file))

    def build(self) -> None:
        """Make the library's objects and the publishers."""

    def start(self) -> Iterable[Any]:
        """Begin to work; returns what is destroyed when the node is deactivated."""
        return ()

    def stop(self) -> None:
        """Bring what the node moves to rest; the publishers still publish."""

    def discard(self) -> None:
        """Give back what `build` made."""

    def health(self) -> Health:
        """How it is; asked every EVERY_S while the node is active."""
        return Health()

    def now_ns(self) -> int:
        """The node's clock: simulated time when `use_sim_time` is set."""
        return self.get_clock().now().nanoseconds

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `build`."""
        if not self._succeeds("configure", self.build):
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `start`; the publishers are enabled first."""
        outcome = super().on_activate(state)
        if not self._succeeds("activate", self._start):
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._active = True
        return outcome

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `stop`."""
        self._end_activity()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `discard`."""
        outcome = super().on_cleanup(state)
        while self._built_publishers:
            self.destroy_lifecycle_publisher(self._built_publishers.pop())
        self.discard()
        return outcome

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: stop, then discard."""
        if self._while_active:
            self._end_activity()
        return super().on_shutdown(state)

    def _start(self) -> None:
        self._while_active.extend(self.start())
        given, known = self.get_parameters_by_prefix("qos_overrides"), sorted(self._with_overrides)
        strange = [name for name in given if not name.startswith(tuple(known))]
        if strange:
            raise ValueError(
                f"qos_overrides.{strange[0]} fits nothing that can be overridden here; there are {', '.join(known)}."
            )

    def _overridable(self, topic: str, entity: str, profile: QoSProfile) -> dict[str, Any]:
        """Options of what users may give another history, depth or reliability; commands stay what they are.

        rclpy writes what is overridden into the profile that it is given: it has to be a copy of ours.
        """
        if profile is qos.COMMAND:
            return {}
        self._with_overrides.add(f"{self.resolve_topic_name(topic)}.{entity}.")
        return {"qos_overriding_options": QoSOverridingOptions.with_default_policies()}

    def _say_health(self) -> None:
        """To /diagnostics."""
        health = self.health() if self._active else Health()
        level = DiagnosticStatus.WARN if health.warning else DiagnosticStatus.OK
        message = health.warning or (ACTIVE if self._active else NOT_ACTIVE)
        self._diagnostics.publish(to_diagnostics(self, level, message, health.figures))

    def _succeeds(self, verb: str, action: Callable[[], Any]) -> bool:
        """Whether it could be done; if not, one sentence in the log."""
        try:
            action()
        except (OSError, ValueError, RuntimeError) as error:
            self.get_logger().error(f"{self.get_name()} cannot {verb}: {error}")
            self._end_entities()
            return False
        except Exception as error:  # a mistake of ours, which rclpy would take for an error without a word
            self.get_logger().error(f"{self.get_name()} cannot {verb}: {type(error).__name__}: {error}")
            raise
        return True

    def _end_activity(self) -> None:
        self._active = False
        self.stop()
        self._end_entities()

    def _end_entities(self) -> None:
        destroyers: dict[type, Callable[[Any], object]] = {
            Subscription: self.destroy_subscription,
            Timer: self.destroy_timer,
            Service: self.destroy_service,
            GuardCondition: self.destroy_guard_condition,
        }
        while self._while_active:
            entity = self._while_active.pop()
            destroy = next((d for kind, d in destroyers.items() if isinstance(entity, kind)), None)
            if destroy is not None:
                destroy(entity)
            else:
                entity.destroy()  # an action server is not an entity of the node itself


def run_node(name: str, make_node: Callable[[], Any], threads: int = 1, urgent: bool = False) -> int:
    """Run a node until Ctrl-C or a shutdown from outside; returns the exit code.

    An urgent one, in the loop that has to close every 10 ms, goes before others where the system allows it.
    """
    realtime = urgent and be_urgent()
    gc.freeze()  # what the imports made stays: to walk it takes 90 ms, which an armed guardrail does not have
    rclpy.init()
    try:
        _spin(make_node(), threads, urgent, realtime)
    except ParameterError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return EXIT_BAD_PARAMETER
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (RuntimeError, NotInitializedException):  # what rclpy raises after the signal that ends the node, too
        if rclpy.ok():
            raise
    finally:
        _shut_down()
    gc.collect()  # the node, which refers to itself: rclpy has a lifecycle node in the graph for as long as its object
    return 0


def _spin(node: Any, threads: int, urgent: bool, realtime: bool) -> None:
    if urgent:
        start_ordinary_threads()  # those of the middleware are there
        if not realtime:
            node.get_logger().warning(NOT_ALLOWED)
    executor = SingleThreadedExecutor() if threads == 1 else MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)
    try:
        executor.spin()
    finally:
        _shut_down()
        executor.shutdown()
        node.destroy_node()


def _shut_down() -> None:
    rclpy.try_shutdown()  # with which rclpy's own handler goes
    ignore_interrupts()


def ignore_interrupts() -> None:
    """What ends already must not be torn by another Ctrl-C: `ros2 launch` passes on the one that all have had."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def result_within(future: Any, timeout_s: float) -> Any | None:
    """The result of a service call made from a thread outside the executor, or None when it took too long.

    Never to be called in a callback of a single-threaded executor: the answer could not come in.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(timeout_s):
        future.cancel()
        return None
    return future.result()
