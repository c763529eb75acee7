"""Logs an outage of the database: once when it begins, every few minutes while it lasts, and once at its end."""

import logging
import threading
from collections.abc import Callable

from flowhub_jobs.database.postgresql import outage_text
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.units import format_duration

log = logging.getLogger("flowhub.worker")

REPEAT_S = 300.0


class DatabaseOutage:
    """The outage that the threads of one worker meet together. Thread-safe."""

    def __init__(self, awake: Callable[[], float]) -> None:
        self._awake, self._lock = awake, threading.Lock()
        self._since: float | None = None
        self._logged: dict[str, float] = {}  # when each kind of error was last logged

    def failed(self, error: Exception) -> None:
        """Log an error, unless one of the same kind in this outage was logged a moment ago."""
        problem = outage_text(error)
        with self._lock:
            awake_s = self._awake()
            self._since = awake_s if self._since is None else self._since
            if awake_s - self._logged.get(problem, float("-inf")) < REPEAT_S:
                return
            self._logged[problem], lasted = awake_s, awake_s - self._since
        since = f" (for {format_duration(lasted)})" if lasted >= 1 else ""
        text = "The database %s%s; transfers continue while their leases last, and no job starts: %s"
        log.warning(text, problem, since, driver_message(error))

    def answered(self) -> None:
        """Log the end of an outage, if there was one."""
        with self._lock:
            since, self._since = self._since, None
            self._logged.clear()
        if since is not None:
            log.info("The database answers again after %s.", format_duration(self._awake() - since))
