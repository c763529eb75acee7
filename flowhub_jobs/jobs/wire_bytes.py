"""Adds the bytes that a worker received to the count of its node and day. The workers of a node share the count."""

from datetime import tzinfo

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import wire_bytes
from flowhub_jobs.jobs.local_clock import local_day
from flowhub_jobs.system import Clock


def add_received(engine: sa.Engine, node: str, clock: Clock, count: int, zone: tzinfo | None = None) -> None:
    """Add bytes to today's count."""
    with writing(engine) as tx:  # the writers of a node exclude each other: no other adds a row in between
        day = local_day(clock.now_us(), zone).isoformat()
        mine = (wire_bytes.c.node == node, wire_bytes.c.day == day)
        added = tx.execute(sa.update(wire_bytes).where(*mine).values(bytes=wire_bytes.c.bytes + count))
        if not added.rowcount:
            tx.execute(wire_bytes.insert().values(node=node, day=day, bytes=count))
