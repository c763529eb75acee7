"""Queued jobs that wait for the disk, and the updates that extend or end their wait. No event is recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import is_live, is_queued, jobs
from flowhub_jobs.values.enums import Reason, State


@dataclass(frozen=True, slots=True)
class DiskWait:
    """A queued job that waits for the disk."""

    job: int
    reason: Reason
    until_us: int
    target: str
    store: str


def read_disk_waits(engine: sa.Engine, node: str) -> list[DiskWait]:
    """Return the jobs of a node that wait for room, or for the store's disk."""
    columns = (jobs.c.id, jobs.c.wait_reason, jobs.c.not_before, jobs.c.target, jobs.c.store)
    waits = jobs.c.wait_reason.in_((Reason.DISK, Reason.STORE_OFFLINE))
    conditions = (jobs.c.node == node, is_live, is_queued, waits, jobs.c.not_before.is_not(None))
    with querying(engine) as tx:
        return [
            DiskWait(row[0], Reason(row[1]), *row[2:]) for row in tx.execute(sa.select(*columns).where(*conditions))
        ]


# A job that has moved since it was read is left as it is.
_AS_READ = (
    jobs.c.id == sa.bindparam("of_job"),
    jobs.c.state == State.QUEUED.value,
    jobs.c.wait_reason == sa.bindparam("of_reason"),
    jobs.c.not_before == sa.bindparam("of_until"),
)


def extend_wait(engine: sa.Engine, texts: Mapping[DiskWait, str], now_us: int, seconds: float) -> None:
    """Let these jobs wait so many seconds from `now_us`, each for the reason that its text gives."""
    wait_us = round(seconds * 1e6)
    changes = {"not_before": now_us + wait_us, "wait_us": wait_us, "wait_text": sa.bindparam("text")}
    rows = [_as_read(job) | {"text": text} for job, text in texts.items()]
    if rows:
        with writing(engine) as tx:
            tx.execute(sa.update(jobs).where(*_AS_READ).values(**changes), rows)


def end_wait(engine: sa.Engine, ready: Sequence[DiskWait]) -> None:
    """End the wait of these jobs, so that they may start."""
    ended = {"not_before": None, "wait_us": None, "wait_reason": None, "wait_text": None}
    if ready:
        with writing(engine) as tx:
            tx.execute(sa.update(jobs).where(*_AS_READ).values(**ended), [_as_read(job) for job in ready])


def _as_read(job: DiskWait) -> dict[str, object]:
    return {"of_job": job.job, "of_reason": job.reason, "of_until": job.until_us}
