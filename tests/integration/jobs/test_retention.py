"""Retention of events: old ones are deleted once an hour, in small transactions; events of live jobs stay."""

import pytest
import sqlalchemy as sa
from support.job_store import JobStore

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import attempts, events, jobs
from flowhub_jobs.jobs import event_retention
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.event_retention import prune
from flowhub_jobs.jobs.shared_update_sql import write_event
from flowhub_jobs.values.enums import State

DAY, HOUR = 86_400.0, 3600.0


def prune_events(job_store: JobStore, days: int = 90) -> int:
    return prune(job_store.engine, job_store.node, job_store.time.clock, days)


def count(job_store: JobStore, table: sa.Table = events) -> int:
    with reading(job_store.engine) as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def add_events(job_store: JobStore, job: int, number: int) -> None:
    with writing(job_store.engine) as tx:
        for _ in range(number):
            write_event(tx, job, job_store.time.calendar_us, "fault", "It fell.")


def test_events_older_than_the_setting_go_and_the_job_stays_with_its_attempts(job_store):
    job = job_store.job_in(State.COMPLETED)
    job_store.time.advance(90 * DAY)
    assert prune_events(job_store) == 0  # exactly that old, and not older
    job_store.time.advance(HOUR)
    assert prune_events(job_store) == 3
    assert job_store.queries.events(job) == []
    assert job_store.state(job) is State.COMPLETED
    assert (count(job_store, jobs), count(job_store, attempts)) == (1, 1)


def test_younger_events_stay(job_store):
    job_store.job_in(State.FAILED, "old")
    job_store.time.advance(10 * DAY)
    young = job_store.job_in(State.FAILED, "young")
    assert prune_events(job_store, days=5) == 3
    assert len(job_store.queries.events(young)) == 3


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_no_event_of_a_live_job_is_deleted_however_old(job_store, state):
    job = job_store.job_in(state)
    before = job_store.queries.events(job)
    job_store.time.advance(1000 * DAY)
    assert prune_events(job_store) == 0
    assert job_store.queries.events(job) == before


def test_events_are_pruned_once_an_hour(job_store):
    assert prune_events(job_store) == 0
    add_events(job_store, job_store.job_in(State.COMPLETED), 5)
    job_store.time.shift_calendar(100 * DAY)
    assert prune_events(job_store) == 8
    add_events(job_store, job_store.job_in(State.CANCELLED, "other"), 1)
    job_store.time.advance(HOUR - 1)
    assert prune_events(job_store, days=0) == 0
    job_store.time.advance(1)
    assert prune_events(job_store, days=0) == 3


def test_a_calendar_that_was_set_back_does_not_prevent_pruning(job_store):
    prune_events(job_store)
    job_store.job_in(State.COMPLETED)
    job_store.time.shift_calendar(-DAY)
    assert prune_events(job_store, days=0) == 0  # by this calendar the events are of tomorrow
    job_store.time.advance(2 * DAY)
    assert prune_events(job_store, days=0) == 3


def test_each_transaction_is_small_and_the_rest_waits_for_the_next_hour(job_store, monkeypatch):
    monkeypatch.setattr(event_retention, "BATCH", 10)
    monkeypatch.setattr(event_retention, "TURNS_MAX", 3)
    add_events(job_store, job_store.job_in(State.COMPLETED), 47)
    job_store.time.advance(91 * DAY)
    commits: list[int] = []
    sa.event.listen(job_store.engine, "commit", lambda connection: commits.append(1))
    assert prune_events(job_store) == 30
    assert len(commits) > 3  # one for each batch, and one for the time of the run
    job_store.time.advance(HOUR)
    assert prune_events(job_store) == 20


def test_the_events_of_another_node_are_left_to_it(job_store):
    other = JobCommands(job_store.engine, "n-other", job_store.time.clock)
    job_store.job_in(State.COMPLETED)
    with writing(job_store.engine) as tx:
        tx.execute(sa.update(jobs).values(node="n-other"))
    job_store.time.advance(91 * DAY)
    assert prune_events(job_store) == 0
    assert prune(job_store.engine, other._node, job_store.time.clock, 90) == 3


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)  # the plan is SQLite's
def test_old_events_are_found_by_the_index_of_their_times(job_store):
    statements: list[tuple[str, tuple[object, ...]]] = []
    sa.event.listen(
        job_store.engine,
        "before_cursor_execute",
        lambda c, cursor, text, parameters, *_: statements.append((text, parameters)),
    )
    job_store.job_in(State.COMPLETED)
    job_store.time.advance(91 * DAY)
    prune_events(job_store)
    [(text, parameters)] = [
        (text, parameters) for text, parameters in statements if text.startswith("DELETE FROM events")
    ]
    with reading(job_store.engine) as tx:
        plan = [row[-1] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)]
    assert any("ix_events_at" in step for step in plan), plan
    assert not any(step.startswith("SCAN events") for step in plan), plan
