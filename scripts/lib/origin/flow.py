"""Rate limits of an origin, and the counts of bytes, requests and connections."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from lib.origin.answer import Request

UNLIMITED_PIECE = 256 << 10
LIMITED_PIECE = 64 << 10
BURST_S = 0.1


class Bucket:
    """Limits bytes to a rate; None is no limit. All connections with this limit share it."""

    def __init__(self, rate_bps: float | None = None) -> None:
        self._rate = rate_bps
        self._free_at = 0.0
        self._changed = threading.Condition()

    @property
    def limited(self) -> bool:
        return self._rate is not None

    def set_rate(self, rate_bps: float | None) -> None:
        """Change the rate; a waiting sender continues at the new one."""
        with self._changed:
            self._rate, self._free_at = rate_bps, 0.0
            self._changed.notify_all()

    def piece(self) -> int:
        """Return the number of bytes to send at a time for a smooth flow at this rate."""
        rate = self._rate
        return UNLIMITED_PIECE if rate is None else max(512, min(LIMITED_PIECE, int(rate / 50)))

    def take(self, count: int) -> None:
        """Wait until `count` bytes may be sent."""
        with self._changed:
            while self._rate is not None:
                now = time.monotonic()
                # The loss of a late wake-up is partly made up for: else the real rate would be below the limit.
                self._free_at = max(self._free_at, now - BURST_S)
                if self._free_at <= now:
                    self._free_at += count / self._rate
                    return
                self._changed.wait(self._free_at - now)


class Counts:
    """Requests and sent bytes of all connections; every change notifies `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()  # re-entrant: a predicate of wait_for may read the counts
        self.requests: list[Request] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.made_connections = 0
        self.open_connections = 0
        self.peak_connections = 0

    def connection(self, step: int) -> None:
        with self.changed:
            self.made_connections += max(0, step)
            self.open_connections += step
            self.peak_connections = max(self.peak_connections, self.open_connections)
            self.changed.notify_all()

    def asked(self, request: Request) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def answered(self, request: Request, status: int) -> None:
        with self.changed:
            request.status = status
            self.changed.notify_all()

    def write(self, request: Request, send: Callable[[], int]) -> int:
        """Send without waiting, and count the bytes in the same critical section.

        A client that has received the last byte of a body therefore always finds it counted.
        """
        with self.changed:
            count = send()
            request.bytes_sent += count
            self.sent[request.path] += count
            self.changed.notify_all()
            return count

    def finished(self, request: Request) -> None:
        with self.changed:
            request.done = True
            self.changed.notify_all()
