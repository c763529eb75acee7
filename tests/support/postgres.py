"""A real PostgreSQL server for the tests: in a temporary folder, on loopback, at a free port."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

SKIP_REASON = "needs PostgreSQL's server (initdb and pg_ctl; Debian's package is `postgresql`)"
USER = "flowhub"
READY_S = 60
# No test cuts the machine's power, and waiting for the disk would take most of the time.
TEST_OPTIONS = "-c fsync=off -c shared_buffers=16MB -c max_connections=60"
# Ends the server and removes its folder when the pipe from this process closes, even after a SIGKILL.
CLEANUP = """
cat >/dev/null
[ -f "$1/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"
while [ -f "$1/data/postmaster.pid" ] && kill -0 "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null; do sleep 0.1; done
rm -rf "$1"
"""


def binary(name: str) -> str | None:
    """Return the path of a program of the server; Debian does not put them on the PATH."""
    found = shutil.which(name)
    return found or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]), None)


class Server:
    """A running cluster. As root it runs as another user, since initdb and the server refuse root."""

    def __init__(self, options: str = TEST_OPTIONS) -> None:
        self._options = options
        self._pg_ctl = binary("pg_ctl")
        if self._pg_ctl is None or binary("initdb") is None:
            pytest.skip(SKIP_REASON)
        self._user: dict[str, Any] = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._user:
            os.chown(self._folder, self._user["user"], self._user["group"])
        self.data = self._folder / "data"
        self._make_data()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._cleanup = subprocess.Popen(
            ["/bin/sh", "-c", CLEANUP, "sh", self._folder], stdin=subprocess.PIPE, start_new_session=True
        )
        self.start()

    def _make_data(self) -> None:
        options = ("-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run(binary("initdb") or "", "-D", self.data, *options)

    def _run(self, *command: str | Path) -> None:
        with (self._folder / "log").open("ab") as log:
            result = subprocess.run(command, stdout=log, stderr=log, cwd=self._folder, check=False, **self._user)
        if result.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{(self._folder / 'log').read_text()}")

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} {self._options}"
        )
        log = self._folder / "server.log"
        self._run(*(self._pg_ctl or "", "-D", self.data, "-w", "-t", str(READY_S), "-l", log, "-o", options, "start"))

    def stop(self, mode: str = "fast") -> None:
        """Stop it without waiting for clients; `immediate` is a crash."""
        self._run(*(self._pg_ctl or "", "-D", self.data, "-w", "-m", mode, "stop"))

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._run(*(self._pg_ctl or "", "-D", self.data, "-w", "-m", "immediate", "stop"))
        self._cleanup.communicate(timeout=READY_S)

    # Databases -------------------------------------------------------------------------------------------------------

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """Make a database without tables; return its name."""
        name = f"t_{uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, query: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def connections(self, database: str) -> list[str]:
        """Return the last statement of each connection to a database."""
        query = "SELECT query FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        return [row[0] for row in self.sql(query, database)]

    def terminate_all(self, database: str) -> int:
        """End every connection to a database, and wait until each has ended; return their number."""
        query = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
        return len(self.sql(query, database))


class Standby(Server):
    """A hot standby of another server, whose replication becomes synchronous."""

    def __init__(self, primary: Server) -> None:
        self._primary = primary
        super().__init__()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")

    def _make_data(self) -> None:
        source = ("-h", "127.0.0.1", "-p", str(self._primary.port), "-U", USER)
        self._run(*(binary("pg_basebackup") or "", *source, "-D", self.data, "-R", "-c", "fast", "--no-sync"))

    def promote(self) -> None:
        """Make it the primary."""
        self._run(*(self._pg_ctl or "", "-D", self.data, "-w", "-t", str(READY_S), "promote"))


def _unprivileged() -> dict[str, Any]:
    """Return arguments of subprocess.run for an unprivileged user if this process is root, else none."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    pytest.skip("needs a user other than root for PostgreSQL's server")


_server: Server | None = None
_spare: str | None = None


def server() -> Server:
    """Return the server of this test process; the first call starts it."""
    global _server
    if _server is None:
        _server = Server()
    return _server


def close_server() -> None:
    global _server, _spare
    if _server is not None:
        _server.close()
    _server = _spare = None


DELETE_ALL_ROWS = """
DO $$
DECLARE found record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR found IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', found.tablename);
    END LOOP;
    FOR found IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(format('%I', found.sequencename)::regclass, 1, false);
    END LOOP;
END $$
"""


@contextlib.contextmanager
def fresh_database() -> Iterator[str]:
    """Yield the URL of an empty database of this version's schema.

    One database is emptied after each test and used again: creating and dropping one takes longer than most tests.
    """
    global _spare
    name, _spare = _spare or _migrated(), None
    yield server().url(name)
    server().terminate_all(name)
    server().sql(DELETE_ALL_ROWS, database=name)
    _spare = name


def _migrated() -> str:
    from flowhub_jobs.database.engine import open_database

    name = server().create()
    open_database(server().url(name), lock_folder=Path()).dispose()
    return name
