"""Caches the controls of the node, which hold or slow all its jobs: a worker reads them about once a second."""

import threading

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.cap import CAP
from flowhub_jobs.jobs.controls import GATES, InForce
from flowhub_jobs.jobs.rate_limits import LIMIT, Limits, limits_of
from flowhub_jobs.jobs.states import Gates

READ_EVERY_S = 1.0
READ_SHARED_EVERY_S = 1.5  # of a database that machines share: the maintenance reads them every second


class GateCache:
    """Thread-safe. One query reads all that the threads of a worker look at again and again."""

    def __init__(self, home: Home) -> None:
        self._home, self._lock = home, threading.Lock()
        self._every_s = READ_SHARED_EVERY_S if home.database.is_shared else READ_EVERY_S
        self._gates, self._in_force, self._read_at = Gates(), InForce(), float("-inf")

    def current(self, max_age_s: float | None = None) -> Gates:
        """Return the gates as they were so many seconds ago (by default about one), or later."""
        with self._lock:
            self._read_if_older(self._every_s if max_age_s is None else max_age_s)
            return self._gates

    def refresh(self) -> Gates:
        """Return the gates as they are now."""
        return self.current(0.0)

    def expire(self) -> None:
        """Have the next thread that asks read them again."""
        with self._lock:
            self._read_at = float("-inf")

    def limits(self, max_age_s: float) -> Limits:
        """Return the speed limits, without the setting's, as they were so many seconds ago, or later."""
        with self._lock:
            self._read_if_older(max_age_s)
            return limits_of(self._in_force, self._gates.rate_bps, None)

    def has_cap(self) -> bool:
        """Return whether a cap was in force about a second ago, or later."""
        with self._lock:
            self._read_if_older(self._every_s)
            return CAP in self._in_force

    def _read_if_older(self, max_age_s: float) -> None:
        if self._home.clock.awake() - self._read_at >= max_age_s:
            self._in_force = self._home.controls.in_force(*GATES, LIMIT)
            self._gates, self._read_at = self._home.controls.gates_of(self._in_force), self._home.clock.awake()
