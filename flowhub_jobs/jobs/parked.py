"""Jobs that wait for the disk, and are found to wait on: written into their rows, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import is_live, jobs
from flowhub_jobs.kinds import Reason, State


@dataclass(frozen=True, slots=True)
class Parked:
    """A queued job that waits for the disk, until that microsecond."""

    job: int
    reason: Reason
    until: int
    target: str


def parked(engine: sa.Engine, node: str, before: int) -> list[Parked]:
    """Return those whose wait ends before that microsecond."""
    columns = (jobs.c.id, jobs.c.wait_reason, jobs.c.not_before, jobs.c.target)
    waits = jobs.c.wait_reason.in_((Reason.DISK, Reason.STORE_OFFLINE))
    mine = (jobs.c.node == node, is_live, jobs.c.state == State.QUEUED, waits, jobs.c.not_before < before)
    with reading(engine) as tx:
        return [Parked(row[0], Reason(row[1]), *row[2:]) for row in tx.execute(sa.select(*columns).where(*mine))]


def wait_on(engine: sa.Engine, texts: Mapping[Parked, str], until: int) -> None:
    """Let these wait on until that microsecond, for what the text says; not one that has moved meanwhile."""
    as_seen = (jobs.c.id == sa.bindparam("of_job"), jobs.c.state == State.QUEUED.value)
    since = (jobs.c.wait_reason == sa.bindparam("of_reason"), jobs.c.not_before == sa.bindparam("of_until"))
    again = sa.update(jobs).where(*as_seen, *since).values(not_before=until, wait_text=sa.bindparam("text"))
    rows = [
        {"of_job": one.job, "of_reason": one.reason, "of_until": one.until, "text": text} for one, text in texts.items()
    ]
    with writing(engine) as tx:
        tx.execute(again, rows)
