"""Column values and SQL fragments shared by every module that updates `jobs`."""

from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.tables import attempts, events, jobs
from flowhub_jobs.jobs.shared_select_sql import ENDED_ALL_EARLIER, WRITE
from flowhub_jobs.values.enums import DigestState, EventKind

ended_all_earlier = sa.text(ENDED_ALL_EARLIER)
writes_to_store = jobs.c.kind.in_(WRITE)

# The columns of a job that does not run.
NOT_RUNNING: dict[str, Any] = {
    "stage": None,
    "rate_bps": None,
    "requested": None,
    "wait_reason": None,
    "wait_text": None,
    "wait_us": None,
}
NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_worker": None, "lease_boot": None, "lease_until": None}
# The digest after an attempt that did not complete: the next one verifies.
DIGEST_PENDING: dict[str, Any] = {"sha256_state": DigestState.PENDING}


def end_attempt(tx: sa.Connection, job: int, token: str, now_us: int, outcome: str) -> None:
    """Write how an attempt ended."""
    tx.execute(attempt_end_update(job, token, now_us, outcome))


def attempt_end_update(job: int, token: str, now_us: int, outcome: str) -> sa.Update:
    """Return the statement of `end_attempt`. The attempt is found by its job, since the token has no index."""
    its = sa.and_(attempts.c.job_id == job, attempts.c.token == token)
    return sa.update(attempts).where(its).values(finished_at=now_us, outcome=outcome)


def write_event(
    tx: sa.Connection, job: int | None, now_us: int, kind: EventKind, text: str, code: str | None = None
) -> None:
    """Write an event. The text is for people, and holds no secret; `code` is that of the error behind it."""
    tx.execute(event_insert(job, now_us, kind, text, code))


def event_insert(
    job: int | None, now_us: int, kind: EventKind, text: str | sa.ColumnElement[str], code: str | None = None
) -> sa.Insert:
    """Return the statement of `write_event`, whose text may be SQL."""
    return events.insert().values(job_id=job, at=now_us, kind=kind, text=text, code=code)
