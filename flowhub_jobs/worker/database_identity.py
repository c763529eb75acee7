"""Detects that the database under a running worker was replaced, restored from a backup, or migrated.

Each transaction notices by itself that the file was replaced (database/replaced_file_guard.py). This module notices a
backup that was copied over the file: the worker's own row is gone, or the schema is another.
"""

import logging
import sqlite3

from flowhub_jobs.database.engine import check_current, checkpoint
from flowhub_jobs.database.replaced_file_guard import guard_of
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.fail_unreadable_jobs import fail_unreadable
from flowhub_jobs.jobs.worker_rows import check_registered, is_registered_in

log = logging.getLogger("flowhub.worker")

EVERY_S = 5.0
# No file is copied over the server's; a row that cannot be decoded fails when it is claimed, too.
SHARED_EVERY_S, UNREADABLE_SHARED_EVERY_S = 15.0, 60.0


class DatabaseWatch:
    """One per worker. Raises DatabaseReplaced, DatabaseNewer or DatabaseDamaged: then this worker has to end."""

    def __init__(self, home: Home, worker: str) -> None:
        self._home, self._worker = home, worker
        self._polled_at = self._decoded_at = float("-inf")
        self._every_s = SHARED_EVERY_S if home.database.is_shared else EVERY_S
        self._decode_every_s = UNREADABLE_SHARED_EVERY_S if home.database.is_shared else EVERY_S

    def check(self) -> None:
        """Check the file, and every few seconds its content; to be called every second."""
        home, awake_s = self._home, self._home.clock.awake()
        guard = guard_of(home.engine)
        if guard is not None:
            guard.check_disk(self._is_known)
        if awake_s - self._polled_at < self._every_s:
            return
        self._polled_at = awake_s
        check_current(home.engine)
        check_registered(home.engine, self._worker)
        if awake_s - self._decoded_at >= self._decode_every_s:
            self._decoded_at = awake_s
            for job, error in fail_unreadable(home.engine, home.node, home.clock).items():
                log.warning("%s", error.message, extra={"job": job})
        checkpoint(home.engine)
        if guard is not None:
            guard.checkpointed(self._is_known)

    def _is_known(self, file: sqlite3.Connection) -> bool:
        return is_registered_in(file, self._worker)
