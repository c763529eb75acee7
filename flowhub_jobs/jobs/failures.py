"""Finds the failed jobs that still need the user: no later job speaks for them."""

import sqlalchemy as sa

from flowhub_jobs.database.tables import jobs
from flowhub_jobs.kinds import JobKind, State

NEED_FOR_US = 14 * 86_400_000_000  # microseconds; a failure that was left alone for longer needs no one
AT_MOST = 200


def unanswered_failures(tx: sa.Connection, node: str, now: int) -> list[int]:
    """Return the failed jobs of the last two weeks for which no later job speaks, newest first.

    A later job for the same reference speaks for a failed one, unless it was cancelled; of a model whose verification
    failed, a new download too.
    """
    later = jobs.alias("later")
    same_kind = later.c.kind == jobs.c.kind
    repaired = sa.and_(jobs.c.kind == JobKind.VERIFY, later.c.kind == JobKind.FETCH)
    answered = sa.select(sa.literal(1)).where(
        later.c.node == node,
        later.c.ref == jobs.c.ref,
        later.c.id > jobs.c.id,
        later.c.state != State.CANCELLED,
        sa.or_(same_kind, repaired),
    )
    failed = (jobs.c.node == node, jobs.c.state == State.FAILED, jobs.c.finished_at >= now - NEED_FOR_US)
    query = sa.select(jobs.c.id).where(*failed, ~answered.correlate(jobs).exists())
    return list(tx.execute(query.order_by(jobs.c.id.desc()).limit(AT_MOST)).scalars())
