"""Detects, without a query, that another connection or process has written to the database."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path


class ChangeSignal:
    """For one thread at a time. For a database that is not a SQLite file, each call reports a possible change."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, int, int] | None = None

    def has_changed(self) -> bool:
        """Return whether anything was committed since the last call; True at the first call.

        It costs microseconds: `PRAGMA data_version` reads a counter in the shared memory of the write-ahead log.
        """
        if self._path is None:
            return True
        try:
            now = self._state(self._path)
        except (OSError, sqlite3.Error):  # removed, or about to be replaced: the reader's own query tells
            self.close()
            return True
        changed, self._seen = now != self._seen, now
        return changed

    def _state(self, path: Path) -> tuple[int, int, int]:
        status = os.stat(path)
        if self._seen is not None and self._seen[:2] != (status.st_dev, status.st_ino):
            self.close()  # another file has its name: the open connection would read the old one for ever
        if self._connection is None:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False)
        [version] = self._connection.execute("PRAGMA data_version").fetchone()
        return status.st_dev, status.st_ino, version

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = self._seen = None
