"""Old events go, once an hour and a few at a time; jobs stay, and of a live one everything."""

import pytest
import sqlalchemy as sa
from support.job_store import JobStore

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import attempts, events, jobs
from flowhub_jobs.jobs import event_retention
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.event_retention import prune
from flowhub_jobs.jobs.shared_update_sql import note
from flowhub_jobs.values.enums import State

DAY, HOUR = 86_400.0, 3600.0


def dropped(rooms: JobStore, days: int = 90) -> int:
    return prune(rooms.engine, rooms.node, rooms.time.clock, days)


def count(rooms: JobStore, table: sa.Table = events) -> int:
    with reading(rooms.engine) as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def note_many(rooms: JobStore, job: int, many: int) -> None:
    with writing(rooms.engine) as tx:
        for _ in range(many):
            note(tx, job, rooms.time.calendar_us, "fault", "It fell.")


def test_events_older_than_the_setting_go_and_the_job_stays_with_its_attempts(rooms):
    job = rooms.job_in(State.COMPLETED)
    rooms.time.turn(90 * DAY)
    assert dropped(rooms) == 0  # not older than that: as old
    rooms.time.turn(HOUR)
    assert dropped(rooms) == 3
    assert rooms.queries.events(job) == []
    assert rooms.state(job) is State.COMPLETED
    assert (count(rooms, jobs), count(rooms, attempts)) == (1, 1)


def test_younger_events_stay(rooms):
    rooms.job_in(State.FAILED, "old")
    rooms.time.turn(10 * DAY)
    young = rooms.job_in(State.FAILED, "young")
    assert dropped(rooms, days=5) == 3
    assert len(rooms.queries.events(young)) == 3


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_no_event_of_a_live_job_goes_however_old(rooms, state):
    job = rooms.job_in(state)
    before = rooms.queries.events(job)
    rooms.time.turn(1000 * DAY)
    assert dropped(rooms) == 0
    assert rooms.queries.events(job) == before


def test_it_is_done_once_an_hour_whichever_worker_comes_first(rooms):
    assert dropped(rooms) == 0
    note_many(rooms, rooms.job_in(State.COMPLETED), 5)
    rooms.time.set_calendar(100 * DAY)
    assert dropped(rooms) == 8
    note_many(rooms, rooms.job_in(State.CANCELLED, "other"), 1)
    rooms.time.turn(HOUR - 1)
    assert dropped(rooms, days=0) == 0
    rooms.time.turn(1)
    assert dropped(rooms, days=0) == 3


def test_a_calendar_that_was_set_back_does_not_keep_it_from_being_done(rooms):
    dropped(rooms)
    rooms.job_in(State.COMPLETED)
    rooms.time.set_calendar(-DAY)
    assert dropped(rooms, days=0) == 0  # those events are of tomorrow
    rooms.time.turn(2 * DAY)
    assert dropped(rooms, days=0) == 3


def test_each_transaction_is_small_and_the_rest_waits_for_the_next_hour(rooms, monkeypatch):
    monkeypatch.setattr(event_retention, "AT_ONCE", 10)
    monkeypatch.setattr(event_retention, "TURNS_MAX", 3)
    note_many(rooms, rooms.job_in(State.COMPLETED), 47)
    rooms.time.turn(91 * DAY)
    commits: list[int] = []
    sa.event.listen(rooms.engine, "commit", lambda connection: commits.append(1))
    assert dropped(rooms) == 30
    assert len(commits) > 3  # one a turn, and one for the hour
    rooms.time.turn(HOUR)
    assert dropped(rooms) == 20


def test_another_nodes_events_are_left_to_it(rooms):
    other = JobCommands(rooms.engine, "n-other", rooms.time.clock)
    rooms.job_in(State.COMPLETED)
    with writing(rooms.engine) as tx:
        tx.execute(sa.update(jobs).values(node="n-other"))
    rooms.time.turn(91 * DAY)
    assert dropped(rooms) == 0
    assert prune(rooms.engine, other._node, rooms.time.clock, 90) == 3


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)  # whose plan it reads
def test_the_old_ones_are_found_by_the_index_of_their_times(rooms):
    seen: list[tuple[str, tuple[object, ...]]] = []
    sa.event.listen(
        rooms.engine, "before_cursor_execute", lambda c, cursor, text, given, *_: seen.append((text, given))
    )
    rooms.job_in(State.COMPLETED)
    rooms.time.turn(91 * DAY)
    dropped(rooms)
    [(text, given)] = [(text, given) for text, given in seen if text.startswith("DELETE FROM events")]
    with reading(rooms.engine) as tx:
        plan = [row[-1] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)]
    assert any("ix_events_at" in step for step in plan), plan
    assert not any(step.startswith("SCAN events") for step in plan), plan
