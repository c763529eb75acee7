"""Takes back the jobs whose worker is gone: at once if its lock is free, else when its lease has ended."""

from collections.abc import Callable

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import is_live, is_running, jobs
from flowhub_jobs.errors import WorkerLost
from flowhub_jobs.jobs.row_decoding import requested_of
from flowhub_jobs.jobs.shared_update_sql import DIGEST_PENDING, NO_LEASE, NOT_RUNNING, end_attempt, write_event
from flowhub_jobs.jobs.states import rescued_state
from flowhub_jobs.system import Clock, boot_id
from flowhub_jobs.values.enums import EventKind, RequestedAction, State


def rescue(
    engine: sa.Engine,
    node: str,
    clock: Clock,
    is_dead: Callable[[str], bool | None],
    may_judge: Callable[[], bool] = lambda: True,
) -> dict[int, RequestedAction | None]:
    """Take back every running job of the node whose worker is gone; return the requested action of each, by number.

    `is_dead(worker)` is True where the worker's lock is free. Else the lease decides: ended, or of another boot.
    `may_judge`, called where a worker seems gone, is False if the node's workers are on another machine.
    """
    columns = (jobs.c.id, jobs.c.lease_token, jobs.c.lease_worker, jobs.c.lease_boot, jobs.c.lease_until)
    running = sa.select(*columns).where(jobs.c.node == node, is_live, is_running)
    with querying(engine) as tx:
        rows = tx.execute(running).all()
    rescued: dict[int, RequestedAction | None] = {}
    may_take = False
    for job, token, worker, boot, lease_until_awake_s in rows:
        damaged = token is None or type(lease_until_awake_s) not in (float, int)  # no worker can hold such a lease
        if damaged or is_dead(worker) or boot != boot_id() or lease_until_awake_s < clock.awake():
            if not may_take and not may_judge():
                return rescued
            may_take = True
            rescued |= _take_back(engine, clock, job, token, lease_until_awake_s)
    return rescued


def _take_back(
    engine: sa.Engine, clock: Clock, job: int, token: str, lease_until_awake_s: float
) -> dict[int, RequestedAction | None]:
    with writing(engine) as tx:
        now_us = clock.now_us()  # under the write lock, so that times follow the order of the transactions
        # The row is compared with the lease that was judged. Between that read and this write lock its owner may have
        # renewed the lease, or another worker may have rescued and claimed the job: then the row belongs to a living
        # run, and is left alone.
        as_read = (
            jobs.c.lease_token.is_not_distinct_from(token),
            jobs.c.lease_until.is_not_distinct_from(lease_until_awake_s),
        )
        held = sa.and_(jobs.c.id == job, jobs.c.state == State.RUNNING, *as_read)
        # Locked: a command of another node may be about to request an action, which must not get lost.
        query = sa.select(jobs.c.requested, jobs.c.rescues, jobs.c.progressed).where(held).with_for_update()
        row = tx.execute(query).first()
        if row is None:
            return {}
        requested = requested_of(row.requested)
        rescues = 0 if row.progressed else row.rescues + 1
        state = rescued_state(requested, row.rescues, progressed=row.progressed)
        changes = NOT_RUNNING | NO_LEASE | DIGEST_PENDING | {"state": state, "rescues": rescues, "progressed": False}
        changes |= {"error": _lost(rescues).as_row()} if state is State.FAILED else {"attempt": jobs.c.attempt - 1}
        if state in (State.FAILED, State.CANCELLED):
            changes["finished_at"] = now_us
        tx.execute(sa.update(jobs).where(held).values(**changes))
        end_attempt(tx, job, token, now_us, "rescued")
        outcome = {State.QUEUED: "was queued again", State.FAILED: "failed"}.get(state, f"was {state}")
        write_event(tx, job, now_us, EventKind.RESCUED, f"Its worker was gone; the job {outcome}.")
        if state is State.FAILED:
            write_event(tx, job, now_us, EventKind.FAILED, _lost(rescues).message, WorkerLost.code)
    return {job: requested}


def _lost(rescues: int) -> WorkerLost:
    return WorkerLost(f"The worker died {rescues} times in a row while it ran this job, without any progress between.")
