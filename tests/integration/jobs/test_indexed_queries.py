"""Queries and writes of live jobs use an index: their cost does not grow with the number of ended jobs."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex
from support.job_store import NODE, JobStore
from support.owner_writes import FILE, progress_of

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import events, job_files, jobs, metadata
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.controls import NETWORK
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.run_values import Claimed
from flowhub_jobs.jobs.shift_waits import shift_waits
from flowhub_jobs.values.enums import Reason, State

GROWING_TABLES = "jobs|earlier|job_files|job_after|events|attempts"
FULL_INDICES = "state|created|ended|ref"  # indices that contain ended jobs too
# SQLite has no statistics here, so its plan does not depend on the number of rows.
ENDED = 1000

FULL = FlowhubError("The disk is full.")


@pytest.fixture
def job_store(tmp_path: Path) -> Iterator[JobStore]:
    """JobStore with many ended jobs and a few live ones, of which two wait for another."""
    job_store = JobStore(tmp_path)
    [job] = job_store.enqueue("pattern")
    job_store.commands.cancel(job)
    row = {name: value for name, value in job_store.row(job).items() if name != "id"}
    with writing(job_store.engine) as tx:
        tx.execute(jobs.insert(), [{**row, "artifact_key": f"{number}"} for number in range(ENDED)])
        numbers = range(2, ENDED + 2)
        tx.execute(job_files.insert(), [{"job_id": number, "number": 0, "path": "x"} for number in numbers])
        tx.execute(events.insert(), [{"job_id": number, "at": 1, "kind": "x", "text": "x"} for number in numbers])
    [first] = job_store.enqueue("a", priority=1)
    job_store.enqueue("b", "c", priority=2, after=(first,))
    job_store.schedule("00:00-24:00")
    job_store.controls.set(NETWORK, {"text": "Down."}, until_us=job_store.time.us_from_now(-1))
    yield job_store
    job_store.close()


def plans(job_store: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return SQLite's plan of each statement of `action` that reads or changes rows, with the same bound values."""
    statements: list[tuple[str, Any]] = []

    def record_statement(connection, cursor, statement, parameters, context, executemany) -> None:
        if not statement.startswith(("INSERT", "BEGIN", "PRAGMA")):
            statements.append((statement, parameters[0] if executemany else parameters))

    sa.event.listen(job_store.engine, "before_cursor_execute", record_statement)
    action()
    sa.event.remove(job_store.engine, "before_cursor_execute", record_statement)
    with reading(job_store.engine) as tx:
        return ["; ".join(row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", p)) for s, p in statements]


def claim_plans(job_store: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return the plans of `action` without those of reads of small tables.

    These are the schema's version, the hosts that are waited for, and the job's own attempts.
    """
    small = ("alembic_version", "host_waits", "ix_attempts_job")
    return [plan for plan in plans(job_store, action) if not any(name in plan for name in small)]


def reads_all(plan: str) -> bool:
    """Return whether a plan reads every row of a growing table, or every job of the node."""
    return re.search(rf"SCAN ({GROWING_TABLES})\b|ix_jobs_({FULL_INDICES}) \(node=\?\)", plan) is not None


def test_a_plan_that_reads_every_job_is_distinguished_from_one_that_does_not(job_store):
    """Checks `reads_all` itself: if SQLite changed its wording, every other test here would pass."""

    def every_job() -> None:
        with reading(job_store.engine) as tx:
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.bytes_done > 5)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.node == NODE)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.id == 5)).all()

    assert [reads_all(plan) for plan in plans(job_store, every_job)] == [True, True, False]


# Each second, or for each job ----------------------------------------------------------------------------------------

LIVE_JOB = ENDED + 2


def on_running_job(job_store: JobStore, action: Callable[[Claimed], Any]) -> Callable[[], Any]:
    """Return a call of `action` with a running job; the claim is made before, and its statements do not count."""
    claimed = job_store.claim()
    return lambda: action(claimed)


ACTIONS: dict[str, Callable[[JobStore], Callable[[], Any]]] = {
    "status": lambda job_store: job_store.queries.overview,
    "status of a job": lambda job_store: lambda: job_store.queries.jobs([LIVE_JOB]),
    "why it waits": lambda job_store: lambda: job_store.queries.holds(LIVE_JOB + 1),
    "its events": lambda job_store: lambda: job_store.queries.events(LIVE_JOB),
    "status --since": lambda job_store: lambda: job_store.queries.all(since=job_store.time.us_from_now(1)),
    "status --state": lambda job_store: lambda: job_store.queries.all(state=State.FAILED),
    "all paused": lambda job_store: lambda: job_store.queries.in_state([State.PAUSED]),
    "live jobs": lambda job_store: job_store.queries.live_jobs,
    "enqueue": lambda job_store: lambda: job_store.enqueue("new", after=(LIVE_JOB,)),
    "pause": lambda job_store: lambda: job_store.commands.pause(LIVE_JOB),
    "retry": lambda job_store: lambda: job_store.commands.retry(1),
    "priority": lambda job_store: lambda: job_store.commands.set_priority(LIVE_JOB, 4),
    "due": lambda job_store: lambda: job_store.owner.due(job_store.controls.gates(), at_most=3),
    "claim": lambda job_store: lambda: job_store.owner.claim(job_store.controls.gates()),
    "renew": lambda job_store: lambda: job_store.owner.renew({}),
    "requested actions": lambda job_store: job_store.owner.requested_actions,
    "progress": lambda job_store: on_running_job(
        job_store, lambda run: job_store.owner.progress(run.lease, progress_of(files=(FILE,)))
    ),
    "wait": lambda job_store: on_running_job(
        job_store,
        lambda run: job_store.owner.requeue_after(
            run.lease, 1, Reason.DISK, FULL, faults=1, counts_as_attempt=True
        ),
    ),
    "complete": lambda job_store: on_running_job(job_store, job_store.complete),
    "name owner": lambda job_store: lambda: job_store.owner.name_owner_by_intent("x", except_job=1, store="default"),
    "rescue": lambda job_store: on_running_job(job_store, lambda run: job_store.rescue("w-1")),
    "shift waits": lambda job_store: lambda: shift_waits(job_store.engine, job_store.node, job_store.time.clock),
    "still to do": lambda job_store: job_store.queries.still_to_do,
    "ended badly": lambda job_store: lambda: job_store.queries.ended_badly(job_store.time.us_from_now(1)),
    "bytes needed": lambda job_store: job_store.queries.bytes_still_needed,
    "bytes fetched": lambda job_store: lambda: job_store.queries.bytes_being_fetched(but=1),
    "working on": lambda job_store: lambda: job_store.queries.working_on(["/x"]),
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))
def test_no_action_reads_the_ended_jobs(job_store, action):
    query_plans = plans(job_store, action(job_store))
    assert query_plans
    assert [plan for plan in query_plans if reads_all(plan)] == []


def test_a_claim_goes_by_the_index_of_queued_jobs_and_sorts_nothing(job_store):
    [plan] = claim_plans(job_store, job_store.claim)
    assert "ix_jobs_claim" in plan
    assert "TEMP B-TREE" not in plan


def test_a_second_worker_claims_by_the_same_index(job_store):
    other = LeaseStore(job_store.engine, NODE, "w-2", job_store.time.clock)
    [plan] = claim_plans(job_store, other.claim)
    assert "ix_jobs_claim" in plan


def test_the_live_jobs_are_found_by_an_index_that_holds_no_other(job_store):
    [plan] = plans(job_store, job_store.queries.live_jobs)
    assert "jobs_live" in plan


def test_a_count_of_due_jobs_stops_at_its_limit(job_store):
    job_store.enqueue(*(f"m{number}" for number in range(20)))
    assert [job_store.owner.due(at_most=most) for most in (0, 3, 99, None)] == [0, 3, 21, 21]


def test_progress_of_a_run_is_one_transaction_of_two_updates(job_store):
    """Progress is written twice a second per job, so each statement counts."""
    lease = job_store.claim().lease
    statements: list[str] = []
    sa.event.listen(job_store.engine, "before_cursor_execute", lambda c, cursor, text, *_: statements.append(text))
    job_store.owner.progress(lease, progress_of(fetched=1, files=(FILE, FILE)))
    verbs = [text.split()[0] for text in statements if "alembic_version" not in text]  # which every write reads first
    assert verbs == ["BEGIN", "UPDATE", "UPDATE"]


# The other database --------------------------------------------------------------------------------------------------


def test_a_partial_index_is_partial_in_both_databases():
    """Otherwise an ended job would forbid another one for the same artifact."""
    indices = [index for table in metadata.tables.values() for index in table.indexes]
    postgresql_sql = {
        str(index.name): str(CreateIndex(index).compile(dialect=postgresql.dialect())) for index in indices
    }
    partial = {index.name for index in indices if index.dialect_options["sqlite"]["where"] is not None}
    assert partial == {name for name, text in postgresql_sql.items() if " WHERE " in text}
    assert "uq_jobs_live" in partial
