"""A node that looks into somebody else's graph for a while, on the caller's own thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

Self = TypeVar("Self", bound="Visitor")

QUIET_S = 0.4
"""A graph in which nothing new turned up for this long is known."""

SLICE_S = 0.05  # of waiting; in between, Ctrl-C gets its turn


DISCOVERY_S = 3.0
"""After that, who was not found is not there."""


def domain_hint(context: Any) -> str:
    """What to think of when somebody is not there."""
    domain = context.get_domain_id()
    return f"only nodes with ROS_DOMAIN_ID={domain} are seen; `ami demo` chooses its own unless that is set."


class Visitor:
    """Use it in a `with` statement. It hears something only within `spin_until` and `ask`."""

    def __init__(self, name: str, **options: Any) -> None:
        """Join the graph of ROS_DOMAIN_ID; `options` are a Node's. Raises RuntimeError or ValueError if it cannot."""
        self.context = rclpy.Context()
        no_handlers = SignalHandlerOptions.NO  # Ctrl-C is the caller's
        rclpy.init(args=[], context=self.context, signal_handler_options=no_handlers)
        self.node = rclpy.create_node(name, context=self.context, **options)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def spin_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Take in messages until it holds; False when it took too long."""
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            left_s = give_up_s - time.monotonic()
            if left_s <= 0.0:
                return False
            self._executor.spin_once(timeout_sec=min(left_s, SLICE_S))
        return True

    def ask(self, kind: Any, service: str, request: Any, timeout_s: float) -> Any | None:
        """The answer of a service; None when there is none in time."""
        client, give_up_s = self.node.create_client(kind, service), time.monotonic() + timeout_s
        try:
            if not self.spin_until(client.service_is_ready, timeout_s):
                return None
            future = client.call_async(request)
            return future.result() if self.spin_until(future.done, give_up_s - time.monotonic()) else None
        finally:
            self.node.destroy_client(client)
