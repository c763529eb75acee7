"""Bytes that the workers of a node received in each minute, kept for a week."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from flowhub_jobs.database.tables import wire_minutes

if TYPE_CHECKING:
    from flowhub_jobs.database.lazy import Database

MINUTE_US = 60_000_000
KEPT = 7 * 24 * 60  # minutes
_READ = (
    "SELECT minute, bytes FROM wire_minutes WHERE node = :node AND minute >= :first AND minute < :end ORDER BY minute"
)


def add_to_minute(tx: sa.Connection, node: str, now_us: int, count: int) -> None:
    """Add bytes to the minute of `now_us`. A new minute drops those that are older than a week."""
    minute = now_us // MINUTE_US
    is_own = wire_minutes.c.node == node
    added = tx.execute(
        sa.update(wire_minutes)
        .where(is_own, wire_minutes.c.minute == minute)
        .values(bytes=wire_minutes.c.bytes + count)
    )
    if not added.rowcount:
        tx.execute(wire_minutes.insert().values(node=node, minute=minute, bytes=count))
        tx.execute(sa.delete(wire_minutes).where(is_own, wire_minutes.c.minute < minute - KEPT))


def read_minutes(database: "Database", node: str, begin_us: int, end_us: int) -> dict[int, int]:
    """Return the bytes of each minute (since 1970) from `begin_us` to `end_us`; a minute without bytes is left out."""
    span = {"node": node, "first": begin_us // MINUTE_US, "end": end_us // MINUTE_US + 1}
    with database.reading() as snapshot:
        return {row["minute"]: row["bytes"] for row in snapshot.rows(_READ, **span)}
