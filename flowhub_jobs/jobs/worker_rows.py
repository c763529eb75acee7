"""Reads and removes the rows of workers, for `worker status` and the rescue."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, reading, writing
from flowhub_jobs.database.exception_types import Replaced
from flowhub_jobs.database.tables import is_live, is_running, jobs, workers
from flowhub_jobs.times import known_moment


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that lives. `rate_bps` is bytes a second over its `running` jobs, as last reported.

    `seen_at` is its last heartbeat.
    """

    worker: str
    pid: int
    slots: int
    running: int
    rate_bps: int
    started_at: datetime
    seen_at: datetime


def living_workers(engine: sa.Engine, node: str, is_dead: Callable[[str], bool | None]) -> list[WorkerStatus]:
    """Return the workers of the node whose lock is held, the oldest first."""
    with reading(engine) as tx:
        rows = tx.execute(_running_counts(node)).mappings().all()
    return [_worker_status(row) for row in rows if is_dead(row["worker"]) is False]


def check_registered(engine: sa.Engine, worker: str) -> None:
    """Raise DatabaseReplaced if a living worker has no row any more: a backup was copied over the database."""
    with querying(engine) as tx:
        if tx.execute(sa.select(workers.c.worker).where(workers.c.worker == worker)).first() is None:
            raise Replaced(f"The database {engine.url.database} was replaced: it does not know this worker.")


def is_registered_in(file: sqlite3.Connection, worker: str) -> bool:
    """Return whether a worker has a row in a database file, which is read without SQLAlchemy's engine."""
    return file.execute("SELECT 1 FROM workers WHERE worker = ?", (worker,)).fetchone() is not None


def remove_dead(
    engine: sa.Engine, node: str, is_dead: Callable[[str], bool | None], may_judge: Callable[[], bool] = lambda: True
) -> list[str]:
    """Drop the rows of the node's workers that are gone and own no job any more; return their names.

    `is_dead` and `may_judge` are as in `rescue`.
    """
    with querying(engine) as tx:
        names = tx.execute(sa.select(workers.c.worker).where(workers.c.node == node)).scalars().all()
    dead = [worker for worker in names if is_dead(worker) is not False]  # None: its lock file is gone, its row is not
    if not dead or not may_judge():
        return []
    owners = sa.select(jobs.c.lease_worker).where(jobs.c.node == node, is_live, is_running)
    with writing(engine) as tx:
        without_lease = sa.and_(workers.c.worker.in_(dead), workers.c.worker.not_in(owners))
        return list(tx.execute(sa.delete(workers).where(without_lease).returning(workers.c.worker)).scalars())


def _running_counts(node: str) -> sa.Select[tuple[str, int, int, int, int, int, int]]:
    works = sa.and_(jobs.c.node == node, is_live, is_running, jobs.c.lease_worker == workers.c.worker)
    return (
        sa.select(
            workers.c.worker,
            workers.c.pid,
            workers.c.slots,
            workers.c.started_at,
            workers.c.seen_at,
            sa.func.count(jobs.c.id).label("running"),
            sa.func.coalesce(sa.func.sum(jobs.c.rate_bps), 0).label("rate_bps"),
        )
        .join_from(workers, jobs, works, isouter=True)
        .where(workers.c.node == node)
        .group_by(workers.c.worker, workers.c.pid, workers.c.slots, workers.c.started_at, workers.c.seen_at)
        .order_by(workers.c.started_at, workers.c.worker)
    )


def _worker_status(row: sa.RowMapping) -> WorkerStatus:
    numbers = {name: int(row[name]) for name in ("pid", "slots", "running", "rate_bps")}
    started_at, seen_at = known_moment(row["started_at"]), known_moment(row["seen_at"])
    return WorkerStatus(row["worker"], **numbers, started_at=started_at, seen_at=seen_at)
