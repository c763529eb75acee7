"""Backs up a SQLite database to one consistent file while workers run."""

import errno
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from flowhub_jobs.database.sqlite_connect_options import BUSY_TIMEOUT_S
from flowhub_jobs.errors import DatabaseUnusable, NameTaken, UsageInvalid
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.system import rename_new, sync_path
from flowhub_jobs.values.sqlite_url import sqlite_file

_PAGES_AT_ONCE = 256  # between two steps other processes may write; then SQLite copies those pages again


def database_file(url: str) -> Path:
    """Return the file of a SQLite URL. Raises UsageInvalid for another database."""
    path = sqlite_file(url)
    if path is None:
        raise UsageInvalid(
            "The database is on a PostgreSQL server.", hint="Use `pg_dump` for a backup, and `flowhub doctor` to check."
        )
    return path


def back_up(source: Path, target: Path) -> int:
    """Copy a database to `target`, a new file for its owner alone; return its bytes.

    The copy is checked, synced and gets its name last: `target` is whole, or not there. Raises NameTaken if it exists,
    DatabaseUnusable if the source cannot be read or the copy is damaged, DiskFull.
    """
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with disk_errors(target.parent):
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            _copy(source, scratch)
            sync_path(scratch)
            rename_new(scratch, target)
            sync_path(target.parent)
        except FileExistsError:
            raise NameTaken(f"{target} exists already; a backup replaces nothing.", hint="Name a new file.") from None
        finally:
            scratch.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: Path, scratch: Path) -> None:
    try:
        # Read-only, so that a missing file is not made.
        reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        with closing(reader), closing(sqlite3.connect(scratch)) as writer:
            reader.backup(writer, pages=_PAGES_AT_ONCE)
            writer.execute("PRAGMA journal_mode=DELETE").close()  # one file: no log has to be carried along
            if (result := writer.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise DatabaseUnusable(f"The database {source} is damaged, and so is its copy: {result}.")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch)) from error
        raise DatabaseUnusable(f"The database {source} cannot be copied: {error}.") from error
