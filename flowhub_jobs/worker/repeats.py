"""A trouble that lasts is told once a minute: while a disk is full, the consumer meets it ten times a second.

That is so of what is done again and again. What happens once is told each time, as that a job failed.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 60.0
KNOWN_MAX = 256  # troubles that are remembered
AGAIN_AND_AGAIN = ("huey", "flowhub.heartbeat", "flowhub.maintenance", "flowhub.notices")  # whose warnings these are


@dataclass(slots=True)
class _Told:
    at: float
    kept_back: int = 0


class Repeats(logging.Filter):
    """Keeps back a warning whose words were told within QUIET_S, and counts it: the next one says how many."""

    def __init__(self, words: Callable[[logging.LogRecord], str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._words, self._clock, self._lock = words, clock, threading.Lock()
        self._told: dict[tuple[str, int, str], _Told] = {}  # the latest last

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.name.startswith(AGAIN_AND_AGAIN):
            return True
        try:
            trouble = record.name, record.levelno, self._words(record)
        except Exception:  # arguments that do not fit: whoever formats the record tells of that, and raises nothing
            return True
        now = self._clock()
        with self._lock:
            told = self._told.get(trouble)
            if told is not None and now - told.at < QUIET_S:
                told.kept_back += 1
                return False
            record.kept_back = told.kept_back if told else 0
            self._told.pop(trouble, None)
            self._told[trouble] = _Told(now)
            if len(self._told) > KNOWN_MAX:
                del self._told[next(iter(self._told))]
        return True
