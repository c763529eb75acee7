"""The cap over both databases: what it holds, until when, and what counts for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_clock import micros_of
from support.job_store import JobStore, artifact, store_in_berlin

from flowhub_jobs.jobs.cap import CAP, Cap
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms, Request
from flowhub_jobs.jobs.wire_bytes import add_received
from flowhub_jobs.times import micros
from flowhub_jobs.values.enums import JobKind, Period, Reason
from flowhub_jobs.values.jobs import JobTarget

EVENING, MIDNIGHT = "2026-11-30T20:00+01:00", "2026-12-01T00:00+01:00"


@pytest.fixture
def rooms(tmp_path: Path, any_database: str | None) -> Iterator[JobStore]:
    """A store in Berlin, on the last evening of a month."""
    with store_in_berlin(tmp_path, any_database, EVENING) as rooms:
        yield rooms


def cap(rooms: JobStore, count: int | None, per: Period = Period.DAY) -> None:
    rooms.controls.set(CAP, Cap(count, per).as_json() if count is not None else None)


def receive(rooms: JobStore, count: int) -> None:
    add_received(rooms.engine, rooms.node, rooms.time.clock, count)


def why(rooms: JobStore, job: int) -> tuple[Reason | None, int | None]:
    [found] = rooms.queries.jobs([job])
    return found.reason, micros(found.not_before) if found.not_before else None


def test_a_job_waits_from_the_last_byte_of_the_cap_until_the_day_turns(rooms):
    cap(rooms, 1000)
    [job] = rooms.enqueue("a")
    receive(rooms, 999)
    assert why(rooms, job) == (None, None)
    receive(rooms, 1)
    assert why(rooms, job) == (Reason.CAP, micros_of(MIDNIGHT))
    assert (rooms.owner.due(rooms.controls.gates()), rooms.claim_obeying()) == (0, None)
    rooms.time.turn_to("2026-11-30T23:59:59+01:00")
    assert rooms.claim_obeying() is None
    rooms.time.turn_to(MIDNIGHT)
    assert why(rooms, job) == (None, None)
    assert (rooms.owner.due(rooms.controls.gates()), rooms.claim_obeying()) == (1, job)


def test_gates_that_were_read_before_the_day_turned_open_by_themselves(rooms):
    cap(rooms, 1000)
    receive(rooms, 1000)
    [job] = rooms.enqueue("a")
    gates = rooms.controls.gates()
    rooms.time.turn_to(MIDNIGHT)
    assert rooms.owner.claim(gates).lease.job == job


def test_a_month_holds_over_its_days_and_turns_with_the_next(rooms):
    rooms.time.turn_to("2026-11-01T00:00+01:00")
    receive(rooms, 400)
    rooms.time.turn_to("2026-11-15T12:00+01:00")
    receive(rooms, 600)
    cap(rooms, 1000, Period.MONTH)  # what came before it counts
    [job] = rooms.enqueue("a")
    assert why(rooms, job) == (Reason.CAP, micros_of(MIDNIGHT))
    cap(rooms, 1000, Period.DAY)
    assert rooms.controls.cap().received == 600
    cap(rooms, 1000, Period.MONTH)
    rooms.time.turn_to(MIDNIGHT)
    assert rooms.controls.cap().received == 0
    assert rooms.claim_obeying() == job


def test_two_workers_share_the_count_and_another_node_has_its_own(rooms, tmp_path):
    cap(rooms, 1000)
    receive(rooms, 600)
    add_received(rooms.engine, "n-other", rooms.time.clock, 5000)
    assert rooms.controls.cap().left == 400
    receive(rooms, 700)
    use = rooms.controls.cap()
    assert (use.received, use.left, use.holds_until) == (1300, 0, micros_of(MIDNIGHT))


def test_a_job_that_the_user_started_waits_too_and_one_that_fetches_nothing_does_not(rooms):
    cap(rooms, 1)
    receive(rooms, 1)
    [fetch] = rooms.enqueue("a")
    rooms.commands.start(fetch)
    task = JobTarget(JobKind.VERIFY, "/store/b")
    [verify] = rooms.commands.enqueue([Request(artifact("b"), "/store/b", EnqueueTerms(), task=task)])
    assert why(rooms, fetch)[0] is Reason.CAP
    assert why(rooms, verify.job)[0] is None
    assert rooms.owner.due(rooms.controls.gates()) == 1
    assert rooms.claim_obeying() == verify.job
    assert rooms.claim_obeying() is None


def test_a_larger_cap_or_none_lets_jobs_start_at_once(rooms):
    cap(rooms, 10)
    receive(rooms, 10)
    [job] = rooms.enqueue("a")
    cap(rooms, 11)
    assert why(rooms, job) == (None, None)
    cap(rooms, 5)
    assert why(rooms, job)[0] is Reason.CAP
    cap(rooms, None)
    assert rooms.claim_obeying() == job


def test_the_window_is_shown_before_the_cap_and_the_cap_before_other_jobs(rooms):
    cap(rooms, 1)
    receive(rooms, 1)
    [first] = rooms.enqueue("a")
    [job] = rooms.enqueue("b", after=(first,))
    rooms.schedule("21:00-22:00")
    reasons = [hold.reason for hold in rooms.queries.holds(job)]
    assert reasons == [Reason.WINDOW, Reason.CAP, Reason.AFTER]


def test_a_worker_that_drains_does_not_stay_for_the_cap(rooms):
    cap(rooms, 1)
    rooms.enqueue("a")
    assert rooms.queries.still_to_do()
    receive(rooms, 1)
    assert not rooms.queries.still_to_do()


def test_a_clock_that_is_set_back_counts_on_the_day_that_it_shows(rooms):
    cap(rooms, 1000)
    rooms.time.turn_to("2026-12-01T08:00+01:00")
    receive(rooms, 1000)
    rooms.time.set_calendar(-86_400)
    receive(rooms, 1)
    assert rooms.controls.cap().received == 1
