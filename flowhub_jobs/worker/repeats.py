"""A trouble that lasts is told once a minute: while a disk is full, the consumer meets it ten times a second."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 60.0
KEPT_S = 3600.0  # who is not met again in that time is forgotten


@dataclass(slots=True)
class _Told:
    at: float
    kept_back: int = 0


class Repeats(logging.Filter):
    """Keeps back a warning whose words were told within QUIET_S, and counts it: the next one says how many."""

    def __init__(self, words: Callable[[logging.LogRecord], str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._words, self._clock, self._lock = words, clock, threading.Lock()
        self._told: dict[str, _Told] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        words, now = self._words(record), self._clock()
        with self._lock:
            told = self._told.get(words)
            if told is not None and now - told.at < QUIET_S:
                told.kept_back += 1
                return False
            record.kept_back = told.kept_back if told else 0
            self._told = {text: one for text, one in self._told.items() if now - one.at < KEPT_S}
            self._told[words] = _Told(now)
        return True
