"""Admits the other nodes of this database to the share by their credentials, and limits how many read at a time."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from starlette.requests import HTTPConnection

from flowhub_jobs.operations.open_home import Home, fleet_token
from flowhub_jobs.values.share_credential import reader_of

KNOWN_S = 5.0  # for how long a token is kept: then a new one takes effect
READING_S = 1.0  # a node that has asked for nothing for so long, since its last answer ended, no longer reads


class NodeAuthenticator:
    """Tells by its credential which node asks for a file. Thread-safe."""

    def __init__(self, home: Callable[[], Home]) -> None:
        self._home, self._lock = home, threading.Lock()
        self._cached: tuple[float, str] | None = None

    def reader(self, request: HTTPConnection, sha256: str) -> str:
        """Return the node that asks for a file, or the address of another client."""
        node = self.node_of(request.headers.get("authorization", ""), sha256)
        return node or (request.client.host if request.client else "")

    def node_of(self, authorization: str, sha256: str) -> str | None:
        """Return the node whose credential for this file stands in an Authorization header; None without one."""
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer" or not credential.startswith("flowhub1."):
            return None
        home = self._home()
        return reader_of(self._token(home), credential.strip(), sha256, home.clock.now_us() / 1e6)

    def _token(self, home: Home) -> str:
        now = time.monotonic()
        with self._lock:
            if self._cached is None or now - self._cached[0] > KNOWN_S:
                self._cached = now, fleet_token(home)
            return self._cached[1]


class ReaderLimiter:
    """Limits how many nodes read from this share at the same time. Thread-safe."""

    def __init__(self, readers_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers_max, self._clock, self._lock = readers_max, clock, threading.Lock()
        self._seen: dict[str, float] = {}
        self._answers: Counter[str] = Counter()

    def admit(self, reader: str) -> bool:
        """Return whether a node may read: it does already, or a place is free. `leave` follows if it may."""
        now = self._clock()
        with self._lock:
            self._seen = {name: at for name, at in self._seen.items() if self._answers[name] or now - at < READING_S}
            if reader not in self._seen and len(self._seen) >= self._readers_max:
                return False
            self._seen[reader] = now
            self._answers[reader] += 1
            return True

    def leave(self, reader: str) -> None:
        """Record that an answer to a node has ended."""
        with self._lock:
            self._seen[reader] = self._clock()
            self._answers[reader] -= 1
            self._answers = +self._answers  # no entry stays for a node that reads nothing
