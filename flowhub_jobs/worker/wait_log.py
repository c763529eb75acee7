"""Logs the start of jobs and each cause of a wait once, not at every try of a long outage."""

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta

from flowhub_jobs.system import Clock
from flowhub_jobs.times import clock_time, known_moment
from flowhub_jobs.values.enums import Reason

log = logging.getLogger("flowhub.job")

LONG_WAIT_S = 60.0  # a wait that a user who looks at the log wants explained


@dataclass(frozen=True, slots=True)
class _Logged:
    reason: Reason
    is_long: bool


class WaitLog:
    """One per worker. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._logged: dict[int, _Logged] = {}  # jobs whose last run here ended in a wait

    def begins(self, job: int, ref: str) -> None:
        """Log that a job begins, unless it only tries again what it waited for."""
        with self._lock:
            tries_again = job in self._logged
        if not tries_again:
            log.info("Job %d starts: %s", job, ref, extra={"job": job})

    def waits(self, job: int, reason: Reason, text: str, seconds: float) -> None:
        """Log why a job waits and when it is tried next: the first time, and when a wait is longer than a minute."""
        is_long = seconds >= LONG_WAIT_S
        with self._lock:
            before = self._logged.get(job)
            is_logged = before is not None and before.reason is reason and (before.is_long or not is_long)
            if not is_logged:
                self._logged[job] = _Logged(reason, is_long)
        if not is_logged:
            next_try = self._clock_in(seconds)
            log.warning("Job %d waits: %s The next try is at %s.", job, text, next_try, extra={"job": job})

    def ended(self, job: int) -> None:
        """Forget a job that ended, or was handed back."""
        with self._lock:
            self._logged.pop(job, None)

    def _clock_in(self, seconds: float) -> str:
        now = known_moment(self._clock.now_us())
        return clock_time(now + timedelta(seconds=seconds), now)
