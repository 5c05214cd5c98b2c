"""Futures, and coroutines that wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Future:
    """A value that comes later. May be awaited in a callback that is a coroutine, or waited for through an executor."""

    def __init__(self, *, executor: Any = None) -> None:
        self._executor = executor
        self._lock = threading.RLock()
        self._state = "pending"
        self._result: Any = None
        self._exception: BaseException | None = None
        self._callbacks: list[Callable[[Future], None]] = []

    def done(self) -> bool:
        """Whether there is a result, an exception, or it was cancelled."""
        return self._state != "pending"

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._state == "cancelled"

    def result(self) -> Any:
        """Return the result (None when there is none); raise the exception when there is one."""
        if self._exception is not None:
            raise self._exception
        return self._result

    def exception(self) -> BaseException | None:
        """Return the exception, if any."""
        return self._exception

    def set_result(self, result: Any) -> None:
        """Finish with a result."""
        self._result = result
        self._finish("done")

    def set_exception(self, exception: BaseException) -> None:
        """Finish with an exception."""
        self._exception = exception
        self._finish("done")

    def cancel(self) -> None:
        """Give up, unless it is done."""
        if not self.done():
            self._finish("cancelled")

    def _finish(self, state: str) -> None:
        with self._lock:
            self._state = state
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._schedule(callback)

    def _schedule(self, callback: Callable[[Future], None]) -> None:
        executor = self._executor() if self._executor is not None else None
        if executor is None or isinstance(callback, _Direct):
            callback(self)
        else:
            executor.create_task(callback, self)

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Call back when done: as a task of the executor when there is one, else at once in the finishing thread."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        self._schedule(callback)

    def _on_done(self, wake: Callable[[Future], None]) -> None:
        """As add_done_callback, never through the executor."""
        with self._lock:
            if not self.done():
                self._callbacks.append(_Direct(wake))
                return
        wake(self)

    def __await__(self) -> Generator[Future, None, Any]:
        while not self.done():
            yield self
        return self.result()


class _Direct:
    """Marks a callback that only wakes somebody and must not wait for an executor."""

    def __init__(self, wake: Callable[[Future], None]) -> None:
        self.wake = wake

    def __call__(self, future: Future) -> None:
        self.wake(future)


class Task(Future):
    """A callable or coroutine that an executor runs; its result is that of the callable."""

    def __init__(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, executor: Any = None) -> None:
        super().__init__(executor=executor)
        self._handler, self._args, self._kwargs = handler, args, kwargs
        self._coroutine: Coroutine[Any, Any, Any] | None = None

    def step(self, resume: Callable[[Task], None]) -> None:
        """Run until it ends or waits for a future; `resume(self)` is called when that is done."""
        try:
            if self._coroutine is None:
                result = self._handler(*self._args, **self._kwargs)
                if not hasattr(result, "send"):
                    self.set_result(result)
                    return
                self._coroutine = result
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self.set_result(end.value)
        except Exception as error:  # noqa: BLE001 (the executor raises it from spin)
            self.set_exception(error)
        else:
            if isinstance(awaited, Future):
                awaited._on_done(lambda _: resume(self))
            else:
                resume(self)
