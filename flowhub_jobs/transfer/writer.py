"""Writes beside those who read: one thread for a transfer, which has a few buffers at most."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from flowhub_jobs.transfer.files import UNDERWAY_MAX


class Writer:
    """Does one work after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._pool, self._room = ThreadPoolExecutor(1, "writer"), threading.Semaphore(UNDERWAY_MAX)

    def give(self, work: Callable[[], None]) -> "Future[None]":
        """Have the thread do `work`; wait while it has enough. The answer raises what the work did."""
        self._room.acquire()
        return self._pool.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._room.release()

    def close(self, *, wait: bool) -> None:
        self._pool.shutdown(wait=wait)
