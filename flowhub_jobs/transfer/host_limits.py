"""Limits of each host, shared by all jobs of a process: how many connections it takes, and its cooldown."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

RESTRICTED_S = 3600.0  # A host that refused a connection gets fewer for this long.
OUTAGE_S = 60.0  # A host that goes down within this time after a refusal refused all: its restriction ends.


@dataclass(slots=True)
class _Host:
    open: int = 0
    connections_max: int = 0  # holds until `restricted_until`, the process's own limit after that
    restricted_until: float = 0.0
    cooldown_until: float = 0.0
    answered_at: float = float("-inf")
    aside_until: float = 0.0
    best_rate_bps: float = 0.0  # bytes a second of one connection


class HostLimits:
    """Connections and cooldowns by origin. Thread-safe."""

    def __init__(self, connections_max: int = 16, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections_max, self._clock, self._lock = connections_max, clock, threading.Lock()
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)

    def acquire(self, origin: str) -> bool:
        """Reserve one more connection; False if the host has as many as it takes."""
        with self._lock:
            host = self._hosts[origin]
            if host.open >= self._allowed(host):
                return False
            host.open += 1
            return True

    def release(self, origin: str) -> None:
        with self._lock:
            self._hosts[origin].open -= 1

    def connections_allowed(self, origin: str) -> int:
        """Return how many connections the host takes, as far as is known."""
        with self._lock:
            return self._allowed(self._hosts[origin])

    def note_connection_refused(self, origin: str) -> bool:
        """Record that the newest connection was refused; False if it is the only one: the host takes none at all."""
        with self._lock:
            host = self._hosts[origin]
            if host.open <= 1:
                return False
            host.connections_max, host.restricted_until = host.open - 1, self._clock() + RESTRICTED_S
            return True

    def note_unreachable(self, origin: str) -> None:
        """Record that the host takes no connection at all.

        The refusals just before that say nothing about how many it takes: a restriction of the last minute ends.
        """
        with self._lock:
            host = self._hosts[origin]
            if host.restricted_until - RESTRICTED_S > self._clock() - OUTAGE_S:
                host.restricted_until = float("-inf")

    def restrict_connections(self, origin: str, connections_max: int) -> None:
        """Use no more than `connections_max` connections to the host for an hour: with more it gave next to nothing."""
        with self._lock:
            host = self._hosts[origin]
            host.connections_max = min(connections_max, self._allowed(host))
            host.restricted_until = self._clock() + RESTRICTED_S

    def note_rate(self, origin: str, bps: float) -> None:
        """Record the mean rate of one connection to the host."""
        with self._lock:
            host = self._hosts[origin]
            host.best_rate_bps = max(host.best_rate_bps, bps)

    def best_rate_bps(self, origin: str) -> float:
        """Return the best mean rate that one connection to the host had in this process; 0.0 if none is known."""
        with self._lock:
            return self._hosts[origin].best_rate_bps

    def cool_down(self, origin: str, seconds: float) -> None:
        """Request nothing from the host for so long, in any job: it asked for that."""
        with self._lock:
            host = self._hosts[origin]
            host.cooldown_until = max(host.cooldown_until, self._clock() + seconds)

    def cooldown_left(self, origin: str) -> float:
        """Return the seconds that are left of the host's cooldown; 0.0 if there is none."""
        with self._lock:
            return max(0.0, self._hosts[origin].cooldown_until - self._clock())

    def set_aside(self, origin: str, seconds: float) -> None:
        """Have new transfers pass over a mirror for so long: it is down, or far slower than another address."""
        with self._lock:
            host = self._hosts[origin]
            host.aside_until = max(host.aside_until, self._clock() + seconds)

    def aside_left(self, origin: str) -> float:
        """Return the seconds for which a mirror is still passed over; 0.0 if it is not."""
        with self._lock:
            return max(0.0, self._hosts[origin].aside_until - self._clock())

    def note_response(self, origin: str) -> None:
        """Record that the host has just sent what was requested."""
        with self._lock:
            self._hosts[origin].answered_at = self._clock()

    def answered_since(self, origin: str, moment: float) -> bool:
        """Return whether the host has sent what was requested since `moment`, which is on the clock of `now`."""
        with self._lock:
            return self._hosts[origin].answered_at >= moment

    def now(self) -> float:
        """Return the time on the clock of `answered_since`."""
        return self._clock()

    def _allowed(self, host: _Host) -> int:
        return host.connections_max if self._clock() < host.restricted_until else self._connections_max
