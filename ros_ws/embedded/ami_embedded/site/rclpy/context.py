"""A context: one DDS participant, its arguments, and the news that it is shut down."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ami_embedded import dds, domain, graph

from .arguments import Arguments

_all: weakref.WeakSet[Context] = weakref.WeakSet()


class Context:
    """Life of the middleware between init and shutdown. One process usually has one, the default context."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._valid = False
        self._wakers: weakref.WeakSet[Any] = weakref.WeakSet()  # executors
        self._callbacks: list[Callable[[], None]] = []
        self.arguments = Arguments([])
        self.participant: dds.Participant
        self.graph: graph.Graph

    def init(self, args: list[str] | None = None, *, domain_id: int | None = None) -> None:
        """Read the ROS arguments and join the DDS domain.

        Raises:
            RuntimeError: it is initialised already.
            DDSError: no network interface, or no participant can be had.
        """
        with self._lock:
            if self._valid:
                raise RuntimeError("Context.init() must only be called once")
            self.arguments = Arguments(args)
            self.arguments.apply_log_levels()
            self.participant = domain.join(domain_id)
            self.graph = graph.Graph(self.participant)
            self._domain_id = domain.domain_id() if domain_id is None else domain_id
            self._valid = True
            _all.add(self)

    def ok(self) -> bool:
        """Whether init was called and shutdown was not."""
        return self._valid

    def get_domain_id(self) -> int:
        """The DDS domain."""
        return self._domain_id

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Call back at shutdown."""
        self._callbacks.append(callback)

    def shutdown(self) -> None:
        """Leave the domain; peers learn at once.

        Raises:
            RuntimeError: it is not initialised.
        """
        if not self.try_shutdown():
            raise RuntimeError("Context must be initialized before it can be shutdown")

    def try_shutdown(self) -> bool:
        """Shut down if that was not done; return whether it was done now."""
        with self._lock:
            if not self._valid:
                return False
            self._valid = False
        self._wake()
        for callback in self._callbacks:
            callback()
        self._callbacks.clear()
        self.participant.close()
        return True

    def _wake(self) -> None:
        """Return every executor from its wait; safe from any thread."""
        for executor in tuple(self._wakers):
            executor.wake()


@atexit.register
def _leave() -> None:
    for context in tuple(_all):
        context.try_shutdown()
