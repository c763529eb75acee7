"""Deletes the events of jobs that ended long ago. The jobs themselves stay."""

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import events, is_live, jobs
from flowhub_jobs.jobs.values_shared_by_workers import SharedValue
from flowhub_jobs.system import Clock

NAME = "pruned"  # in `controls`: when it ran last
EVERY_US = 3_600_000_000
DAY_US = 86_400_000_000
BATCH = 500  # events per transaction: another writer waits for milliseconds
TURNS_MAX = 100  # the rest is deleted an hour later; the maintenance has other work


def prune(engine: sa.Engine, node: str, clock: Clock, keep_days: int) -> int:
    """Delete the node's events older than so many days, but none of a live job; return how many.

    It may be called at any time: it works at most once an hour, in the first worker that calls it.
    """
    if not _is_my_turn(SharedValue(engine, node, clock, NAME), clock.now_us()):
        return 0
    before, dropped = clock.now_us() - keep_days * DAY_US, 0
    for _ in range(TURNS_MAX):
        count = _drop_some(engine, node, before)
        dropped += count
        if count < BATCH:
            break
    return dropped


def _is_my_turn(done: SharedValue, now_us: int) -> bool:
    last = done.read()
    if last is not None and 0 <= now_us - last.version < EVERY_US:  # a time ahead of now: the clock was set back
        return False
    return done.compare_and_set(last, True) is not None


def _drop_some(engine: sa.Engine, node: str, until_us: int) -> int:
    live = sa.select(jobs.c.id).where(jobs.c.node == node, is_live)
    of_node = sa.exists().where(jobs.c.id == events.c.job_id, jobs.c.node == node)
    old = sa.select(events.c.id).where(events.c.at < until_us, events.c.job_id.not_in(live), of_node)
    with writing(engine) as tx:
        return tx.execute(sa.delete(events).where(events.c.id.in_(old.order_by(events.c.at).limit(BATCH)))).rowcount
