"""Records the bytes that this worker received, and limits its transfers to the rest of the node's cap."""

import threading

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.wire_bytes import add_received
from flowhub_jobs.transfer.wire_meter import WireMeter
from flowhub_jobs.worker.gate_cache import GateCache

WRITE_EVERY_S = 0.5
WITHOUT_CAP_S, WITHOUT_CAP_SHARED_S = 1.0, 5.0  # in a database of this machine; in one that machines share


class CapWatch:
    """Between two writes, workers of one node do not see what the others received. Thread-safe.

    So the cap may be exceeded by what they receive in half a second, and by what a socket holds unread.
    """

    def __init__(self, home: Home, meter: WireMeter, gates: GateCache) -> None:
        self._home, self._meter, self._gates = home, meter, gates
        self._lock, self._written_at = threading.Lock(), float("-inf")
        self._without_cap_s = WITHOUT_CAP_SHARED_S if home.database.is_shared else WITHOUT_CAP_S

    def update(self, *, immediately: bool = False) -> None:
        """Write the count and read the rest of the cap: at most twice a second, less often without, or `at_once`."""
        awake_s = self._home.clock.awake()
        with self._lock:
            capped = self._gates.has_cap()
            every_s = WRITE_EVERY_S if capped else self._without_cap_s
            if immediately or self._meter.exhausted or awake_s - self._written_at >= every_s:
                self._written_at = awake_s
                self._write()
                use = self._home.controls.cap() if capped else None
                self._meter.allow(None if use is None else use.left)

    def reached(self) -> None:
        """Write the count, and have the gates say at once that the cap is reached, before a job is claimed again."""
        self.update(immediately=True)
        self._gates.refresh()

    def _write(self) -> None:
        received = self._meter.take()
        if not received:
            return
        try:
            add_received(self._home.engine, self._home.node, self._home.clock, received)
        except BaseException:
            self._meter.give_back(received)
            raise
