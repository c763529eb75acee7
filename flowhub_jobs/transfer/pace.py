"""Whether a body comes too slowly to be worth its connection."""

import time
from collections.abc import Callable

from flowhub_jobs.errors import TooSlow
from flowhub_jobs.transfer.terms import Terms


class Pace:
    """Watches that a body is not too slow. Only time spent waiting for bytes counts: not throttled, hashing, asleep."""

    def __init__(self, terms: Terms, host: str) -> None:
        self._host, self._floor, self._window = host, terms.slow_bps, terms.slow_window_s
        self._waited, self._came = 0.0, 0
        self._total, self._reading_since = 0.0, 0.0  # 0: nothing is being read

    def waited_s(self, now: float) -> float:
        """Return the seconds that all reads took until `now`, the one under way included."""
        since = self._reading_since
        return self._total + (now - since if since else 0.0)

    def timed(self, read: Callable[[memoryview], int], view: memoryview) -> int:
        """Return what `read(view)` returns. Raises TooSlow after a window with fewer bytes a second than the floor."""
        begin = self._reading_since = time.monotonic()
        try:
            count = read(view)
        finally:
            self._reading_since = 0.0
        waited = time.monotonic() - begin
        self._total, self._waited, self._came = self._total + waited, self._waited + waited, self._came + count
        if self._waited >= self._window:
            if self._came < self._floor * self._waited:
                rate = f"less than {self._floor} bytes a second"
                raise TooSlow(f"{self._host} sent only {self._came} bytes in {self._waited:.1f} s, {rate}.")
            self._waited, self._came = 0.0, 0
        return count
