"""Backs up SQLite's database, and checks it as a whole. For PostgreSQL, its own tools do so."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowhub_jobs.database.make_backup import back_up, database_file
from flowhub_jobs.database.newest_migration import REVISION
from flowhub_jobs.database.sqlite_connect_options import BUSY_TIMEOUT_S
from flowhub_jobs.errors import DatabaseDamaged, DatabaseUnusable
from flowhub_jobs.home import opened
from flowhub_jobs.settings import Settings


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """A database that was read whole. `schema` is its migration."""

    path: Path
    bytes: int
    schema: str
    jobs: int
    installed: int


def back_up_database(settings: Settings, target: Path) -> DatabaseFile:
    """Copy the database to a new file; return what is in the copy. The errors are `back_up`'s."""
    source = database_file(settings.database_url)
    with opened(settings):  # made, or brought up to date
        back_up(source, target)
    return _read(target)


def check_database(settings: Settings) -> DatabaseFile:
    """Read the whole database. Raises DatabaseDamaged, DatabaseUnusable, UsageInvalid for a server's."""
    path = database_file(settings.database_url)
    with opened(settings):
        return _read(path, every_page=True)


def _read(path: Path, *, every_page: bool = False) -> DatabaseFile:
    """Check the references of a database, and `every_page` of one that was not checked when it was copied."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as file:
            if every_page and (result := _scalar(file, "PRAGMA integrity_check(1)")) != "ok":
                raise DatabaseDamaged(f"The database {path} is damaged: {result}.")
            if (row := file.execute("PRAGMA foreign_key_check").fetchone()) is not None:
                raise DatabaseDamaged(f"The database {path} is damaged: a row of {row[0]} refers to one that is gone.")
            schema = _scalar(file, REVISION)
            jobs = _scalar(file, "SELECT count(*) FROM jobs")
            installed = _scalar(file, "SELECT count(*) FROM artifacts")
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(f"The database {path} cannot be read: {error}.") from error
    return DatabaseFile(path, path.stat().st_size, schema, jobs, installed)


def _scalar(file: sqlite3.Connection, query: str) -> Any:
    return file.execute(query).fetchone()[0]
