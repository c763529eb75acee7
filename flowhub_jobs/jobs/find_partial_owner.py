"""Finds the job a partial belongs to: a live job, or a failed or cancelled one that `retry` could resume."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, reading, writing
from flowhub_jobs.database.tables import attempts, is_live, jobs
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.jobs.row_decoding import artifact_of
from flowhub_jobs.jobs.shared_update_sql import writes_to_store
from flowhub_jobs.values.enums import State

_ENDED_WITH_PARTIAL = (State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class PartialOwner:
    """The job that a partial belongs to."""

    job: int
    ref: str
    state: State

    @property
    def live(self) -> bool:
        return self.state not in _ENDED_WITH_PARTIAL


def partial_owners(engine: sa.Engine, node: str, keys: Collection[str]) -> dict[str, PartialOwner]:
    """Return the owner of the partial of each artifact key: a live job, else the last failed or cancelled one."""
    if not keys:
        return {}
    with reading(engine) as tx:
        return _ended_owners(tx, node, keys) | _live_owners(tx, node)


def _ended_owners(tx: sa.Connection, node: str, keys: Collection[str]) -> dict[str, PartialOwner]:
    # By state, for which there is an index: a table of a hundred thousand completed jobs is not read through.
    columns = (jobs.c.artifact_key, jobs.c.id, jobs.c.ref, jobs.c.state)
    ended = (jobs.c.node == node, jobs.c.state.in_(_ENDED_WITH_PARTIAL), writes_to_store)
    rows = tx.execute(sa.select(*columns).where(*ended).order_by(jobs.c.id))
    return {key: PartialOwner(job, ref, State(state)) for key, job, ref, state in rows if key in keys}


def _live_owners(tx: sa.Connection, node: str) -> dict[str, PartialOwner]:
    owners = {}
    columns = (jobs.c.artifact_key, jobs.c.id, jobs.c.ref, jobs.c.state, writes_to_store)
    live = (jobs.c.node == node, is_live)
    for key, job, ref, state, fetches in tx.execute(sa.select(*columns).where(*live)):
        # A job of another kind has a key of its own; a partial of it has the key of its artifact.
        with suppress(JobUnreadable):  # it has no partial that could be named
            owners[key if fetches else _artifact_key(tx, job)] = PartialOwner(job, ref, State(state))
    return owners


def _artifact_key(tx: sa.Connection, job: int) -> str:
    return artifact_of(job, tx.execute(sa.select(jobs.c.artifact).where(jobs.c.id == job)).scalar_one()).key


def run_tokens(engine: sa.Engine, job: int) -> set[str]:
    """Return the tokens of all runs of a job, which their partials name (transfer/partial/ownership_decision.py)."""
    with querying(engine) as tx:
        return set(tx.execute(sa.select(attempts.c.token).where(attempts.c.job_id == job)).scalars())


def unless_owned(engine: sa.Engine, node: str, key: str, act: Callable[[], None], *, but: int | None) -> bool:
    """Call `act` on the partial of an artifact while no job can start with it; return False if a job owns it.

    `but` is an ended job that does not count. `act` runs inside a transaction that writes: on SQLite no job can be
    queued, retried or claimed before it ends. On PostgreSQL a job that starts at that moment finds its partial gone,
    and starts over.
    """
    with writing(engine) as tx:
        holder = (_ended_owners(tx, node, [key]) | _live_owners(tx, node)).get(key)
        if holder is not None and (holder.live or holder.job != but):
            return False
        act()
        return True
