"""Work in worker processes that Ctrl-C ends at once: results come as they are ready, and nothing goes on behind us."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def results(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, begin: Callable[[], object] | None = None
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, in the order of being done. `begin` is called once in each worker.

    Whoever stops listening, or is interrupted, leaves no worker behind.
    """
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker, initargs=(begin,))
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((pool._processes or {}).values()):  # what they are at would go on for seconds
            process.terminate()


def _begin_worker(begin: Callable[[], object] | None) -> None:
    """Leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if begin is not None:
        begin()
