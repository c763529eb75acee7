"""The engine with the pragmas that durability needs; it migrates the schema on first use, and begins transactions.

What PostgreSQL alone needs is in database/postgresql.py.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database import postgresql
from flowhub_jobs.database.exception_types import Damaged, Newer, Replaced
from flowhub_jobs.database.newest_migration import HEAD, REVISION, is_newer, is_revision
from flowhub_jobs.database.replaced_file_guard import FileGuard
from flowhub_jobs.database.sqlite_connect_options import BUSY_TIMEOUT_S, as_text
from flowhub_jobs.errors import DatabaseUnusable, FlowhubError, HomeUnusable, SettingInvalid
from flowhub_jobs.fs.atomic_write import make_private, tighten
from flowhub_jobs.fs.disk_errors import too_many_files
from flowhub_jobs.system import can_open_files

_MIGRATION_PLACES = (
    Path(__file__).parents[1] / "_shipped" / "migrations",  # in the wheel
    Path(__file__).parents[2] / "migrations",  # in a checkout
)


def open_database(url: str, *, lock_folder: Path, node: str = "", pooled_sessions: bool = False) -> sa.Engine:
    """Return an engine on a database whose schema is this version's; make or migrate it where need be.

    The writers of one `node` exclude each other; `pooled_sessions` is PostgreSQL's (database/postgresql.py).
    Raises DatabaseNewer for the schema of a later flowhub, DatabaseUnusable for a file that is no database,
    SettingInvalid for a URL that names none, ExtraMissing without PostgreSQL's driver.
    """
    engine, guard = _engine(url, node, pooled_sessions), None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin)
        _keep_private(engine.url.database or "")
        guard = FileGuard(engine.url.database or "")
        guard.watch(engine)
    try:
        with translated(url):
            if _revision(engine) != HEAD:
                _migrate(engine, lock_folder)
    except BaseException:
        engine.dispose()
        raise
    if guard is not None:
        guard.name_errors(engine)
    return engine


def _keep_private(path: str) -> None:
    """Make SQLite's file for its owner alone, and so what SQLite makes next to it: rows hold signed addresses."""
    if not path or path.startswith((":", "file:")):
        return
    with suppress(OSError):  # SQLite reports it when it opens the file
        make_private(Path(path))
    for log in (f"{path}-wal", f"{path}-shm"):
        tighten(Path(log))


def check_current(engine: sa.Engine) -> None:
    """Raise DatabaseNewer or DatabaseReplaced if the schema is no longer the one that was opened.

    A newer flowhub may migrate it under a running worker, and a backup may be copied over it.
    """
    revision = _check_not_newer(engine)
    if revision != HEAD:
        raise Replaced(f"The database {engine.url.database} was replaced by one of another version.")


def check_whole(engine: sa.Engine) -> None:
    """Raise DatabaseDamaged if SQLite finds a page of its file malformed."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as tx:
            result = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if result != "ok":
            raise Damaged(f"The database {engine.url.database} is damaged: {result}.")


def rebuild_indices(engine: sa.Engine) -> None:
    """Rebuild the indices of SQLite's tables. Raises DatabaseDamaged where two rows violate a unique index.

    Where a backup was copied over an open file, the log may have brought a page of an index into it, and not the rows.
    """
    if engine.dialect.name == "sqlite":
        try:
            with writing(engine) as tx:
                tx.exec_driver_sql("REINDEX")
        except sa.exc.IntegrityError as error:
            raise Damaged(f"The database {engine.url.database} is damaged: {error.orig}.") from error


def checkpoint(engine: sa.Engine) -> None:
    """Write SQLite's log into the database file as far as no reader is in the way; it waits for none.

    Then the file alone is whole: if its log is removed, only the seconds since then are lost.
    """
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")


def _engine(url: str, node: str, pooled_sessions: bool) -> sa.Engine:
    if postgresql.is_postgresql(url):
        return postgresql.make_engine(url, node, pooled_sessions=pooled_sessions)
    try:
        # One connection a thread in use at once: claims, heartbeats and progress come from several.
        return sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=8, max_overflow=24)
    except (sa.exc.ArgumentError, ValueError, TypeError, ImportError) as error:
        why = "it is malformed" if isinstance(error, ValueError) else error  # a ValueError repeats a part of the URL
        raise SettingInvalid(
            f"FLOWHUB_DATABASE_URL names no database that flowhub can open: {why}.",
            hint="Write sqlite:////path/to/flowhub.db or postgresql://…, or leave it out.",
        ) from None  # the cause may hold the URL, and a password in it


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # _begin starts the transactions
    connection.text_factory = as_text
    _use_wal(connection)
    # FULL: a committed state survives power loss; NORMAL does not promise it.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _use_wal(connection: sqlite3.Connection) -> None:
    """WAL: readers never wait for the writer."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            # A new database: the switch turns a reader's lock into a writer's, which fails at once where two try it,
            # whatever the timeout says.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin(connection: sa.Connection) -> None:
    # In WAL mode a transaction that reads first and writes later fails at once with "database is locked" if another
    # one wrote in between: SQLite cannot let it wait, since its snapshot is out of date. BEGIN IMMEDIATE takes the
    # write lock first, so that a writer waits for its turn, up to the timeout, and reads what is current.
    options = connection.get_execution_options()
    writes = options.get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    if writes and not options.get("migrates", False):
        # A newer flowhub may have migrated it: nothing is written to a schema that this one does not know.
        revision = connection.exec_driver_sql(REVISION).scalar()
        if is_newer(revision):
            raise Newer(revision)


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection inside a transaction that writes; commit at the end, roll back on any error.

    Raises DatabaseNewer where a newer flowhub has migrated the schema.
    """
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection


@contextmanager
def writing_own_rows(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield the same for rows that only this writer may change, by conditional UPDATEs that decide for themselves.

    On PostgreSQL it and the node's other writers do not wait for each other. A crash of the server may undo the last
    half second of it: use it only for what the worker writes or determines again.
    """
    with engine.connect().execution_options(write=True, own_rows=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection inside a transaction that sees one state of the database."""
    # On SQLite every transaction does; PostgreSQL's default sees what others commit between two queries.
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with (
        _naming_newer_schema(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _naming_newer_schema(engine: sa.Engine) -> Iterator[None]:
    """Raise DatabaseNewer in the place of an error of PostgreSQL's that a newer schema explains."""
    try:
        yield
    except (sa.exc.ProgrammingError, sa.exc.NotSupportedError):  # no such column; another type in a prepared plan
        _check_not_newer(engine)  # by a connection of the pool: the failed one is back in it
        raise


@contextmanager
def querying(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection for one query, which sees one state of the database by itself.

    PostgreSQL then needs one message for it, and not three.
    """
    if engine.dialect.name != "postgresql":
        with reading(engine) as connection:
            yield connection
        return
    with _naming_newer_schema(engine), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Convert a driver's errors into FlowhubErrors."""
    try:
        yield
    except (sa.exc.DatabaseError, sa.exc.TimeoutError, sqlite3.DatabaseError) as error:
        cause = getattr(error, "orig", None) or error
        if postgresql.is_postgresql(url):
            raise postgresql.to_flowhub_error(postgresql.shown_place(url), cause) from error
        raise _to_flowhub_error(str(sa.make_url(url).database), cause) from error


_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_HINTS = {
    sqlite3.SQLITE_BUSY: "Another program holds it: end that program, then try again. Nothing is lost.",
    sqlite3.SQLITE_LOCKED: "Another program holds it: end that program, then try again. Nothing is lost.",
    sqlite3.SQLITE_FULL: "Free some space on its disk, then try again. Nothing is lost.",
    sqlite3.SQLITE_IOERR: "Look at its disk and the system's log, then try again.",
}
_START_AGAIN = "Restore a backup, or move the file away and start again: models that are in the store stay there."


def _to_flowhub_error(where: str, cause: BaseException) -> FlowhubError:
    """Return a driver's error as a FlowhubError with its remedy, chosen by SQLite's error code."""
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        return DatabaseUnusable(f"The database {where} does not answer: {cause}.")
    if code & 0xFF == sqlite3.SQLITE_CANTOPEN and not can_open_files():
        return too_many_files(f"The database {where} cannot be opened")
    if code & 0xFF in _NOT_WRITABLE:
        return HomeUnusable(f"The database {where} cannot be opened for writing: {cause}.")
    if code & 0xFF in _HINTS:
        return DatabaseUnusable(f"The database {where} does not answer: {cause}.", hint=_HINTS[code & 0xFF])
    if code & 0xFF == sqlite3.SQLITE_CORRUPT:
        return Damaged(f"The database {where} is damaged: {cause}.")
    return DatabaseUnusable(f"{where} is not a database of flowhub's: {cause}.", hint=_START_AGAIN)


def _revision(engine: sa.Engine) -> str | None:
    try:
        # On PostgreSQL without a transaction: psycopg forgets its prepared statements at each ROLLBACK.
        options = {"isolation_level": "AUTOCOMMIT"} if engine.dialect.name == "postgresql" else {}
        with engine.connect().execution_options(**options) as connection:
            return connection.exec_driver_sql(REVISION).scalar()
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        # Cheaper than to ask first whether the table is there: this is on the way of every command.
        if "no such table" in str(error.orig) or postgresql.is_missing_table(error.orig):
            return None
        raise


def _check_not_newer(engine: sa.Engine) -> str | None:
    """Return the revision. Raises DatabaseNewer if it is a later flowhub's."""
    revision = _revision(engine)
    if is_newer(revision):
        raise Newer(revision)
    return revision


def _migrate(engine: sa.Engine, lock_folder: Path) -> None:
    """Run the migrations, one process at a time: Alembic itself does not guard against two at once."""
    if engine.dialect.name == "postgresql":  # processes of several machines
        _upgrade(engine)
        return
    lock = os.open(lock_folder / "migrate.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _revision(engine) != HEAD:  # another process may have done it while this one waited for the lock
            _upgrade(engine)
    finally:
        os.close(lock)


def _upgrade(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with _migrating(engine) as connection:
        _check_known(engine, _revision_in(connection), revisions, has_jobs=sa.inspect(connection).has_table("jobs"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migrating(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection inside a transaction that may drop and rebuild tables.

    SQLite can alter little: Alembic copies a table and drops the old one. Where foreign keys are enforced, DROP TABLE
    deletes the rows that refer to it (sqlite.org/foreignkeys.html, section 5), and only outside of a transaction can
    that be turned off.
    """
    with engine.connect().execution_options(write=True, migrates=True) as connection:
        if engine.dialect.name == "sqlite":
            connection.detach()  # closed at the end, so that no other transaction runs without foreign keys
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                postgresql.lock_migrations(connection)
            before = _broken_references(connection)
            yield connection
            broken = _broken_references(connection)
            if len(broken) > len(before):
                table, parent = broken[-1][0], broken[-1][2]
                raise Damaged(
                    f"The migration would leave rows of {table} that refer to missing rows of {parent}; it was undone."
                )


def _broken_references(connection: sa.Connection) -> list[tuple[Any, ...]]:
    """Return SQLite's rows (table, rowid, parent, key) whose reference has no target; PostgreSQL checks this itself."""
    if connection.dialect.name != "sqlite":
        return []
    return [tuple(row) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]


def _check_known(engine: sa.Engine, current: str | None, revisions: set[str], *, has_jobs: bool) -> None:
    """Raise DatabaseNewer or DatabaseDamaged for a schema that the migrations do not know."""
    place = engine.url.database
    if current is None and has_jobs:
        raise Damaged(f"The database {place} does not say which version wrote it.")
    if current is not None and current not in revisions:
        if is_revision(current):
            raise Newer(current)
        raise Damaged(f"The database {place} does not say which version wrote it: its schema is {current!r}.")


def _revision_in(connection: sa.Connection) -> str | None:
    """Return the revision inside a transaction, which an error of PostgreSQL's would end."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql(REVISION).scalar()


def migrations_folder() -> Path:
    """Return the folder of the migrations: inside the wheel, or at the top of the checkout."""
    for place in _MIGRATION_PLACES:
        if (place / "env.py").is_file():
            return place
    raise DatabaseUnusable("flowhub's migrations are missing from this installation.", hint="Install flowhub again.")
