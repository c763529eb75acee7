"""The database of a run, read from outside: SQLite's files, or a PostgreSQL server for this run."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from support.postgres import Server

from flowhub_jobs.database.tables import metadata

# As in the tests, but with more connections: a crash of the server loses no committed row.
SERVER_OPTIONS = "-c fsync=off -c shared_buffers=32MB -c max_connections={connections}"
CONNECTIONS_A_WORKER, OWN_CONNECTIONS = 3, 20
INDEXES = "SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
INDEXES += "WHERE relnamespace = 'public'::regnamespace AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')"


class RunDatabase(Protocol):
    """`url` is the value of FLOWHUB_DATABASE_URL, or None."""

    url: str | None

    def rows(self, query: str) -> list[Any]:
        """Return the rows of a query."""
        ...

    def faults(self) -> Iterator[str]:
        """Yield errors in its files and in the references between rows."""
        ...


class SqliteFiles:
    """The files in the home."""

    url = None

    def __init__(self, home: Path) -> None:
        self._home = home

    def rows(self, query: str) -> list[Any]:
        uri = f"file:{self._home / 'flowhub.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
            return database.execute(query).fetchall()

    def faults(self) -> Iterator[str]:
        for name in ("flowhub.db", "queue.db"):
            with closing(sqlite3.connect(self._home / name)) as database:
                for query in ("PRAGMA integrity_check", "PRAGMA foreign_key_check"):
                    rows = database.execute(query).fetchall()
                    if rows not in ([], [("ok",)]):
                        yield f"{name}: {query}: {rows[:3]}"


class PostgresqlServer:
    """A database of a server that can be restarted."""

    def __init__(self, server: Server) -> None:
        self._server, self._name = server, server.create()
        self.url: str | None = server.url(self._name)

    def rows(self, query: str) -> list[Any]:
        return self._server.sql(query, database=self._name)

    def restart(self, mode: str) -> None:
        """Restart the server, as `pg_ctl -m MODE` does: `fast` ends all sessions, `immediate` is a crash."""
        self._server.restart(mode)

    def faults(self) -> Iterator[str]:
        for table in metadata.tables.values():
            for key in table.foreign_keys:
                child, parent = key.parent.name, key.column
                lost = (
                    f'SELECT count(*) FROM "{table.name}" c LEFT JOIN "{parent.table.name}" p '
                    f'ON c."{child}" = p."{parent.name}" WHERE c."{child}" IS NOT NULL AND p."{parent.name}" IS NULL'
                )
                if (count := self.rows(lost)[0][0]) > 0:
                    yield f"{count} rows of {table.name} name no row of {parent.table.name}"
        try:
            self.rows("CREATE EXTENSION IF NOT EXISTS amcheck")
            self.rows(INDEXES)
        except psycopg.Error as error:
            yield f"an index is not as its table: {error}"


@contextmanager
def run_database(kind: str, home: Path, workers: int) -> Iterator[RunDatabase]:
    """Yield the database of a home: `sqlite`, or `postgresql` with a server that ends with the block."""
    if kind == "sqlite":
        yield SqliteFiles(home)
        return
    connections = workers * CONNECTIONS_A_WORKER + OWN_CONNECTIONS
    with closing(Server(SERVER_OPTIONS.format(connections=connections))) as server:
        yield PostgresqlServer(server)
