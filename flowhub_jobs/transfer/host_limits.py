"""What all jobs of a process know of each host: how many connections it takes, and until when it wants peace."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

LOWERED_S = 3600.0  # a host that refused a connection is asked with fewer for an hour
AWAY_S = 60.0  # unless it went away altogether within so many seconds: then it refused them all


@dataclass(slots=True)
class _Host:
    open: int = 0
    cap: int = 0
    capped_until: float = 0.0
    quiet_until: float = 0.0
    answered_at: float = float("-inf")
    best_rate: float = 0.0  # bytes a second of one connection


class HostLimits:
    """Connections and waits by origin. Thread-safe."""

    def __init__(self, cap: int = 16, clock: Callable[[], float] = time.monotonic) -> None:
        self._cap, self._clock, self._lock = cap, clock, threading.Lock()
        self._hosts: defaultdict[str, _Host] = defaultdict(_Host)

    def enter(self, origin: str) -> bool:
        """Take a place for one more connection; False if the host has as many as it takes."""
        with self._lock:
            host = self._hosts[origin]
            if host.open >= self._cap_of(host):
                return False
            host.open += 1
            return True

    def leave(self, origin: str) -> None:
        with self._lock:
            self._hosts[origin].open -= 1

    def cap(self, origin: str) -> int:
        """Return how many connections the host takes, as far as is known."""
        with self._lock:
            return self._cap_of(self._hosts[origin])

    def lower(self, origin: str) -> bool:
        """Note that the newest connection was refused; False if it is the only one, and the host takes none at all."""
        with self._lock:
            host = self._hosts[origin]
            if host.open <= 1:
                return False
            host.cap, host.capped_until = host.open - 1, self._clock() + LOWERED_S
            return True

    def note_away(self, origin: str) -> None:
        """Note that the host takes no connection at all: what it refused just before says nothing of how many it takes.

        A cap that was lowered within the last minute is taken back.
        """
        with self._lock:
            host = self._hosts[origin]
            if host.capped_until - LOWERED_S > self._clock() - AWAY_S:
                host.capped_until = float("-inf")

    def hold(self, origin: str, cap: int) -> None:
        """Ask the host with no more than `cap` connections for an hour: with more it gave next to nothing."""
        with self._lock:
            host = self._hosts[origin]
            host.cap, host.capped_until = min(cap, self._cap_of(host)), self._clock() + LOWERED_S

    def note_rate(self, origin: str, bps: float) -> None:
        """Note the mean rate of one connection to the host."""
        with self._lock:
            host = self._hosts[origin]
            host.best_rate = max(host.best_rate, bps)

    def best_rate(self, origin: str) -> float:
        """Return the best mean rate that one connection to the host had in this process; 0.0 if none is known."""
        with self._lock:
            return self._hosts[origin].best_rate

    def be_quiet(self, origin: str, seconds: float) -> None:
        """The host asked to be left alone: all jobs wait for it."""
        with self._lock:
            host = self._hosts[origin]
            host.quiet_until = max(host.quiet_until, self._clock() + seconds)

    def quiet_for(self, origin: str) -> float:
        """Return the seconds for which the host still wants peace; 0.0 if it may be asked."""
        with self._lock:
            return max(0.0, self._hosts[origin].quiet_until - self._clock())

    def note_answer(self, origin: str) -> None:
        """Note that the host has just sent what it was asked for."""
        with self._lock:
            self._hosts[origin].answered_at = self._clock()

    def answered_since(self, origin: str, moment: float) -> bool:
        """Return whether the host has sent what it was asked for since that moment of the clock."""
        with self._lock:
            return self._hosts[origin].answered_at >= moment

    def now(self) -> float:
        """Return the moment on the clock of `answered_since`."""
        return self._clock()

    def _cap_of(self, host: _Host) -> int:
        return host.cap if self._clock() < host.capped_until else self._cap
