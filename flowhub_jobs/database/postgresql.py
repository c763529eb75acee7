"""PostgreSQL: the engine, its few connections, and the lock that keeps the writers of one node apart.

A URL is libpq's (`postgresql://user@host1,host2/name?target_session_attrs=read-write`), and libpq reads all of it;
`postgresql+psycopg://` is the same. psycopg is imported here alone, and only when a URL asks for it.
"""

import hashlib
import re
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from flowhub_jobs.database.exception_types import Newer
from flowhub_jobs.database.newest_migration import REVISION, is_newer
from flowhub_jobs.errors import DatabaseUnusable, ExtraMissing, FlowhubError, SettingInvalid

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql+psycopg://", "postgresql://", "postgres://")
# Two for the threads of a process, which hold one for milliseconds; a worker's listener has a third one.
POOL_SIZE = 2
POOL_TIMEOUT_S = 30
LOCK_TIMEOUT_S = 30
# A migration that waits makes every write wait behind it: it gives up long before leases end.
MIGRATION_LOCK_TIMEOUT_S = 10
# A process that was stopped inside a transaction holds its node's lock: the server ends its session after this time.
IDLE_TIMEOUT_S = 20
# A connection that was idle for this long is tested with a message before use.
PING_AFTER_S = 5.0
# A worker runs the same few statements again and again. Each is planned once on a connection, for all values: the
# default is ten plans, which cost more than the statements. The indices of the live jobs serve such a plan only where
# the query writes out the states that they are made for (is_live, is_queued, is_running).
PREPARE_AFTER, PREPARED_MAX = 0, 200
# Such a plan holds for as long as the connection: one that was made while a table was small must not read all of it.
# Where it has no other way, the planner takes the query for an expensive one, and would compile it.
_PLANNER = " || ".join(
    f"set_config('{name}', '{value}', false)"
    for name, value in (("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off"))
)
_USED_AT = "used_at"  # in the pool's record of a connection, on the monotonic clock
# Where the URL does not set them: a server that vanishes silently is noticed within half a minute.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "flowhub",
}

_TIMEOUTS = (
    f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_S}s', true), "
    f"set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT_S}s', true), "
)
# For rows that a crash of the server may set back by a moment: the commit does not wait for the server's disk.
_NO_WAIT_FOR_DISK = "set_config('synchronous_commit', 'off', true)"


def is_postgresql(url: str) -> bool:
    return url.startswith(SCHEMES)


def make_engine(url: str, node: str, *, pooled_sessions: bool = False) -> sa.Engine:
    """Return an engine whose URL has no password. Raises ExtraMissing, SettingInvalid.

    A transaction that writes holds the lock of `node` to its end, as it holds SQLite's: it sees what all before it
    wrote, and two never decide on the same rows. `pooled_sessions`: a pooler may give each transaction another session.
    """
    settings = connection_settings(url)
    port = settings.get("port")
    shown_url = sa.URL.create(
        "postgresql+psycopg",
        username=settings.get("user"),
        host=settings.get("host"),
        port=int(port) if port and port.isdigit() else None,
        database=settings.get("dbname"),
    )
    engine = sa.create_engine(
        shown_url,
        creator=connector(url, pooled_sessions=pooled_sessions),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_use_lifo=True,  # most statements then meet the connection that has planned them
    )
    sa.event.listen(engine, "checkout", _check_connection)
    # The read of the revision locks its table, and so keeps a migration out until the transaction ends.
    begin_own = f"{_TIMEOUTS} {_NO_WAIT_FOR_DISK}, ({REVISION})"
    begin = f"{_TIMEOUTS} pg_advisory_xact_lock({lock_key(f'node {node}')}), ({REVISION})"

    def lock_node(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("write", False) and not options.get("migrates", False):
            own_rows_only = options.get("own_rows", False)
            revision = connection.exec_driver_sql(begin_own if own_rows_only else begin).one()[-1]
            if is_newer(revision):  # nothing is written to a schema that this version does not know
                raise Newer(revision)

    sa.event.listen(engine, "begin", lock_node)
    sa.event.listen(engine, "handle_error", _leave_read_only_server)
    return engine


def _leave_read_only_server(context: sa.engine.ExceptionContext) -> None:
    """Close the pool's connections to a server that takes no writes: another of several hosts may take them."""
    if sqlstate(context.original_exception) == _READ_ONLY:
        context.is_disconnect = True


def _check_connection(connection: "psycopg.Connection[Any]", record: sa.pool.ConnectionPoolEntry, _: object) -> None:
    """Have the pool replace a connection that the server has ended.

    A server that ends one announces it, which costs no message to detect. One that vanished silently is only detected
    by a message, which a recently used connection does not get.
    """
    now = time.monotonic()
    used_at = record.info.get(_USED_AT, now)
    record.info[_USED_AT] = now
    if now - used_at < PING_AFTER_S and not _has_input(connection):
        return
    try:
        connection.autocommit = True  # no transaction for it
        connection.execute("SELECT 1")
        connection.autocommit = False
    except Exception as error:  # psycopg's: it is imported only by those who connect
        raise sa.exc.InvalidatePoolError from error


def _has_input(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the server has sent something since the last answer, or has closed the connection."""
    if connection.closed:
        return True
    sockets = select.poll()
    sockets.register(connection.fileno(), select.POLLIN)
    return bool(sockets.poll(0))


def connection_settings(url: str) -> dict[str, Any]:
    """Return a URL's settings by libpq's names. Raises ExtraMissing without psycopg, SettingInvalid."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ExtraMissing(
            "FLOWHUB_DATABASE_URL names a PostgreSQL database, and its driver, psycopg 3.3 or newer, is not installed.",
            hint="Install it: pip install 'flowhub[postgres]'.",
        ) from error
    scheme = next(scheme for scheme in SCHEMES if url.startswith(scheme))
    try:
        return _DEFAULTS | conninfo_to_dict("postgresql://" + url.removeprefix(scheme))
    except ProgrammingError:
        raise SettingInvalid(
            "FLOWHUB_DATABASE_URL names no database that flowhub can open: it is malformed.",
            hint="Write postgresql://user:password@host:5432/name; a special character in the password as %40.",
        ) from None  # the cause repeats a part of the URL, and it may be the password


def connector(url: str, *, pooled_sessions: bool = False) -> "Callable[[], psycopg.Connection[Any]]":
    """Return a function that opens a connection. Behind a pooler it prepares no statements.

    A pooler in transaction mode may run the next transaction in a session that does not know them.
    """
    settings = connection_settings(url)

    def connect() -> "psycopg.Connection[Any]":
        import psycopg

        connection = psycopg.connect(**settings, prepare_threshold=None)
        connection.prepared_max = PREPARED_MAX
        try:
            if not pooled_sessions and not is_pooled(connection):
                connection.prepare_threshold = PREPARE_AFTER
        except BaseException:  # the server may end it at once
            connection.close()
            raise
        return connection

    return connect


def is_pooled(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether there is a pooler in between: PgBouncer reports a process number of its own.

    Without a pooler, the session plans its statements once from now on.
    """
    connection.autocommit = True
    same_process = f"pg_backend_pid() = {connection.info.backend_pid}"
    row = connection.execute(f"SELECT {same_process}, CASE WHEN {same_process} THEN {_PLANNER} END".encode()).fetchone()
    connection.autocommit = False
    return row is not None and not row[0]


def lock_key(name: str) -> int:
    """Return the number of an advisory lock: 64 bits, signed."""
    return int.from_bytes(hashlib.sha256(f"flowhub {name}".encode()).digest()[:8], "big", signed=True)


def lock_migrations(tx: sa.Connection) -> None:
    """Wait until no other process migrates or writes, and keep others from both to the end of the transaction."""
    tx.exec_driver_sql(f"{_TIMEOUTS} pg_advisory_xact_lock({lock_key('migrations')})")
    if sa.inspect(tx).has_table("alembic_version"):
        tx.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT_S}s'")
        tx.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")


def shown_place(url: str) -> str:
    """Return where a database is, for a message: without user and password."""
    settings = connection_settings(url)
    hosts, ports = str(settings.get("host", "localhost")).split(","), str(settings.get("port") or "").split(",")
    each = ports * len(hosts) if len(ports) == 1 else ports  # a single port applies to all hosts
    places = [f"{host}:{port}" if port else host for host, port in zip(hosts, each, strict=False)]
    return f"postgresql://{','.join(places)}/{settings.get('dbname', '')}"


# Errors --------------------------------------------------------------------------------------------------------------

_NO_TABLE = "42P01"
_READ_ONLY = "25006"
_FULL = "53100"
_PASSING = (_READ_ONLY, "25P03", "25P04")  # the last two: a transaction that was idle, or lasted, for too long
_OUTAGES = {_READ_ONLY: "is read-only", _FULL: "has no space left on its disk"}
# For a refused connection psycopg has no code: the server's sentence is in the message.
_HINT = (
    "Check that the server runs, and that FLOWHUB_DATABASE_URL names its host, a database that exists, and the user and"
    " password. Nothing is lost."
)
_NONE_WRITES = (
    "No host in FLOWHUB_DATABASE_URL takes writes: start the primary again, or promote the standby. Nothing is lost."
)
_SESSION_READ_ONLY = "session is read-only"  # libpq, where target_session_attrs refuses a host
_ATTEMPTS = "All failures were:"  # psycopg, of several hosts; what comes before repeats the last of them
_ATTEMPT = re.compile(r"^- host: .*?, hostaddr: '[^']*': ")
_HINTS = {
    "42501": "Let the user in FLOWHUB_DATABASE_URL create tables in this database and own flowhub's.",
    "55P03": (
        "Another session holds a lock on flowhub's tables, such as a backup by pg_dump. Try again when it has ended. "
        "Nothing is lost."
    ),
    _FULL: "Free some space on the server's disk, then try again. Nothing is lost.",
    _READ_ONLY: (
        "It is a standby, or full. With several hosts in FLOWHUB_DATABASE_URL add target_session_attrs=read-write. "
        "Nothing is lost."
    ),
}


def sqlstate(error: BaseException | None) -> str | None:
    """Return PostgreSQL's code of a driver's error; None for an error without one."""
    return getattr(error, "sqlstate", None)


def is_missing_table(error: BaseException | None) -> bool:
    return sqlstate(error) == _NO_TABLE


def is_outage(error: BaseException) -> bool:
    """Return whether PostgreSQL does not answer for now: it restarts, is unreachable, full, busy or read-only."""
    if isinstance(error, sa.exc.TimeoutError):  # all connections of the pool are in use, and wait
        return True
    cause = getattr(error, "orig", None)
    if not type(cause).__module__.startswith("psycopg"):
        return False
    passing = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    # Some of the errors with which the server ends a session are no OperationalError, such as that of its idle timeout.
    return passing or getattr(error, "connection_invalidated", False) or sqlstate(cause) in _PASSING


def outage_text(error: BaseException) -> str:
    """Return what is wrong with the database, to follow its name."""
    return _OUTAGES.get(sqlstate(getattr(error, "orig", None)) or "", "does not answer")


def hint_of(cause: BaseException) -> str:
    """Return the remedy for an error of psycopg's."""
    return _HINTS.get(sqlstate(cause) or "", _NONE_WRITES if _SESSION_READ_ONLY in str(cause) else _HINT)


def to_flowhub_error(where: str, cause: BaseException) -> FlowhubError:
    """Return psycopg's error as flowhub's, with a remedy."""
    _, several, attempts = str(cause).partition(_ATTEMPTS)
    # libpq adds a question on a line of its own, which the hint answers.
    lines = [line.strip() for line in (attempts or str(cause)).splitlines() if not line.startswith("\t")]
    message = "; ".join(_ATTEMPT.sub("", line) for line in lines if line) if several else " ".join(lines)
    return DatabaseUnusable(
        f"The database {where} does not answer: {message.rstrip('.')}.",
        hint=hint_of(cause),
    )
