"""A home's database, opened when it is first used: a verb that only reads does not import SQLAlchemy.

SQLAlchemy's import takes more than half of the time that such a verb has. So its queries are plain SQL, which every
database knows. In a SQLite file of this version the `sqlite3` module runs them; else the engine does, as in a file that
is still to be migrated.
"""

import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flowhub_jobs.database.newest_migration import HEAD, REVISION
from flowhub_jobs.database.sqlite_connect_options import BUSY_TIMEOUT_S, as_text
from flowhub_jobs.values.sqlite_url import sqlite_file

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flowhub_jobs.database.change_detector import ChangeSignal

Row = Mapping[str, Any]


POSTGRESQL_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


class Snapshot(Protocol):
    """One state of the database."""

    now_sql: str
    """The time that machines compare, in microseconds: PostgreSQL's clock; with SQLite the query's value `now`."""

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Return the rows of a query with `:name` for its values; a list is for `IN :name`, and is not empty.

        The values are as they are stored: database/decode_row_values.py reads JSON and booleans.
        """
        ...


class Database:
    """Thread-safe."""

    def __init__(self, url: str, lock_folder: Path, node: str = "", *, pooled_sessions: bool = False) -> None:
        self._url, self._lock_folder, self._node, self._pooled_sessions = url, lock_folder, node, pooled_sessions
        self._engine: sa.Engine | None = None
        self._file: sqlite3.Connection | None = None
        self._reads, self._lock = 0, threading.RLock()

    @classmethod
    def of(cls, engine: "sa.Engine") -> "Database":
        """Return the database of an engine that is open already."""
        database = cls(str(engine.url), Path())
        database._engine = engine
        return database

    @classmethod
    def opened(cls, url: str, *, lock_folder: Path, node: str = "", pooled_sessions: bool = False) -> "Database":
        """Return the database, made or migrated where need be. The arguments and errors are `open_database`'s."""
        database = cls(url, lock_folder, node, pooled_sessions=pooled_sessions)
        database._file = _current_file(url)
        if database._file is None:
            _ = database.engine
        return database

    @property
    def engine(self) -> "sa.Engine":
        """SQLAlchemy's engine, made at first use."""
        with self._lock:
            if self._engine is None:
                from flowhub_jobs.database.engine import open_database

                self._engine = open_database(
                    self._url, lock_folder=self._lock_folder, node=self._node, pooled_sessions=self._pooled_sessions
                )
            self._close_file()
            return self._engine

    @property
    def is_shared(self) -> bool:
        """Return whether several machines may share it: whether it is in PostgreSQL."""
        return self._url.startswith("postgres")

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """Yield one state of the database."""
        if self._engine is None and self._file is not None:
            with self._reading_file(self._file) as snapshot:
                yield snapshot
        else:
            from flowhub_jobs.database.engine import reading

            with reading(self.engine) as tx:
                yield snapshot_of(tx)

    def query(self, sql: str, **values: Any) -> list[Row]:
        """Return the rows of one query, as `Snapshot.rows` does. It costs PostgreSQL less than a snapshot."""
        if self._engine is None and self._file is not None:
            with self._reading_file(self._file) as snapshot:
                return snapshot.rows(sql, **values)
        from flowhub_jobs.database.engine import querying

        with querying(self.engine) as tx:
            return snapshot_of(tx).rows(sql, **values)

    @contextmanager
    def _reading_file(self, file: sqlite3.Connection) -> Iterator[Snapshot]:
        with self._lock:
            self._reads += 1
            file.execute("SAVEPOINT read")  # a nested call sees the same state
            try:
                yield _FileSnapshot(file, self._url)
            finally:
                file.execute("RELEASE read")
                self._reads -= 1

    def watch_file(self) -> None:
        """Read with the engine from now on, which notices if its file is replaced: for a process that reads more than
        once."""
        _ = self.engine

    def change_signal(self) -> "ChangeSignal":
        """Return a detector of writes by other connections."""
        from flowhub_jobs.database.change_detector import ChangeSignal

        return ChangeSignal(_path_of(self._url))

    def _close_file(self) -> None:
        """Close the file if the engine has it open: only the engine notices that it was replaced."""
        if self._file is not None and not self._reads:
            self._file.close()
            self._file = None

    def close(self) -> None:
        with self._lock:
            self._close_file()
            if self._engine is not None:
                self._engine.dispose()


class _FileSnapshot:
    now_sql = ":now"

    def __init__(self, connection: sqlite3.Connection, url: str) -> None:
        self._connection, self._url = connection, url

    def rows(self, sql: str, **values: Any) -> list[Row]:
        sql, values = _with_lists(sql, values)
        try:
            cursor = self._connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.DatabaseError:
            from flowhub_jobs.database.engine import translated

            with translated(self._url):
                raise


class _EngineSnapshot:
    def __init__(self, tx: "sa.Connection") -> None:
        self._tx = tx
        self.now_sql = POSTGRESQL_NOW if tx.dialect.name == "postgresql" else ":now"

    def rows(self, sql: str, **values: Any) -> list[Row]:
        import sqlalchemy as sa

        sql, values = _with_lists(sql, values)
        return [dict(row) for row in self._tx.execute(sa.text(sql), values).mappings()]


def snapshot_of(tx: "sa.Connection") -> Snapshot:
    """Return a snapshot that reads through a transaction of the engine."""
    return _EngineSnapshot(tx)


def _with_lists(sql: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a query with a parameter for each value of its lists."""
    single: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list):
            each = {f"{name}_{number}": one for number, one in enumerate(value)}
            sql = re.sub(rf":{name}\b", f"({', '.join(f':{one}' for one in each)})", sql)
            single |= each
        else:
            single[name] = value
    return sql, single


def _path_of(url: str) -> Path | None:
    """Return the file of a plain SQLite URL; None for any other database, and for a URL with options."""
    return None if "?" in url else sqlite_file(url)


def _current_file(url: str) -> sqlite3.Connection | None:
    """Return a connection to a SQLite file of this version's schema; None for any other, which the engine opens."""
    path = _path_of(url)
    if path is None or not path.is_file():
        return None
    connection = None
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = as_text
        if connection.execute(REVISION).fetchall() == [(HEAD,)]:
            return connection
    except sqlite3.Error:
        pass  # the engine fails in the same way, with a message
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()
    return None
