"""Executors: wait for work in a DDS waitset, without polling, and run callbacks in one thread or in many."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from ami_embedded import dds

from .exceptions import NotInitializedException
from .task import Task
from .utilities import get_default_context

_FOREVER_NS = 3_600_000_000_000  # one sleep at most; then the loop looks around and sleeps again


class ExternalShutdownException(Exception):  # noqa: N818 (rclpy's name)
    """The context was shut down while an executor waited."""

    def __init__(self) -> None:
        super().__init__("Context has been shutdown")


class ShutdownException(Exception):  # noqa: N818 (rclpy's name)
    """The executor was shut down while it waited."""


class TimeoutException(Exception):  # noqa: N818 (rclpy's name)
    """Nothing to do within the given time."""


class Executor:
    """Base: knows its nodes, finds the next callback. Conditions are level triggered, so what is ready but may not run
    yet (its callback group is busy) is parked: taken off the waitset until something ends.
    """

    def __init__(self, *, context: Any = None) -> None:
        self._context = context or get_default_context()
        if not self._context.ok():
            raise NotInitializedException()
        self._nodes: dict[int, Any] = {}
        self._participant = self._context.participant
        self._guard = dds.GuardCondition(self._participant)
        self._waitset = dds.WaitSet(self._participant)
        self._waitset.attach(self._guard.handle, 0)
        self._keys = itertools.count(1)
        self._attached: dict[int, Any] = {}  # key -> entity
        self._key_of: dict[Any, int] = {}
        self._parked: list[Any] = []
        self._timers: tuple[Any, ...] = ()
        self._ready: deque[Any] = deque()
        self._tasks: deque[Task] = deque()
        self._changed = True
        self._timer_waits = False  # one is due; whoever frees its group or thread has to wake the loop
        self._is_shutdown = False
        self._errors: deque[BaseException] = deque()
        self._lock = threading.RLock()
        self._context._wakers.add(self)

    @property
    def context(self) -> Any:
        """The context."""
        return self._context

    def add_node(self, node: Any) -> bool:
        """Serve this node; False when it is served already."""
        if id(node) in self._nodes:
            return False
        if node.executor is not None and node.executor is not self:
            node.executor.remove_node(node)
        self._nodes[id(node)] = node
        node._set_executor(self)
        self._on_change()
        return True

    def remove_node(self, node: Any) -> None:
        """Serve this node no longer."""
        if self._nodes.pop(id(node), None) is not None:
            node._set_executor(None)
            self._on_change()

    def get_nodes(self) -> list[Any]:
        """The nodes that are served."""
        return list(self._nodes.values())

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Task:
        """Run a callable or a coroutine soon."""
        if hasattr(callback, "send"):
            coroutine, callback = callback, lambda: coroutine
        task = Task(callback, args, kwargs, executor=weakref.ref(self))
        self._requeue(task)
        return task

    def _requeue(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def wake(self) -> None:
        """Return from the wait; safe from any thread and after shutdown."""
        self._guard.trigger()

    def _on_change(self) -> None:
        self._changed = True
        self.wake()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop spinning and let the nodes go."""
        self._is_shutdown = True
        self.wake()
        for node in self.get_nodes():
            self.remove_node(node)
        self._waitset.close()
        self._guard.close()
        return True

    def _update_attachments(self) -> None:
        self._changed = False
        nodes = self.get_nodes()
        present = {entity for node in nodes for entity in node._entities()}
        with self._lock:
            for entity in self._key_of.keys() - present:
                self._attached.pop(self._key_of.pop(entity))
                if entity in self._parked:
                    self._parked.remove(entity)
                else:
                    self._waitset.detach(entity.condition)
            for entity in present - self._key_of.keys():
                try:
                    self._waitset.attach(entity.condition, key := next(self._keys))
                except dds.DDSError:  # destroyed since it was listed
                    continue
                self._key_of[entity], self._attached[key] = key, entity
        self._timers = tuple(t for node in nodes for t in node._timers)

    def _park(self, entity: Any) -> None:
        with self._lock:
            if entity in self._key_of and entity not in self._parked:
                self._waitset.detach(entity.condition)
                self._parked.append(entity)

    def _unpark(self) -> None:
        with self._lock:
            for entity in self._parked:
                if entity in self._key_of:
                    try:
                        self._waitset.attach(entity.condition, self._key_of[entity])
                    except dds.DDSError:
                        continue
            self._parked.clear()

    def _may_run(self) -> bool:
        return True

    def _begin(self, entity: Any) -> Callable[[], Any] | None:
        """Claim the entity's group and take its data; None when there is nothing to run (yet)."""
        group = entity.callback_group
        if entity._inline:
            if (call := entity._take()) is not None:
                call()
            return None
        if not self._may_run() or not group.beginning_execution(entity):
            if hasattr(entity, "condition"):
                self._park(entity)
                if self._may_run() and group.can_execute(entity):  # it ended between the question and the parking
                    self._unpark()
            return None
        try:
            call = entity._take()
        except BaseException:
            group.ending_execution(entity)
            raise
        if call is None:
            group.ending_execution(entity)
        return call

    def _check(self) -> None:
        if self._errors:
            raise self._errors.popleft()
        if not self._context.ok() or self._context.participant is not self._participant:
            raise ExternalShutdownException()
        if self._is_shutdown:
            raise ShutdownException("Executor has been shutdown")

    def _next(self, deadline_ns: int | None) -> tuple[Any, Callable[[], Any]]:
        """Wait for the next callback: (entity or task, callable).

        Raises:
            TimeoutException: nothing by `deadline_ns` (steady clock).
        """
        while True:
            self._check()
            if self._changed:
                self._update_attachments()
            if self._tasks and self._may_run():
                task = self._tasks.popleft()
                return task, partial(task.step, self._requeue)
            while self._ready:
                entity = self._ready.popleft()
                call = self._begin(entity)
                if call is not None:
                    return entity, call
            left_ns = _FOREVER_NS if deadline_ns is None else max(deadline_ns - time.monotonic_ns(), 0)
            found = self._look(min(left_ns, _FOREVER_NS))
            if not found and deadline_ns is not None and time.monotonic_ns() >= deadline_ns:
                raise TimeoutException()

    def _run(self, entity: Any, call: Callable[[], Any]) -> None:
        """Run a callback and free its group, later when it is a coroutine that waits."""
        if isinstance(entity, Task):
            call()
            if entity.done() and (error := entity.exception()) is not None:
                raise error
            return
        try:
            result = call()
        except BaseException:
            self._end(entity)
            raise
        if result is not None and hasattr(result, "send"):
            self.create_task(result)._on_done(lambda _: self._end(entity))
        else:
            self._end(entity)

    def _end(self, entity: Any) -> None:
        entity.callback_group.ending_execution(entity)
        if self._parked:
            self._unpark()
            self.wake()

    def _look(self, timeout_ns: int) -> bool:
        """Wait at most that long, queue what is ready; return whether anything is, or something changed."""
        self._timer_waits = False
        for timer in self._timers:
            if timer._canceled:
                continue
            remaining = timer.next_ns - timer.clock.ns()
            if remaining <= 0:
                self._timer_waits = True
                if self._may_run() and timer.callback_group.can_execute(timer):
                    self._ready.append(timer)
                continue
            if not timer.clock.is_simulated and remaining < timeout_ns:
                timeout_ns = remaining
        if self._ready:
            timeout_ns = 0
        try:
            keys = self._waitset.wait(timeout_ns)
        except dds.DDSError:
            self._check()
            raise
        for key in keys:
            if key == 0:
                self._guard.clear()
            elif (entity := self._attached.get(key)) is not None:
                self._ready.append(entity)
        return bool(self._ready) or 0 in keys

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run at most one callback, waiting for it at most that long (None: for ever)."""
        deadline_ns = None
        if timeout_sec is not None and timeout_sec >= 0:
            deadline_ns = time.monotonic_ns() + int(timeout_sec * 1e9)
        with suppress(TimeoutException):
            self._dispatch(*self._next(deadline_ns))

    def spin(self) -> None:
        """Run callbacks until the context or the executor is shut down."""
        while self._context.ok() and not self._is_shutdown:
            try:
                self.spin_once()
            except ShutdownException:
                return

    def _dispatch(self, entity: Any, call: Callable[[], Any]) -> None:
        raise NotImplementedError

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins."""

    def _dispatch(self, entity: Any, call: Callable[[], Any]) -> None:
        self._run(entity, call)


class MultiThreadedExecutor(Executor):
    """Runs callbacks in a pool; data is taken by the thread that spins, and only when a pool thread is free, so that a
    slow callback leaves its backlog to the DDS history.
    """

    def __init__(self, num_threads: int | None = None, *, context: Any = None) -> None:
        super().__init__(context=context)
        self._num_threads = num_threads or os.cpu_count() or 2
        if self._num_threads < 1:
            raise ValueError("num_threads has to be at least 1")
        self._busy = 0
        self._pool = ThreadPoolExecutor(self._num_threads, thread_name_prefix="rclpy")

    def _may_run(self) -> bool:
        return self._busy < self._num_threads

    def _dispatch(self, entity: Any, call: Callable[[], Any]) -> None:
        with self._lock:
            self._busy += 1
        self._pool.submit(self._work, entity, call)

    def _work(self, entity: Any, call: Callable[[], Any]) -> None:
        try:
            self._run(entity, call)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that spins)
            self._errors.append(error)
        finally:
            with self._lock:
                was_full = self._busy >= self._num_threads
                self._busy -= 1
            if was_full or self._parked or self._errors or self._timer_waits:
                self._unpark()
                self.wake()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop spinning; running callbacks end by themselves."""
        result = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return result
