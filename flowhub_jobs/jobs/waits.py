"""Keeps the waits that nobody but flowhub ordered as long as they were meant, whoever sets the calendar.

A wait ends at a time of the calendar, so that a person can read it and a reboot does not matter. When the calendar is
set, a backoff of a minute would be over at once, or last a day. What the person named (`--at`) is the calendar's own.
"""

from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import controls, is_live, jobs
from flowhub_jobs.kinds import Reason
from flowhub_jobs.system import Clock, boot_id

NAME = "calendar"  # in `controls`: how far the calendar is from the awake clock, as some worker saw it last
NOTICED_US = 1_000_000
OURS = (Reason.BACKOFF, Reason.HOST_WAIT, Reason.DISK, Reason.NETWORK, Reason.STORE_OFFLINE)


def keep_waits(engine: sa.Engine, node: str, clock: Clock) -> int:
    """Move the node's waits along with a calendar that was set since the last look; return by how many microseconds."""
    mine = sa.and_(controls.c.node == node, controls.c.name == NAME)
    apart = _apart(clock)
    seen = {"boot": boot_id(), "apart_us": apart}
    known_now = sa.select(controls.c.value).where(mine)
    with reading(engine) as tx:
        if _is_as_it_was(tx.execute(known_now).scalar(), seen):
            return 0
    with writing(engine) as tx:
        known = tx.execute(known_now).scalar()  # again, under the write lock: another worker may have moved them
        jump = apart - known["apart_us"] if known is not None and known["boot"] == seen["boot"] else 0
        ours = sa.and_(jobs.c.node == node, is_live, jobs.c.wait_reason.in_(OURS), jobs.c.not_before.is_not(None))
        tx.execute(sa.update(jobs).where(ours).values(not_before=jobs.c.not_before + jump))
        tx.execute(sa.delete(controls).where(mine))
        tx.execute(controls.insert().values(node=node, name=NAME, value=seen, set_at=clock.now_us()))
    return jump


def _is_as_it_was(known: dict[str, Any] | None, seen: dict[str, Any]) -> bool:
    """Whether nobody has set the calendar. What a time service corrects in passing is let be until it is a second."""
    if known is None or known["boot"] != seen["boot"]:
        return False
    return bool(abs(seen["apart_us"] - known["apart_us"]) < NOTICED_US)


def _apart(clock: Clock) -> int:
    """Return by how many microseconds the calendar is ahead of the awake clock, both read in one breath."""
    while True:
        before, now, after = clock.awake(), clock.now_us(), clock.awake()
        if after - before < 0.1:  # else this process stood still in between, and the difference would be that pause
            return now - round(before * 1e6)
