"""Adds the bytes that a worker received to the count of its node and day. The workers of a node share the count."""

from datetime import tzinfo

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import wire_bytes
from flowhub_jobs.jobs.daylight_saving import local_day
from flowhub_jobs.jobs.wire_minutes import add_to_minute
from flowhub_jobs.system import Clock


def add_received(engine: sa.Engine, node: str, clock: Clock, count: int, zone: tzinfo | None = None) -> None:
    """Add bytes to today's count, and to this minute's."""
    with writing(engine) as tx:  # the writers of a node exclude each other: no other adds a row in between
        now_us = clock.now_us()
        add_to_minute(tx, node, now_us, count)
        day = local_day(now_us, zone).isoformat()
        where = (wire_bytes.c.node == node, wire_bytes.c.day == day)
        added = tx.execute(sa.update(wire_bytes).where(*where).values(bytes=wire_bytes.c.bytes + count))
        if not added.rowcount:
            tx.execute(wire_bytes.insert().values(node=node, day=day, bytes=count))
