"""Caches the gates that hold all jobs of the node: a worker reads them about once a second."""

import threading

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.states import Gates

READ_EVERY_S = 1.0
READ_SHARED_EVERY_S = 1.5  # of a database that machines share: the maintenance reads them every second


class GateCache:
    """Thread-safe."""

    def __init__(self, home: Home) -> None:
        self._home, self._lock = home, threading.Lock()
        self._every_s = READ_SHARED_EVERY_S if home.database.is_shared else READ_EVERY_S
        self._gates, self._read_at = Gates(), float("-inf")

    def current(self) -> Gates:
        """Return the gates as they were a second ago, or later."""
        with self._lock:
            if self._home.clock.awake() - self._read_at >= self._every_s:
                self._read()
            return self._gates

    def refresh(self) -> Gates:
        """Return the gates as they are now."""
        with self._lock:
            self._read()
            return self._gates

    def _read(self) -> None:
        self._gates, self._read_at = self._home.controls.gates(), self._home.clock.awake()
