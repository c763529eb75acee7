"""Rate limits: a token bucket for everything that a worker fetches, and one for a single transfer.

A rate can change while it is used.
"""

import threading
import time
from collections.abc import Callable

READ_S = 0.05  # One read takes the bytes of this time at the limit.
READ_MIN = 64  # One read takes at least this many bytes: the first bytes of a file are checked together.
WINDOW_S = 0.05  # The receive window holds the bytes of this time at the limit.
WINDOW_MIN = 64 << 10  # The receive window has at least this many bytes.
WINDOW_MAX = 1 << 20  # It has no more, although that slows a connection to a distant host: more connections make up.
BURST_S = 0.1  # The bucket holds the bytes of this time at the limit: a smaller one flows more evenly.


class TokenBucket:
    """Tokens (bytes) are added at the rate and removed by `take`, which waits while there are none."""

    def __init__(self, rate_bps: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._changed = clock, threading.Condition()
        self._rate = rate_bps
        self._level, self._at = 0.0, clock()

    def set_rate(self, rate_bps: int | None) -> None:
        """Change the limit, in bytes a second; None is no limit. Threads that wait continue at the new rate."""
        with self._changed:
            self._fill()
            unlimited = self._rate is None or rate_bps is None
            self._rate = rate_bps
            self._level = 0.0 if unlimited else min(self._level, 0.0)  # no debt outlives its limit
            self._changed.notify_all()

    @property
    def rate_bps(self) -> int | None:
        return self._rate

    @property
    def limited(self) -> bool:
        return self._rate is not None

    @property
    def receive_window(self) -> int | None:
        """The bytes that may wait unread in the system while there is a limit; None without one."""
        rate = self._rate
        return None if rate is None else max(WINDOW_MIN, min(WINDOW_MAX, int(rate * WINDOW_S)))

    def read_size(self, count: int) -> int:
        """Return how much to read at a time, at most `count`: a low rate is read in small steps."""
        rate = self._rate
        return count if rate is None else min(count, max(READ_MIN, int(rate * READ_S)))

    def take(self, count: int, stopped: Callable[[], bool]) -> None:
        """Wait until `count` bytes may pass, or `stopped()`. A debt is allowed: bytes are paid for after they came."""
        if self._rate is None:
            return
        with self._changed:
            self._fill()
            self._level -= count
            while self._rate is not None and self._level < 0 and not stopped():
                self._changed.wait(min(-self._level / self._rate, 0.2))
                self._fill()

    def _fill(self) -> None:
        now = self._clock()
        if self._rate is not None:
            self._level = min(self._level + (now - self._at) * self._rate, self._rate * BURST_S)
        self._at = now


class TransferRateLimit:
    """The limits of one transfer: the bucket that all transfers share, and its own, if it has one."""

    def __init__(self, shared: TokenBucket, own: TokenBucket | None = None) -> None:
        self._buckets = (shared,) if own is None else (own, shared)

    @property
    def limited(self) -> bool:
        return any(bucket.limited for bucket in self._buckets)

    @property
    def receive_window(self) -> int | None:
        """The smallest of the buckets' windows; None without a limit."""
        windows = [bucket.receive_window for bucket in self._buckets]
        return min((window for window in windows if window is not None), default=None)

    def read_size(self, count: int) -> int:
        return min(bucket.read_size(count) for bucket in self._buckets)

    def take(self, count: int, stopped: Callable[[], bool]) -> None:
        """Wait until `count` bytes may pass by each bucket, or `stopped()`."""
        for bucket in self._buckets:
            bucket.take(count, stopped)
