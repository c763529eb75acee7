"""Fails the live jobs whose rows cannot be decoded, so that no worker waits for them; each error has a remedy."""

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.lazy import Row, snapshot_of
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.jobs.row_decoding import check_row, shown_rows
from flowhub_jobs.jobs.shared_update_sql import DIGEST_PENDING, NO_LEASE, NOT_RUNNING, write_event
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import EventKind, State

ENDED = (State.COMPLETED, State.FAILED, State.CANCELLED)


def fail_unreadable(engine: sa.Engine, node: str, clock: Clock) -> dict[int, JobUnreadable]:
    """Fail every job of the node that has not ended and whose row cannot be decoded; return the errors."""
    with reading(engine) as tx:
        # By what it is not: a state that this version does not know is unreadable, too.
        where = "jobs.node = :node AND jobs.state NOT IN :ended"
        rows = shown_rows(snapshot_of(tx), where, node=node, ended=list(ENDED))
        errors = {row["id"]: error for row in rows if (error := _problem(row)) is not None}
    for job, error in errors.items():
        _fail(engine, clock, job, error)
    return errors


def _problem(row: Row) -> JobUnreadable | None:
    try:
        check_row(row)
    except JobUnreadable as error:
        return error
    return None


def _fail(engine: sa.Engine, clock: Clock, job: int, error: JobUnreadable) -> None:
    with writing(engine) as tx:
        now_us = clock.now_us()
        changes = (
            NOT_RUNNING
            | NO_LEASE
            | DIGEST_PENDING
            | {"state": State.FAILED, "finished_at": now_us, "error": error.as_row()}
        )
        tx.execute(sa.update(jobs).where(jobs.c.id == job, jobs.c.state.not_in(ENDED)).values(**changes))
        write_event(tx, job, now_us, EventKind.FAILED, error.message, error.code)
