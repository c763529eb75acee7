"""Options of a transfer, and the token that stops it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flowhub_jobs.transfer.mirror_choice import NO_MIRRORS, Mirrors
from flowhub_jobs.transfer.retry import Patience


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """How a transfer behaves; the contract's defaults. Times are seconds. `tokens` maps an origin to its token."""

    connect_s: float = 10.0
    headers_s: float = 30.0
    stall_s: float = 20.0
    slow_bps: int = 1024
    slow_window_s: float = 30.0
    patience: Patience = field(default_factory=Patience)
    connections_per_host: int = 16
    direct_io: bool = True
    rate_bps: int | None = None  # of this transfer alone, next to the limit that all share
    hub_endpoint: str = "https://huggingface.co"
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    mirrors: Mirrors = NO_MIRRORS


class Cancelled(Exception):
    """The transfer was stopped. Not an error: all bytes are kept. `reason` is the caller's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CancelToken:
    """Whether a transfer may continue: checked before every write that outlives the process. Thread-safe.

    `check_owner` raises once the partial belongs to another run: the lease is lost, or expired by the clock.
    A process can be suspended between any two instructions, so the check comes as late as possible before each write;
    the journal and new part files are safe even against a write that comes later than that (`partial.hold`).
    """

    def __init__(self, check_owner: Callable[[], None] = lambda: None) -> None:
        self._check_owner, self._lock = check_owner, threading.Lock()
        self._reason: str | None = None
        self._callbacks: list[Callable[[], None]] = []

    def stop(self, reason: str) -> None:
        """Ask the transfer to stop; the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when `stop` is called, or now if it was."""
        with self._lock:
            self._callbacks.append(callback)
            stopped = self._reason is not None
        if stopped:
            callback()

    @property
    def stopped(self) -> bool:
        return self._reason is not None

    def check(self) -> None:
        """Raise Cancelled, or what `check_owner` raises, if nothing may be written any more."""
        if self._reason is not None:
            raise Cancelled(self._reason)
        self._check_owner()

    def check_owner(self) -> None:
        """Raise only what `check_owner` raises: the last commit of a graceful stop is still the owner's to write."""
        self._check_owner()
