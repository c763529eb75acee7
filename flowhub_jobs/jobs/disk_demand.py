"""Sums the disk space that the jobs of a node still need, and lists the addresses that they come from."""

from collections.abc import Collection

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, reading
from flowhub_jobs.database.tables import is_live, is_queued, is_running, jobs
from flowhub_jobs.jobs.queue_order_sql import goes_before, sort_columns
from flowhub_jobs.jobs.row_decoding import readable_artifacts
from flowhub_jobs.jobs.shared_update_sql import writes_to_store
from flowhub_jobs.values.enums import JobKind, QueueOrder, Stage, State

NEXT, LATELY = 50, 10  # jobs whose hosts are returned: queued or running, and completed


Stores = Collection[str] | None  # the stores whose jobs count, by name; None: all
_NEED = jobs.c.bytes_total - jobs.c.bytes_done  # bytes that a job has yet to put on the disk
_IN_ORDER = sort_columns(QueueOrder.OLDEST_FIRST)


def needs_in_order(
    engine: sa.Engine, node: str, order: QueueOrder = QueueOrder.OLDEST_FIRST, stores: Stores = None
) -> tuple[int, dict[int, int]]:
    """Return the bytes that all running jobs have yet to put on the disk, and those of each queued one, in order."""
    working, queued = is_running, is_queued
    return _needs(engine, node, order, working, queued, *_of_stores(stores))


def room_needed_before(
    engine: sa.Engine, node: str, job: int, order: QueueOrder = QueueOrder.OLDEST_FIRST, stores: Stores = None
) -> tuple[int, list[int]]:
    """Return the bytes that running jobs have yet to put on the disk, and those of each queued job that goes first.

    Of two jobs that begin together, only the one with the higher rank counts for the other. If each counted the other,
    both would wait for room, at every check again.
    """
    first = goes_before(job, order)
    working = sa.and_(is_running, sa.or_(first, jobs.c.stage != Stage.RESOLVE))
    ahead = sa.and_(is_queued, first)
    running, queued = _needs(engine, node, order, working, ahead, jobs.c.id != job, *_of_stores(stores))
    return running, list(queued.values())


def _of_stores(stores: Stores) -> tuple[sa.ColumnElement[bool], ...]:
    return () if stores is None else (jobs.c.store.in_(stores),)


def _needs(
    engine: sa.Engine,
    node: str,
    order: QueueOrder,
    working: sa.ColumnElement[bool],
    queued: sa.ColumnElement[bool],
    *others: sa.ColumnElement[bool],
) -> tuple[int, dict[int, int]]:
    """Return the bytes that the running jobs need together, and those that each queued job needs, by job, in order."""
    live = (jobs.c.node == node, is_live, writes_to_store, _NEED > 0, *others)
    query = sa.select(jobs.c.id, _NEED, jobs.c.state).where(*live, sa.or_(working, queued))
    with querying(engine) as tx:
        rows = tx.execute(query.order_by(*sort_columns(order))).all()
    runs = sum(int(need) for _, need, state in rows if state == State.RUNNING)
    return runs, {job: int(need) for job, need, state in rows if state == State.QUEUED}


def addresses_wanted(engine: sa.Engine, node: str) -> list[str]:
    """Return an address of each of the next jobs of the node, running ones first, and then of the last completed
    ones."""
    waits = (is_live, jobs.c.state.in_((State.RUNNING, State.QUEUED)))
    order = (jobs.c.state.desc(), *_IN_ORDER)
    completed = (jobs.c.finished_at.is_not(None), jobs.c.state == State.COMPLETED)
    artifacts = sa.select(jobs.c.id, jobs.c.artifact).where(jobs.c.node == node, jobs.c.kind == JobKind.FETCH)
    upcoming = artifacts.where(*waits).order_by(*order).limit(NEXT)
    recent = artifacts.where(*completed).order_by(jobs.c.finished_at.desc(), jobs.c.id.desc()).limit(LATELY)
    with reading(engine) as tx:
        rows = [row for query in (upcoming, recent) for row in tx.execute(query).all()]
    return [artifact.files[0].url for artifact in readable_artifacts(rows)]
