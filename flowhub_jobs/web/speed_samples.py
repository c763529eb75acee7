"""The speeds of the last minute, in memory, for the sparklines of running jobs."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping

SPAN_S = 60.0
APART_S = 0.4  # samples that come closer together are one


class RateHistory:
    """Thread-safe. Samples by job: the speeds at the times when pages were made."""

    def __init__(self) -> None:
        self._samples: dict[int, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def record(self, rates: Mapping[int, int], now_s: float) -> None:
        """Add the speed of each running job, in bytes a second, and forget the jobs that no longer run."""
        with self._lock:
            self._samples = {job: self._samples.get(job, deque(maxlen=200)) for job in rates}
            for job, rate in rates.items():
                _add(self._samples[job], now_s, rate)

    def samples(self, job: int, now_s: float) -> list[tuple[float, float]]:
        """Return (age in seconds, bytes a second) of the last minute, the oldest first."""
        with self._lock:
            samples: Iterable[tuple[float, int]] = tuple(self._samples.get(job, ()))
        return [(now_s - at, float(rate)) for at, rate in samples if 0 <= now_s - at <= SPAN_S]


def _add(samples: deque[tuple[float, int]], now_s: float, rate: int) -> None:
    if samples and now_s - samples[-1][0] < APART_S:
        samples.pop()
    samples.append((now_s, rate))
    while now_s - samples[0][0] > SPAN_S:
        samples.popleft()
