"""Caches the gates that hold all jobs of the node: a worker reads them at most once a second."""

import threading

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.states import Gates

READ_EVERY_S = 1.0


class GateCache:
    """Thread-safe."""

    def __init__(self, home: Home) -> None:
        self._home, self._lock = home, threading.Lock()
        self._gates, self._read_at = Gates(), float("-inf")

    def current(self) -> Gates:
        """Return the gates as they were within the last second."""
        with self._lock:
            if self._home.clock.awake() - self._read_at >= READ_EVERY_S:
                self._read()
            return self._gates

    def refresh(self) -> Gates:
        """Return the gates as they are now."""
        with self._lock:
            self._read()
            return self._gates

    def _read(self) -> None:
        self._gates, self._read_at = self._home.controls.gates(), self._home.clock.awake()
