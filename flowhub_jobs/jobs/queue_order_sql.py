"""The order in which queued jobs of one priority start, as columns to sort by; each order has an index."""

from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.job_conditions import LEFT_OF_BEGUN, SMALLEST
from flowhub_jobs.database.tables import jobs
from flowhub_jobs.values.enums import QueueOrder

_KEYS = {QueueOrder.SMALLEST_FIRST: SMALLEST, QueueOrder.NEARLY_DONE: LEFT_OF_BEGUN}


def sort_columns(order: QueueOrder) -> tuple[sa.ColumnElement[Any], ...]:
    """Return what to sort the queued jobs of a node by: the priority, what the order says, the age."""
    return jobs.c.priority.desc(), *_keys(order), jobs.c.id


def goes_before(job: int, order: QueueOrder) -> sa.ColumnElement[bool]:
    """Return the condition on a row of `jobs` that it stands before this job."""

    def its(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.select(column).where(jobs.c.id == job).scalar_subquery().correlate(None)

    before: sa.ColumnElement[bool] = jobs.c.id < job
    for key in _keys(order):
        before = sa.or_(key < its(key), sa.and_(key == its(key), before))
    higher = jobs.c.priority > its(jobs.c.priority)
    return sa.or_(higher, sa.and_(jobs.c.priority == its(jobs.c.priority), before))


def _keys(order: QueueOrder) -> tuple[sa.ColumnElement[Any], ...]:
    # Written out as in the index: with bound parameters SQLite would not see that it fits.
    return (sa.literal_column(_KEYS[order], sa.BigInteger),) if order in _KEYS else ()
