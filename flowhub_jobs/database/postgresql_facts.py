"""Facts about a PostgreSQL server: version, role, connections, clock, locks, notifications."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """A server's own figures. `now_us` is its clock in microseconds since 1970; `version_number` is e.g. 160004."""

    version: str
    version_number: int
    is_standby: bool
    is_read_only: bool
    connections: int
    connections_max: int
    now_us: int


_QUERY = """
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_number,
       pg_is_in_recovery() AS is_standby,
       current_setting('default_transaction_read_only')::bool AS is_read_only,
       (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         AS connections_max,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
"""


def server_health(engine: sa.Engine) -> ServerHealth:
    """Return the facts about the PostgreSQL server of an engine."""
    with reading(engine) as tx:
        return ServerHealth(**tx.exec_driver_sql(_QUERY).mappings().one())


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds a lock for which `waiting` others wait. `program` may be empty."""

    pid: int
    program: str
    waiting: int


_BLOCKERS = """
SELECT holder.pid, coalesce(holder.application_name, '') AS program, count(*) AS waiting
FROM pg_stat_activity waiter
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiter.pid)) AS blocking(pid)
JOIN pg_stat_activity holder ON holder.pid = blocking.pid
WHERE waiter.datname = current_database() AND waiter.query_start < clock_timestamp() - make_interval(secs => {seconds})
GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""


def blockers(engine: sa.Engine, waited_s: float) -> list[Blocker]:
    """Return the sessions that have kept others of this database waiting for so long, those with the most waiters
    first."""
    with reading(engine) as tx:
        rows = tx.exec_driver_sql(_BLOCKERS.format(seconds=float(waited_s))).mappings()
        return [Blocker(**row) for row in rows]


def hears_notifications(engine: sa.Engine, connect: "Callable[[], psycopg.Connection[Any]]", timeout_s: float) -> bool:
    """Return whether a notification reaches a connection that listens: it does not through a transaction pooler."""
    channel = f"flowhub_{secrets.token_hex(8)}"
    with connect() as connection:
        connection.autocommit = True
        connection.execute(f"LISTEN {channel}".encode())
        with writing(engine) as tx:
            tx.exec_driver_sql(f"NOTIFY {channel}")
        received = any(True for _ in connection.notifies(timeout=timeout_s, stop_after=1))
        connection.execute(f"UNLISTEN {channel}".encode())
        return received
