"""Detects, at the start of each transaction, that an open SQLite database was replaced, emptied or damaged.

A process with an open database keeps working in the file that it opened, even if another file has its path by then. Its
writes are lost, and its log (-wal) is applied to the new file ("How To Corrupt An SQLite Database File", sections 1.2
and 2.4). So every transaction begins with a check of the path. Once it fails, every later transaction of the process
fails.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from flowhub_jobs.database.exception_types import Damaged, Newer, Replaced
from flowhub_jobs.database.newest_migration import REVISION, is_newer

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

TRIES_MAX = 5  # checks, one a second, of a file that another program may still be writing

Answer = TypeVar("Answer")
Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a connection has open; None for one that does not exist."""

    database: Identity | None
    log: Identity | None
    index: Identity | None  # of the log, in shared memory
    size: int = field(default=0, compare=False)  # bytes of the database
    written_ns: int = field(default=0, compare=False)  # when it was last written to


class FileGuard:
    """Guards one database file for one engine. Thread-safe."""

    def __init__(self, path: str) -> None:
        self._path, self._lock = path, threading.Lock()
        self._lost: Replaced | Damaged | None = None
        # The file's time at flowhub's last checkpoint; a later time means a write by another program.
        self._written_ns: int | None = None
        self._tries = 0

    def watch(self, engine: sa.Engine) -> None:
        """Check the path at every checkout, from the first connection on."""
        _guards[engine] = self
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "checkout", self._checked_out)

    def name_errors(self, engine: sa.Engine) -> None:
        """Raise errors that no retry can mend as Damaged or Replaced. Called once the schema exists."""
        sa.event.listen(engine, "handle_error", self._failed)

    def _connected(self, connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        files = self._files()
        # A file system whose inode numbers change at each look cannot tell a replaced file.
        record.info["files"] = files if files == self._files() else Files(None, None, None)

    def _checked_out(self, connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
        if self._lost is None:
            problem = self._problem(record.info["files"])
            if problem is None:
                return
            self._record_loss(connection, record.info["files"], Replaced(f"The database {self._path} {problem}."))
        assert self._lost is not None
        raise self._lost.fresh_copy()

    def _failed(self, context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            self._lost = self._lost or Damaged(f"The database {self._path} is damaged: {error}.")
        elif code == sqlite3.SQLITE_ERROR and str(error).startswith("no such") and (newer := self._newer()):
            raise newer from error
        elif code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
            self._lost = self._lost or Replaced(f"The database {self._path} was replaced: {error}.")
        elif code == sqlite3.SQLITE_ERROR and str(error).startswith("no such column"):
            # Not Replaced: a retry on the same file would fail in the same way.
            text = f"The tables in {self._path} are not those of its schema version: {error}."
            self._lost = self._lost or Damaged(text)
        elif code == sqlite3.SQLITE_CANTOPEN and self._files().database is None:
            # No connection was left in the pool: a new one fails here, before the check at its checkout.
            self._lost = self._lost or Replaced(f"The database {self._path} was removed while it was open.")
        else:
            return
        raise self._lost.fresh_copy() from error

    def _newer(self) -> Newer | None:
        """Return the error of a schema that a newer flowhub has migrated; None for this version's."""
        revision = None
        with suppress(sqlite3.Error):
            revision = self._query_afresh("mode=ro", lambda file: file.execute(REVISION).fetchone()[0])
        return Newer(revision) if is_newer(revision) else None

    def _problem(self, opened: Files) -> str | None:
        """Return what happened to the files that a connection opened; None if they are still in place."""
        now = self._files()
        if opened.database is None:  # a file system without lasting inode numbers
            return None
        if now.database is None:
            return "was removed while it was open"
        if now.database != opened.database:
            return "was replaced by another file while it was open"
        if now.size == 0:
            return "was emptied while it was open"
        if opened.log is not None and now.log != opened.log:
            return f"lost its log ({os.path.basename(self._path)}-wal) while it was open"
        return None

    def _files(self) -> Files:
        database, log_, index = (_stat(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm"))
        size, written = (database.st_size, database.st_mtime_ns) if database else (0, 0)
        return Files(_identity(database), _identity(log_), _identity(index), size, written)

    def _record_loss(self, connection: sqlite3.Connection, opened: Files, error: Replaced) -> None:
        """Remember what happened. Bring the log into the file that it belongs to, and keep it from any other."""
        with self._lock:
            if self._lost is not None:
                return
            now = self._files()
            if now.database == opened.database and now.size == 0:
                self._drop_log()
            else:
                with suppress(sqlite3.Error):  # into the file that is open, wherever it was moved
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
                self._remove(opened, now)
            self._lost = error

    def check_disk(self, knows: Callable[[sqlite3.Connection], bool]) -> None:
        """Look at the file if another wrote to it. Raises Replaced, Damaged.

        A backup that is copied over the file changes it under its log. `knows` returns whether a connection to the file
        without its log has what `checkpoint` wrote into it.
        """
        written = self._files().written_ns
        if self._written_ns is None or written == self._written_ns:
            return
        problem: Replaced | Damaged | None = None
        try:
            if not self._on_disk(knows) and not self._on_disk(knows):  # twice: another may be at a checkpoint
                problem = Replaced(f"The database {self._path} was overwritten while it was open, as by a backup.")
            elif (report := self._quick_check()) != "ok":
                problem = Damaged(f"The database {self._path} is damaged: {report}.")
        except sqlite3.DatabaseError as error:
            self._tries += 1
            if self._tries < TRIES_MAX or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return  # while it is being copied
            problem = Damaged(f"The database {self._path} is damaged: {error}.")
        self._written_ns, self._tries = written, 0
        if problem is not None:
            self._lose_overwritten(problem)

    def checkpointed(self, knows: Callable[[sqlite3.Connection], bool]) -> None:
        """Remember that all writes to the file so far were made by flowhub."""
        with suppress(sqlite3.Error):
            if self._written_ns is not None or self._on_disk(knows):
                self._written_ns = self._files().written_ns

    def _lose_overwritten(self, error: Replaced | Damaged) -> None:
        with self._lock:
            if self._lost is None:
                if isinstance(error, Replaced):
                    self._drop_log()
                self._lost = error
        raise self._lost.fresh_copy()

    def _drop_log(self) -> None:
        """Drop the log of the file's former content: the last connection that closes would write it into the file."""
        with suppress(OSError):
            os.truncate(f"{self._path}-wal", 0)
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self._path}{suffix}")

    def _on_disk(self, knows: Callable[[sqlite3.Connection], bool]) -> bool:
        return self._query_afresh("mode=ro&immutable=1", knows)  # immutable: without the log

    def _quick_check(self) -> str:
        # A fresh connection: the cache of an open one hides damage.
        return self._query_afresh("mode=rw", lambda fresh: str(fresh.execute("PRAGMA quick_check(1)").fetchone()[0]))

    def _query_afresh(self, mode: str, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        # Through SQLite: to open and close the file otherwise would drop SQLite's locks on it (section 2.2).
        uri = f"{Path(self._path).absolute().as_uri()}?{mode}"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as fresh:
            return question(fresh)

    def _remove(self, opened: Files, now: Files) -> None:
        """Remove the log and its index if they belong to the removed file, not to the one that has its path now."""
        for suffix, was, is_now in (("-wal", opened.log, now.log), ("-shm", opened.index, now.index)):
            if was is not None and was == is_now:
                with suppress(OSError):
                    os.unlink(f"{self._path}{suffix}")


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _identity(status: os.stat_result | None) -> Identity | None:
    return (status.st_dev, status.st_ino) if status else None


_guards: WeakKeyDictionary[sa.Engine, FileGuard] = WeakKeyDictionary()


def guard_of(engine: sa.Engine) -> FileGuard | None:
    """Return the guard of an engine's file; None where the database is no file."""
    return _guards.get(engine)
