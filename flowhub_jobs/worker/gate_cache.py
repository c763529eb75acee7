"""Caches the controls of the node, which hold or slow all its jobs, for 1 to 10 seconds."""

import threading
from collections.abc import Callable

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.cap import CAP
from flowhub_jobs.jobs.controls import GATES, ControlsInForce, still_in_force
from flowhub_jobs.jobs.rate_limits import LIMIT, Limits, limits_of
from flowhub_jobs.jobs.states import Gates

READ_EVERY_S = 1.0
READ_SHARED_EVERY_S = 1.5  # of a database that machines share: the maintenance reads them every second
READ_NOTIFIED_EVERY_S = 10.0  # where the database notifies of a new control, in case that is lost


class GateCache:
    """Thread-safe. One query reads everything that the threads of a worker need again and again."""

    def __init__(self, home: Home, is_notified: Callable[[], bool] = lambda: False) -> None:
        """`is_notified`: whether `expire` is called for each new control now."""
        self._home, self._is_notified, self._lock = home, is_notified, threading.Lock()
        self._every_s = READ_SHARED_EVERY_S if home.database.is_shared else READ_EVERY_S
        self._gates, self._in_force = Gates(), ControlsInForce()
        # When the rows were read, and when the gates were computed from them.
        self._read_at = self._computed_at = float("-inf")

    def current(self, max_age_s: float | None = None) -> Gates:
        """Return the gates as they were so many seconds ago (by default about one), or later."""
        with self._lock:
            self._update_if_older(self._every_s if max_age_s is None else max_age_s)
            return self._gates

    def refresh(self) -> Gates:
        """Return the gates as they are now."""
        self.expire()
        return self.current(0.0)

    def expire(self) -> None:
        """Have the next thread that needs them read the controls again."""
        with self._lock:
            self._read_at = self._computed_at = float("-inf")

    def limits(self, max_age_s: float) -> Limits:
        """Return the speed limits, without the setting's, as they were so many seconds ago, or later."""
        with self._lock:
            self._update_if_older(max_age_s)
            return limits_of(self._in_force, self._gates.rate_bps, None)

    def has_cap(self) -> bool:
        """Return whether a cap was in force about a second ago, or later."""
        with self._lock:
            self._update_if_older(self._every_s)
            return CAP in self._in_force

    def _update_if_older(self, max_age_s: float) -> None:
        """Compute the gates again, from rows that may be older where the database notifies of new ones."""
        controls, awake_s = self._home.controls, self._home.clock.awake()
        if awake_s - self._computed_at < max_age_s:
            return
        if awake_s - self._read_at >= (READ_NOTIFIED_EVERY_S if self._is_notified() else max_age_s):
            self._read_at = awake_s
            self._in_force = controls.in_force(*GATES, LIMIT)
        self._in_force = still_in_force(self._in_force, self._home.clock.now_us())
        self._gates, self._computed_at = controls.gates_of(self._in_force), awake_s
