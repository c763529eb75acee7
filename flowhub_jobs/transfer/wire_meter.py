"""Counts the bytes that all transfers of a process read from their sockets, and reports when a cap is reached."""

import threading


class WireMeter:
    """Counts bytes; after `allow(n)`, it is exhausted once n more were counted. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new = 0  # since the last `take`
        self._left: int | None = None

    def count(self, size: int) -> None:
        """Count bytes that were read."""
        with self._lock:
            self._new += size

    def take(self) -> int:
        """Return the bytes that were counted since the last call, for the node's count."""
        with self._lock:
            new_bytes, self._new = self._new, 0
            if self._left is not None:
                self._left -= new_bytes
            return new_bytes

    def give_back(self, size: int) -> None:
        """Count bytes again that were taken and could not be written down."""
        with self._lock:
            self._new += size
            if self._left is not None:
                self._left += size

    def allow(self, left: int | None) -> None:
        """Allow so many bytes from the last `take` on; None: any number."""
        with self._lock:
            self._left = left

    @property
    def pending(self) -> bool:
        """Return whether bytes were counted since the last `take`."""
        return self._new > 0

    @property
    def exhausted(self) -> bool:
        """Return whether all that was allowed has been read."""
        allowed = self._left
        return allowed is not None and self._new >= allowed
