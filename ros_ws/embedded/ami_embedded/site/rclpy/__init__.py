"""The part of rclpy that our nodes use, on Cyclone DDS, for machines without ROS 2.

Names and behaviour are those of rclpy of ROS 2 Jazzy. Whatever is missing here is missing on purpose: no node uses it.
"""

from __future__ import annotations

from typing import Any

from .context import Context
from .executors import ExternalShutdownException, SingleThreadedExecutor
from .node import Node
from .parameter import Parameter
from .signals import SignalHandlerOptions, install_signal_handlers, uninstall_signal_handlers
from .task import Future
from .utilities import get_default_context, ok, try_shutdown

__all__ = [
    "Context",
    "ExternalShutdownException",
    "Future",
    "Node",
    "Parameter",
    "SignalHandlerOptions",
    "create_node",
    "get_default_context",
    "get_global_executor",
    "init",
    "ok",
    "shutdown",
    "spin",
    "spin_once",
    "try_shutdown",
    "uninstall_signal_handlers",
]

_global_executor: Any = None


def init(
    *,
    args: list[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Read the ROS arguments (default: sys.argv) and join the domain.

    Raises:
        RuntimeError: done already, or (DDSError) the domain cannot be joined.
    """
    chosen = context or get_default_context()
    chosen.init(args, domain_id=domain_id)
    if signal_handler_options is None:
        default = context is None or context is get_default_context()
        signal_handler_options = SignalHandlerOptions.ALL if default else SignalHandlerOptions.NO
    install_signal_handlers(signal_handler_options)


def get_global_executor() -> Any:
    """Return the executor behind rclpy.spin."""
    global _global_executor
    participant = get_default_context().participant
    if _global_executor is None or _global_executor._participant is not participant:  # a later init has another
        _global_executor = SingleThreadedExecutor()
    return _global_executor


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Leave the domain.

    Raises:
        RuntimeError: not initialised.
    """
    (context or get_default_context()).shutdown()
    if uninstall_handlers or (uninstall_handlers is None and context is None):
        uninstall_signal_handlers()


def create_node(node_name: str, **kwargs: Any) -> Node:
    """Create a Node."""
    return Node(node_name, **kwargs)


def spin(node: Node, executor: Any = None) -> None:
    """Serve a node until the shutdown."""
    chosen = executor or get_global_executor()
    try:
        chosen.add_node(node)
        while chosen.context.ok():
            chosen.spin_once()
    finally:
        chosen.remove_node(node)


def spin_once(node: Node, *, executor: Any = None, timeout_sec: float | None = None) -> None:
    """Run at most one callback of a node."""
    chosen = executor or get_global_executor()
    try:
        chosen.add_node(node)
        chosen.spin_once(timeout_sec)
    finally:
        chosen.remove_node(node)
