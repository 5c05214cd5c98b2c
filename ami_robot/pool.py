"""Work in worker processes that Ctrl-C ends at once: results come as they are ready, and nothing goes on behind us."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

INTERRUPTED = "interrupted; what is done is kept, the same command goes on from there."
"""What to say after Ctrl-C."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For the environment that workers inherit: several threads in each would fight for the cores."""


def results(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, begin: Callable[[], object] | None = None
) -> Generator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, in the order of being done. `begin` is called once in each worker.

    Close it (contextlib.closing), or interrupt it: no worker stays behind.
    """
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(begin,))
    try:
        with interrupts_wait():
            futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for process in list((pool._processes or {}).values()):  # what they are at would go on for minutes
            process.terminate()
        # Its own thread is waited for: while the interpreter ends, CPython may write to the pipe that it has closed.
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(begin: Callable[[], object] | None) -> None:
    end_with_parent()
    if begin is not None:
        begin()


def end_with_parent() -> None:
    """In a worker: who asked for its work may be killed, and cannot end it then."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C is heard afterwards; processes that are started meanwhile never hear it, not even while they import.

    They inherit what is blocked here. Another thread of ours may hear it all the same: so it is noted down, too.
    """
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if heard and callable(handler):
            handler(signal.SIGINT, None)
