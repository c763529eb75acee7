"""The queue of wakeups: Huey's storage in `queue.db`. A bell says "look at the table", nothing else.

The table knows, the queue rings: Huey deletes a message as it hands it out, so nothing of a job may live in one. Bells
that come twice, late, or not at all do no harm; the maintenance thread rings for whatever is due.
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

from flowhub_jobs.errors import DatabaseUnusable
from flowhub_jobs.fs.atomic_write import make_private

log = logging.getLogger("flowhub.queue")

BUSY_TIMEOUT_S = 30
_DAMAGED = (sqlite3.DatabaseError,)
_SAYS_SO = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # ERROR: no such table


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey has no types
    """Messages as JSON. Huey's own serializer is pickle: who can write the queue could run code in the worker."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps({"id": data.id, "task": data.name}).encode()

    def _deserialize(self, data: bytes) -> Message:
        said = json.loads(bytes(data))
        return Message(id=str(said["id"]), name=str(said["task"]), retries=0, retry_delay=0, args=(), kwargs={})


class WakeupQueue:
    """`queue.db`, opened; and opened anew when the file is another one, or damaged."""

    def __init__(self, path: Path, answer: Callable[[], None] = lambda: None) -> None:
        """`answer` is called in the consumer for each bell."""
        self._path = path
        self.huey = self._open(answer)
        self._identity = self._file()
        self._found_whole: list[tuple[int, ...] | None] = []

    def _open(self, answer: Callable[[], None]) -> SqliteHuey:
        try:
            huey = self._make()
        except _DAMAGED as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            self._put_aside(error)
            huey = self._make()

        def bell() -> None:
            answer()

        self._task = huey.task(name="bell")(bell)
        return huey

    def _unusable(self, error: sqlite3.OperationalError) -> DatabaseUnusable | sqlite3.OperationalError:
        """Return the error for a file that SQLite cannot open; other errors (locked, full) come back as they are."""
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            return error
        why = "it is a folder" if self._path.is_dir() else str(error)
        hint = f"Remove {self._path.name}, or make it writable; flowhub creates it again, and no job is lost."
        return DatabaseUnusable(f"The queue {self._path} cannot be opened: {why}.", hint=hint)

    def _make(self) -> SqliteHuey:
        with suppress(OSError):  # SQLite says it in its own words
            make_private(self._path)
        return SqliteHuey(
            "flowhub", filename=str(self._path), results=False, serializer=JsonSerializer(), timeout=BUSY_TIMEOUT_S
        )

    def wake(self, times: int = 1) -> None:
        """Ring. A bell that cannot be rung is no loss: the maintenance thread of a worker rings by itself."""
        with suppress(sqlite3.Error):
            for _ in range(times):
                self._task()

    def waiting(self) -> int:
        """Return how many wakeups nobody has heard yet."""
        return int(self.huey.storage.queue_size())

    def reopen_if_damaged(self) -> bool:
        """Open the file anew if it was replaced, removed, emptied or damaged; return whether that was so."""
        moved, looks = self._file() != self._identity, self._looks()
        if not moved and looks == self._found_whole:
            return False  # nobody has written since it was read to its end: once a second that would be dear
        trouble = self._trouble(looks)
        if not moved and trouble is None:
            return False
        if trouble is not None and not isinstance(trouble, sqlite3.OperationalError):
            self._put_aside(trouble)
        self.huey.storage.close()
        self._initialize()
        self._identity = self._file()
        log.warning("The queue %s was replaced or damaged; it was opened again.", self._path)
        return True

    def _trouble(self, looks: list[tuple[int, ...] | None]) -> sqlite3.DatabaseError | None:
        """Return what a fresh reader of the file meets: no tables, or damage; None if all is well or nothing is known.

        A fresh one, since the cache of an open connection hides damage. And one of SQLite's: had we opened the file
        by ourselves, closing it would drop SQLite's own locks on it ("How To Corrupt An SQLite Database File", 2.2).
        """
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=0)) as fresh:
                fresh.execute("SELECT 1 FROM task LIMIT 1").fetchone()
                [said] = fresh.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            return error if error.sqlite_errorcode & 0xFF in _SAYS_SO else None  # else busy, or no disk
        if said != "ok":
            return sqlite3.DatabaseError(said)
        self._found_whole = looks  # as they were before it was read: who writes meanwhile is read the next time
        return None

    def _initialize(self) -> None:
        storage: Any = self.huey.storage
        try:
            storage.initialize_schema()
        except _DAMAGED as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._put_aside(error)
            storage.close()
            storage.initialize_schema()

    def _file(self) -> tuple[int, int] | None:
        try:
            there = os.stat(self._path)
        except OSError:
            return None
        return there.st_dev, there.st_ino

    def _looks(self) -> list[tuple[int, ...] | None]:
        """Return what changes when anybody writes: of the file and of its log, which file it is, its size, its time."""
        return [_looks_of(f"{self._path}{suffix}") for suffix in ("", "-wal")]

    def _put_aside(self, error: Exception) -> None:
        log.warning("The queue %s is damaged (%s); it is put aside.", self._path, error)
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").replace(f"{self._path}.damaged{suffix}")

    def stop_waiting(self) -> None:
        """Return at once: the consumer polls the file, and no slot waits here."""

    def close(self) -> None:
        self.huey.storage.close()


def _looks_of(path: str) -> tuple[int, ...] | None:
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns
