"""The queue of wake-ups: Huey's storage in `queue.db`. A wake-up means "look for a job that may start".

The job itself is a row of `jobs`: Huey deletes a message when it hands it out, so a killed worker loses it. Wake-ups
that come twice, late, or not at all do no harm; the maintenance thread wakes the queue for every job that is due.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer

from flowhub_jobs.errors import DatabaseUnusable, FlowhubError
from flowhub_jobs.fs.atomic_write import make_private
from flowhub_jobs.fs.disk_errors import too_many_files
from flowhub_jobs.system import can_open_files

log = logging.getLogger("flowhub.queue")

BUSY_TIMEOUT_S = 30
_DAMAGED = (sqlite3.DatabaseError,)
_DAMAGE_CODES = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # ERROR: no such table


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey has no types
    """Messages as JSON. Huey's own serializer is pickle: whatever can write the queue could run code in the worker."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps({"id": data.id, "task": data.name}).encode()

    def _deserialize(self, data: bytes) -> Message:
        message = json.loads(bytes(data))
        return Message(id=str(message["id"]), name=str(message["task"]), retries=0, retry_delay=0, args=(), kwargs={})


class WakeupQueue:
    """`queue.db`, which is opened again when the file was replaced or damaged."""

    def __init__(self, path: Path, on_wakeup: Callable[[], None] = lambda: None) -> None:
        """`on_wakeup` is called in the consumer for each wake-up."""
        self._path = path
        self.huey = self._open(on_wakeup)
        self._identity = self._file_identity()
        self._checked: list[tuple[int, ...] | None] = []

    def _open(self, on_wakeup: Callable[[], None]) -> SqliteHuey:
        try:
            huey = self._make()
        except _DAMAGED as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            self._move_aside(error)
            huey = self._make()

        def wake_worker() -> None:
            on_wakeup()

        self._task = huey.task(name="bell")(wake_worker)
        return huey

    def _unusable(self, error: sqlite3.OperationalError) -> FlowhubError | sqlite3.OperationalError:
        """Return the error for a file that SQLite cannot open; other errors (locked, full) come back as they are."""
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            return error
        if not can_open_files():
            return too_many_files(f"The queue {self._path} cannot be opened")
        problem = "it is a folder" if self._path.is_dir() else str(error)
        hint = f"Remove {self._path.name}, or make it writable; flowhub creates it again, and no job is lost."
        return DatabaseUnusable(f"The queue {self._path} cannot be opened: {problem}.", hint=hint)

    def _make(self) -> SqliteHuey:
        with suppress(OSError):  # the message is SQLite's own
            make_private(self._path)
        return SqliteHuey(
            "flowhub", filename=str(self._path), results=False, serializer=JsonSerializer(), timeout=BUSY_TIMEOUT_S
        )

    def wake(self, times: int = 1, *, node: str | None = None) -> None:
        """Add wake-ups. One that cannot be added is no loss: the maintenance thread adds another."""
        with suppress(sqlite3.Error):
            for _ in range(times):
                self._task()

    def hears_changes(self) -> bool:
        """Return whether SQLite notifies of changes: it does not."""
        return False

    def waiting(self) -> int:
        """Return how many wake-ups no worker has taken yet."""
        return int(self.huey.storage.queue_size())

    def reopen_if_damaged(self) -> bool:
        """Open the file again if it was replaced, removed, emptied or damaged; return whether that was so."""
        is_replaced, stamps = self._file_identity() != self._identity, self._stamps()
        if not is_replaced and stamps == self._checked:
            return False  # no write since the last full check, which would be too slow for every second
        problem = self._problem(stamps)
        if not is_replaced and problem is None:
            return False
        if problem is not None and not isinstance(problem, sqlite3.OperationalError):
            self._move_aside(problem)
        self.huey.storage.close()
        self._initialize()
        self._identity = self._file_identity()
        log.warning("The queue %s was replaced or damaged; it was opened again.", self._path)
        return True

    def _problem(self, stamps: list[tuple[int, ...] | None]) -> sqlite3.DatabaseError | None:
        """Return the error of a new connection to the file: no tables, or damage; None if it is sound, or busy.

        A new connection, since the cache of an open one hides damage. And one of SQLite's own: to open and close the
        file otherwise would drop SQLite's locks on it ("How To Corrupt An SQLite Database File", section 2.2).
        """
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
                connection.execute("SELECT 1 FROM task LIMIT 1").fetchone()
                [report] = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return error if error.sqlite_errorcode & 0xFF in _DAMAGE_CODES else None  # else busy, or no disk
        if report != "ok":
            return sqlite3.DatabaseError(report)
        self._checked = stamps  # as they were before the check: a write during it is checked the next time
        return None

    def _initialize(self) -> None:
        storage: Any = self.huey.storage
        try:
            storage.initialize_schema()
        except _DAMAGED as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._move_aside(error)
            storage.close()
            storage.initialize_schema()

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _stamps(self) -> list[tuple[int, ...] | None]:
        """Return device, inode, size and time of the file and of its log: one of them changes with every write."""
        return [_stamp_of(f"{self._path}{suffix}") for suffix in ("", "-wal")]

    def _move_aside(self, error: Exception) -> None:
        log.warning("The queue %s is damaged (%s); it was moved aside.", self._path, error)
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").replace(f"{self._path}.damaged{suffix}")

    def stop_waiting(self) -> None:
        """Return at once: the consumer polls the file, and no slot waits here."""

    def close(self) -> None:
        self.huey.storage.close()


def _stamp_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
