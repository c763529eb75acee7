"""Notices that a host which took no connection takes them again, before its next try would be due.

The tries of a long outage are minutes apart, so that the host is left alone. A connection that is made and closed costs
it next to nothing: when one succeeds, a job tries the host at once.
"""

import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.happy_eyeballs import open_connection
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.worker.witnesses import connection_place

EVERY_S = 3.0
CONNECT_S = 3.0
SOON_US = 1_000_000  # a try that is due by then is left to itself


class HostReturn:
    """One a worker. Its connections are made in a thread, one host after the other."""

    def __init__(self, home: Home, table: HostWaits) -> None:
        self._home, self._table = home, table
        self._looked_at = float("-inf")
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Look, if it is time and no look is under way. This returns at once."""
        now = time.monotonic()
        if now - self._looked_at < EVERY_S or (self._thread is not None and self._thread.is_alive()):
            return
        self._looked_at = now
        due = self._home.clock.now_us() + SOON_US
        waits = [wait for wait in self._table.held().waits.values() if _refused_all(wait) and wait.until > due]
        if waits:
            self._thread = threading.Thread(target=self._ask, args=(waits,), name="host-return", daemon=True)
            self._thread.start()

    def _ask(self, waits: list[HostWait]) -> None:
        for wait in waits:
            scheme = wait.origin.partition("://")[0]
            place = connection_place(f"{scheme}://{wait.host}" if wait.host else wait.origin)
            try:
                if place is not None:
                    open_connection(*place, CONNECT_S).close()
                    self._table.try_now(wait.origin)
            except (OSError, SQLAlchemyError):  # still away; or the next look tells the table
                continue


def _refused_all(wait: HostWait) -> bool:
    """Return whether a host took no connection: of one that answers with an error, a connection says nothing."""
    return wait.code == NetworkDown.code
