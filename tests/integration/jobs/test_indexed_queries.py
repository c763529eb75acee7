"""What is asked of a table with many jobs that ended is found by an index: it costs what it costs with few."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex
from support.job_store import NODE, JobStore
from support.owner_writes import FILE, seen

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import events, job_files, jobs, metadata
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.controls import NETWORK
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.run_values import Claimed
from flowhub_jobs.jobs.shift_waits import shift_waits
from flowhub_jobs.values.enums import Reason, State

GROWS = "jobs|earlier|job_files|job_after|events|attempts"
WHOLE = "state|created|ended|ref"  # the indices that hold more than the few jobs that live
# Without statistics the way that SQLite chooses does not depend on how many rows there are; these make it honest.
ENDED = 1000

FULL = FlowhubError("The disk is full.")


@pytest.fixture
def job_store(tmp_path: Path) -> Iterator[JobStore]:
    """JobStore with many jobs that ended, and a few that live, of which one waits for another."""
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
    job_store.controls.set(NETWORK, {"text": "Down."}, until=job_store.time.in_us(-1))
    yield job_store
    job_store.close()


def plans(job_store: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return how SQLite runs each statement of `action` that reads or changes, with the very values that were bound."""
    said: list[tuple[str, Any]] = []

    def listen(connection, cursor, statement, parameters, context, many) -> None:
        if not statement.startswith(("INSERT", "BEGIN", "PRAGMA")):
            said.append((statement, parameters[0] if many else parameters))

    sa.event.listen(job_store.engine, "before_cursor_execute", listen)
    action()
    sa.event.remove(job_store.engine, "before_cursor_execute", listen)
    with reading(job_store.engine) as tx:
        return ["; ".join(row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", p)) for s, p in said]


def claim_plans(job_store: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return the same of the statement that takes the job.

    Without the looks at small tables, the schema's version and the hosts that are waited for, and at the job's own
    attempts.
    """
    small = ("alembic_version", "host_waits", "ix_attempts_job")
    return [plan for plan in plans(job_store, action) if not any(name in plan for name in small)]


def reads_all(plan: str) -> bool:
    """Return whether a plan goes through every row of a table that grows, or through every job of the node."""
    return re.search(rf"SCAN ({GROWS})\b|ix_jobs_({WHOLE}) \(node=\?\)", plan) is not None


def test_a_plan_that_reads_every_job_is_distinguished_from_one_that_does_not(job_store):
    """The test's own eye: without it, a change of SQLite's words would let everything pass."""

    def every_job() -> None:
        with reading(job_store.engine) as tx:
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.bytes_done > 5)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.node == NODE)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.id == 5)).all()

    assert [reads_all(plan) for plan in plans(job_store, every_job)] == [True, True, False]


# Each second, or for each job ----------------------------------------------------------------------------------------

LIVE_JOB = ENDED + 2


def running(job_store: JobStore, action: Callable[[Claimed], Any]) -> Callable[[], Any]:
    """Return what does this to a job that runs already: the claim is none of it."""
    claimed = job_store.claim()
    return lambda: action(claimed)


QUICK: dict[str, Callable[[JobStore], Callable[[], Any]]] = {
    "status": lambda job_store: job_store.queries.overview,
    "status of a job": lambda job_store: lambda: job_store.queries.jobs([LIVE_JOB]),
    "why it waits": lambda job_store: lambda: job_store.queries.holds(LIVE_JOB + 1),
    "its events": lambda job_store: lambda: job_store.queries.events(LIVE_JOB),
    "status --since": lambda job_store: lambda: job_store.queries.all(since=job_store.time.in_us(1)),
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
    "wishes": lambda job_store: job_store.owner.requested_actions,
    "progress": lambda job_store: running(
        job_store, lambda run: job_store.owner.progress(run.lease, seen(files=(FILE,)))
    ),
    "wait": lambda job_store: running(
        job_store, lambda run: job_store.owner.wait(run.lease, 1, Reason.DISK, FULL, faults=1, cost=True)
    ),
    "complete": lambda job_store: running(job_store, job_store.complete),
    "intended": lambda job_store: lambda: job_store.owner.claimed_by("x", but=1, store="default"),
    "rescue": lambda job_store: running(job_store, lambda run: job_store.rescue("w-1")),
    "keep waits": lambda job_store: lambda: shift_waits(job_store.engine, job_store.node, job_store.time.clock),
    "still to do": lambda job_store: job_store.queries.still_to_do,
    "ended badly": lambda job_store: lambda: job_store.queries.ended_badly(job_store.time.in_us(1)),
    "bytes needed": lambda job_store: job_store.queries.bytes_still_needed,
    "bytes fetched": lambda job_store: lambda: job_store.queries.bytes_being_fetched(but=1),
    "working on": lambda job_store: lambda: job_store.queries.working_on(["/x"]),
}  # fmt: skip


@pytest.mark.parametrize("action", QUICK.values(), ids=list(QUICK))
def test_nothing_reads_the_jobs_that_ended(job_store, action):
    asked = plans(job_store, action(job_store))
    assert asked
    assert [plan for plan in asked if reads_all(plan)] == []


def test_a_claim_goes_by_the_index_of_queued_jobs_and_sorts_nothing(job_store):
    [plan] = claim_plans(job_store, job_store.claim)
    assert "ix_jobs_claim" in plan
    assert "TEMP B-TREE" not in plan


def test_a_second_worker_asks_the_same_way(job_store):
    other = LeaseStore(job_store.engine, NODE, "w-2", job_store.time.clock)
    [plan] = claim_plans(job_store, other.claim)
    assert "ix_jobs_claim" in plan


def test_the_live_jobs_are_found_by_an_index_that_holds_no_other(job_store):
    [plan] = plans(job_store, job_store.queries.live_jobs)
    assert "jobs_live" in plan


def test_a_count_of_what_is_due_goes_no_further_than_asked(job_store):
    job_store.enqueue(*(f"m{number}" for number in range(20)))
    assert [job_store.owner.due(at_most=most) for most in (0, 3, 99, None)] == [0, 3, 21, 21]


def test_progress_of_a_run_is_two_statements_made_once(job_store):
    """They are written twice a second for each job: to make them anew cost twice as much as to run them."""
    lease = job_store.claim().lease
    said: list[str] = []
    sa.event.listen(
        job_store.engine, "before_cursor_execute", lambda c, cursor, text, p, context, many: said.append(text)
    )
    job_store.owner.progress(lease, seen(fetched=1, files=(FILE, FILE)))
    own = [text.split()[0] for text in said if "alembic_version" not in text]  # which each write looks at first
    assert own == ["BEGIN", "UPDATE", "UPDATE"]


# The other database --------------------------------------------------------------------------------------------------


def test_an_index_that_holds_only_some_rows_does_so_in_both_databases():
    """Else a job that ended would forbid another for the same artifact."""
    indices = [index for table in metadata.tables.values() for index in table.indexes]
    said = {str(index.name): str(CreateIndex(index).compile(dialect=postgresql.dialect())) for index in indices}
    partial = {index.name for index in indices if index.dialect_options["sqlite"]["where"] is not None}
    assert partial == {name for name, text in said.items() if " WHERE " in text}
    assert "uq_jobs_live" in partial
