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
def rooms(tmp_path: Path) -> Iterator[JobStore]:
    """JobStore with many jobs that ended, and a few that live, of which one waits for another."""
    rooms = JobStore(tmp_path)
    [job] = rooms.enqueue("pattern")
    rooms.commands.cancel(job)
    row = {name: value for name, value in rooms.row(job).items() if name != "id"}
    with writing(rooms.engine) as tx:
        tx.execute(jobs.insert(), [{**row, "artifact_key": f"{number}"} for number in range(ENDED)])
        numbers = range(2, ENDED + 2)
        tx.execute(job_files.insert(), [{"job_id": number, "number": 0, "path": "x"} for number in numbers])
        tx.execute(events.insert(), [{"job_id": number, "at": 1, "kind": "x", "text": "x"} for number in numbers])
    [first] = rooms.enqueue("a", priority=1)
    rooms.enqueue("b", "c", priority=2, after=(first,))
    rooms.schedule("00:00-24:00")
    rooms.controls.set(NETWORK, {"text": "Down."}, until=rooms.time.in_us(-1))
    yield rooms
    rooms.close()


def plans(rooms: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return how SQLite runs each statement of `action` that reads or changes, with the very values that were bound."""
    said: list[tuple[str, Any]] = []

    def listen(connection, cursor, statement, parameters, context, many) -> None:
        if not statement.startswith(("INSERT", "BEGIN", "PRAGMA")):
            said.append((statement, parameters[0] if many else parameters))

    sa.event.listen(rooms.engine, "before_cursor_execute", listen)
    action()
    sa.event.remove(rooms.engine, "before_cursor_execute", listen)
    with reading(rooms.engine) as tx:
        return ["; ".join(row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", p)) for s, p in said]


def claim_plans(rooms: JobStore, action: Callable[[], Any]) -> list[str]:
    """Return the same of the statement that takes the job.

    Without the looks at small tables, the schema's version and the hosts that are waited for, and at the job's own
    attempts.
    """
    small = ("alembic_version", "host_waits", "ix_attempts_job")
    return [plan for plan in plans(rooms, action) if not any(name in plan for name in small)]


def reads_all(plan: str) -> bool:
    """Return whether a plan goes through every row of a table that grows, or through every job of the node."""
    return re.search(rf"SCAN ({GROWS})\b|ix_jobs_({WHOLE}) \(node=\?\)", plan) is not None


def test_a_plan_that_reads_every_job_is_distinguished_from_one_that_does_not(rooms):
    """The test's own eye: without it, a change of SQLite's words would let everything pass."""

    def every_job() -> None:
        with reading(rooms.engine) as tx:
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.bytes_done > 5)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.node == NODE)).all()
            tx.execute(sa.select(jobs.c.ref).where(jobs.c.id == 5)).all()

    assert [reads_all(plan) for plan in plans(rooms, every_job)] == [True, True, False]


# Each second, or for each job ----------------------------------------------------------------------------------------

LIVE_JOB = ENDED + 2


def running(rooms: JobStore, action: Callable[[Claimed], Any]) -> Callable[[], Any]:
    """Return what does this to a job that runs already: the claim is none of it."""
    claimed = rooms.claim()
    return lambda: action(claimed)


QUICK: dict[str, Callable[[JobStore], Callable[[], Any]]] = {
    "status": lambda rooms: rooms.queries.overview,
    "status of a job": lambda rooms: lambda: rooms.queries.jobs([LIVE_JOB]),
    "why it waits": lambda rooms: lambda: rooms.queries.holds(LIVE_JOB + 1),
    "its events": lambda rooms: lambda: rooms.queries.events(LIVE_JOB),
    "status --since": lambda rooms: lambda: rooms.queries.all(since=rooms.time.in_us(1)),
    "status --state": lambda rooms: lambda: rooms.queries.all(state=State.FAILED),
    "all paused": lambda rooms: lambda: rooms.queries.in_state([State.PAUSED]),
    "live jobs": lambda rooms: rooms.queries.live_jobs,
    "enqueue": lambda rooms: lambda: rooms.enqueue("new", after=(LIVE_JOB,)),
    "pause": lambda rooms: lambda: rooms.commands.pause(LIVE_JOB),
    "retry": lambda rooms: lambda: rooms.commands.retry(1),
    "priority": lambda rooms: lambda: rooms.commands.set_priority(LIVE_JOB, 4),
    "due": lambda rooms: lambda: rooms.owner.due(rooms.controls.gates(), at_most=3),
    "claim": lambda rooms: lambda: rooms.owner.claim(rooms.controls.gates()),
    "renew": lambda rooms: lambda: rooms.owner.renew({}),
    "wishes": lambda rooms: rooms.owner.requested_actions,
    "progress": lambda rooms: running(rooms, lambda run: rooms.owner.progress(run.lease, seen(files=(FILE,)))),
    "wait": lambda rooms: running(
        rooms, lambda run: rooms.owner.wait(run.lease, 1, Reason.DISK, FULL, faults=1, cost=True)
    ),
    "complete": lambda rooms: running(rooms, rooms.complete),
    "intended": lambda rooms: lambda: rooms.owner.claimed_by("x", but=1, store="default"),
    "rescue": lambda rooms: running(rooms, lambda run: rooms.rescue("w-1")),
    "keep waits": lambda rooms: lambda: shift_waits(rooms.engine, rooms.node, rooms.time.clock),
    "still to do": lambda rooms: rooms.queries.still_to_do,
    "ended badly": lambda rooms: lambda: rooms.queries.ended_badly(rooms.time.in_us(1)),
    "bytes needed": lambda rooms: rooms.queries.bytes_still_needed,
    "bytes fetched": lambda rooms: lambda: rooms.queries.bytes_being_fetched(but=1),
    "working on": lambda rooms: lambda: rooms.queries.working_on(["/x"]),
}  # fmt: skip


@pytest.mark.parametrize("action", QUICK.values(), ids=list(QUICK))
def test_nothing_reads_the_jobs_that_ended(rooms, action):
    asked = plans(rooms, action(rooms))
    assert asked
    assert [plan for plan in asked if reads_all(plan)] == []


def test_a_claim_goes_by_the_index_of_queued_jobs_and_sorts_nothing(rooms):
    [plan] = claim_plans(rooms, rooms.claim)
    assert "ix_jobs_claim" in plan
    assert "TEMP B-TREE" not in plan


def test_a_second_worker_asks_the_same_way(rooms):
    other = LeaseStore(rooms.engine, NODE, "w-2", rooms.time.clock)
    [plan] = claim_plans(rooms, other.claim)
    assert "ix_jobs_claim" in plan


def test_the_live_jobs_are_found_by_an_index_that_holds_no_other(rooms):
    [plan] = plans(rooms, rooms.queries.live_jobs)
    assert "jobs_live" in plan


def test_a_count_of_what_is_due_goes_no_further_than_asked(rooms):
    rooms.enqueue(*(f"m{number}" for number in range(20)))
    assert [rooms.owner.due(at_most=most) for most in (0, 3, 99, None)] == [0, 3, 21, 21]


def test_progress_of_a_run_is_two_statements_made_once(rooms):
    """They are written twice a second for each job: to make them anew cost twice as much as to run them."""
    lease = rooms.claim().lease
    said: list[str] = []
    sa.event.listen(rooms.engine, "before_cursor_execute", lambda c, cursor, text, p, context, many: said.append(text))
    rooms.owner.progress(lease, seen(fetched=1, files=(FILE, FILE)))
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
