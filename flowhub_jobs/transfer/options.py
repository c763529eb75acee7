"""The terms of a transfer, and the word by which it is stopped."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    hub_endpoint: str = "https://huggingface.co"
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)


class Cancelled(Exception):
    """The transfer was asked to stop. Not an error: what came is kept. `why` is the asker's word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class CancelToken:
    """Whether a transfer may go on: asked before every write that outlives the process. Thread-safe."""

    def __init__(self, may_write: Callable[[], None] = lambda: None) -> None:
        self._may_write, self._lock = may_write, threading.Lock()
        self._why: str | None = None
        self._wake: list[Callable[[], None]] = []

    def stop(self, why: str) -> None:
        """Ask the transfer to stop; the first word counts."""
        with self._lock:
            self._why = self._why or why
            wake = list(self._wake)
        for call in wake:
            call()

    def on_stop(self, call: Callable[[], None]) -> None:
        """Have `call` called when the word comes, or now if it has come."""
        with self._lock:
            self._wake.append(call)
            come = self._why is not None
        if come:
            call()

    @property
    def stopped(self) -> bool:
        return self._why is not None

    def check(self) -> None:
        """Raise Stopped, or what `may_write` raises, if nothing may be written any more."""
        if self._why is not None:
            raise Cancelled(self._why)
        self._may_write()

    def check_owner(self) -> None:
        """Raise only what `may_write` raises: the last commit of a graceful stop is still the owner's to write."""
        self._may_write()
