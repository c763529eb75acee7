"""Whether a body comes too slowly to be worth its connection."""

import time
from collections.abc import Iterator

from flowhub_jobs.errors import TooSlow
from flowhub_jobs.transfer.terms import Terms


class Pace:
    """Watches that a body is not too slow. Only time spent waiting for bytes counts: not throttled, hashing, asleep."""

    def __init__(self, terms: Terms, host: str) -> None:
        self._host, self._floor, self._window = host, terms.slow_bps, terms.slow_window_s

    def timed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks as they come. Raises TooSlow after a window with fewer bytes a second than the floor."""
        waited, came = 0.0, 0
        while True:
            begin = time.monotonic()
            chunk = next(chunks, None)
            if chunk is None:
                return
            waited, came = waited + time.monotonic() - begin, came + len(chunk)
            if waited >= self._window:
                if came < self._floor * waited:
                    raise TooSlow(f"{self._host} sent only {came} bytes in {waited:.0f} s.")
                waited, came = 0.0, 0
            yield chunk
