"""Checks of the database: it opens, is intact, can be written; its clock, its connections, the queue of wake-ups."""

import time
from collections.abc import Iterator
from contextlib import closing

from flowhub_jobs import __version__
from flowhub_jobs.database import postgresql
from flowhub_jobs.database.engine import check_current, check_whole, writing
from flowhub_jobs.database.newest_migration import HEAD
from flowhub_jobs.database.postgresql_facts import Blocker, ServerHealth, blockers, hears_notifications, server_health
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.operations.doctor.check import Check, fail, guarded, ok, skip, warn
from flowhub_jobs.operations.nodes import read_nodes
from flowhub_jobs.units import counted
from flowhub_jobs.worker.wakeup_queue_choice import command_wakeups

_BUSY_S = 1.0
_SKEW_S = 5.0
_NOTIFIED_S = 2.0
_BLOCKED_S = 2.0  # a transaction of flowhub's takes milliseconds
_CONNECTIONS_MIN = 6  # two worker processes


def database_checks(home: Home) -> Iterator[Check]:
    """Yield the checks of a database that opens."""
    yield from guarded(
        [
            ("database.schema", lambda: _schema(home)),
            ("database.whole", lambda: _integrity(home)),
            ("database.write", lambda: _write(home)),
            ("database.queue", lambda: _queue(home)),
        ],
        url := home.settings.database_url,
    )
    if postgresql.is_postgresql(url):
        yield from _server_checks(home, url)


def _schema(home: Home) -> Check:
    check_current(home.engine)
    return ok("database.schema", f"schema {HEAD}, current")


def _integrity(home: Home) -> Check:
    check_whole(home.engine)
    return ok("database.whole", "no damage was found")


def _write(home: Home) -> Check:
    """Begin a transaction that writes, and measure how long another program kept it waiting."""
    name, began = "database.write", time.monotonic()
    with writing(home.engine):
        pass
    waited = time.monotonic() - began
    if waited > _BUSY_S:
        return warn(
            name,
            f"A write had to wait {waited:.1f} s: another program holds the database.",
            "End programs that keep it open, such as a backup or a database browser.",
        )
    return ok(name, "can be written at once")


def _queue(home: Home) -> Check:
    with closing(command_wakeups(home)) as wakeups:
        return ok("database.queue", f"{counted(wakeups.waiting(), 'wake-up', 'wake-ups')} waiting")


# PostgreSQL ----------------------------------------------------------------------------------------------------------


def _server_checks(home: Home, url: str) -> Iterator[Check]:
    servers: list[tuple[ServerHealth, int]] = []
    yield from guarded([("database.version", lambda: _server(home, servers))], url)
    for server, skew_us in servers:
        yield role(server)
        yield connections(server)
        yield clock_skew(skew_us)
    yield from guarded(
        [
            ("database.locks", lambda: locks(blockers(home.engine, _BLOCKED_S))),
            ("database.listen", lambda: _listen(home, url)),
            ("database.nodes", lambda: versions(home.node, read_nodes(home))),
        ],
        url,
    )


def _server(home: Home, servers: list[tuple[ServerHealth, int]]) -> Check:
    """Read the server's facts; they and its clock's microseconds ahead of this machine's are added to `servers`."""
    before = time.time_ns() // 1000
    server = server_health(home.engine)
    servers.append((server, server.now_us - (before + time.time_ns() // 1000) // 2))
    return version(server)


def _listen(home: Home, url: str) -> Check:
    """Check that a worker is notified of new jobs at once."""
    name = "database.listen"
    if not home.settings.database_listen:
        return skip(name, "FLOWHUB_DATABASE_LISTEN is off: workers look for new jobs every few seconds")
    if not hears_notifications(home.engine, postgresql.connector(url), _NOTIFIED_S):
        return warn(
            name,
            "Notifications of the server do not arrive: new jobs start some seconds late.",
            "Behind a pooler in transaction mode, such as PgBouncer, set FLOWHUB_DATABASE_LISTEN=false.",
        )
    return ok(name, "notifications of new jobs arrive")


def version(server: ServerHealth) -> Check:
    """Check the server's version."""
    name, text = "database.version", f"PostgreSQL {server.version}"
    if server.version_number < 130000:
        return fail(name, f"{text} is too old.", "Use PostgreSQL 13 or newer.")
    return ok(name, text)


def role(server: ServerHealth) -> Check:
    """Check that the server takes writes."""
    name = "database.role"
    if server.is_standby or server.is_read_only:
        kind = "a standby" if server.is_standby else "read-only"
        return fail(
            name,
            f"The server is {kind}: nothing can be queued.",
            "Name the primary in FLOWHUB_DATABASE_URL, or several hosts with target_session_attrs=read-write.",
        )
    return ok(name, "the primary, takes writes")


def connections(server: ServerHealth) -> Check:
    """Check how many connections are left; a worker process needs three."""
    name, free = "database.connections", server.connections_max - server.connections
    text = f"{server.connections} of {server.connections_max} connections in use"
    if free < _CONNECTIONS_MIN:
        return warn(name, f"{text}; a worker needs three.", "Raise max_connections, or use a pooler.")
    return ok(name, text)


def locks(blockers: list[Blocker]) -> Check:
    """Check that no session keeps others waiting."""
    name = "database.locks"
    if not blockers:
        return ok(name, "no session keeps others waiting")
    examples = ", ".join(f"{one.pid} ({one.program or 'unknown'}) keeps {one.waiting}" for one in blockers[:3])
    return warn(
        name,
        f"Sessions of the server hold locks for which others wait: {examples}.",
        f"If it does not end by itself: SELECT pg_terminate_backend({blockers[0].pid}). Jobs continue afterwards.",
    )


def versions(own_name: str, nodes: list[NodeStatus]) -> Check:
    """Check that the living nodes run this version of flowhub."""
    name = "database.nodes"
    living = [node for node in nodes if node.alive]
    others = [f"{node.node} ({node.version})" for node in living if node.version != __version__]
    if others:
        return warn(
            name,
            f"These nodes run a different version of flowhub than {own_name} ({__version__}): {', '.join(others)}.",
            "Install the same version on all machines; the next migration ends the workers of older ones.",
        )
    return ok(name, f"{counted(len(living), 'node is', 'nodes are')} alive; this is flowhub {__version__}")


def clock_skew(skew_us: int) -> Check:
    """Check the server's clock against this machine's. Leases are by the server's clock, so a skew loses no job."""
    name, seconds = "database.clock", abs(skew_us) / 1e6
    if seconds > _SKEW_S:
        return warn(
            name,
            f"The server's clock is {seconds:.0f} s {'ahead of' if skew_us > 0 else 'behind'} this machine's.",
            "Synchronize both clocks with NTP.",
        )
    return ok(name, f"within {max(seconds, 0.1):.1f} s of this machine's")
