"""The cap over both databases: the jobs that it holds, until when, and the bytes that count for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_clock import micros_of
from support.job_store import JobStore, artifact, store_in_berlin

from flowhub_jobs.jobs.cap import CAP, Cap
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms
from flowhub_jobs.jobs.wire_bytes import add_received
from flowhub_jobs.times import micros
from flowhub_jobs.values.enums import JobKind, Period, Reason
from flowhub_jobs.values.jobs import JobTarget

EVENING, MIDNIGHT = "2026-11-30T20:00+01:00", "2026-12-01T00:00+01:00"


@pytest.fixture
def job_store(tmp_path: Path, any_database: str | None) -> Iterator[JobStore]:
    """A store in Berlin, on the last evening of a month."""
    with store_in_berlin(tmp_path, any_database, EVENING) as job_store:
        yield job_store


def set_cap(job_store: JobStore, count: int | None, per: Period = Period.DAY) -> None:
    job_store.controls.set(CAP, Cap(count, per).as_json() if count is not None else None)


def receive(job_store: JobStore, count: int) -> None:
    add_received(job_store.engine, job_store.node, job_store.time.clock, count)


def reason_and_end(job_store: JobStore, number: int) -> tuple[Reason | None, int | None]:
    """Return the reason for which the job waits, and until when."""
    [job] = job_store.queries.jobs([number])
    return job.reason, micros(job.not_before) if job.not_before else None


def test_a_job_waits_from_the_last_byte_of_the_cap_until_the_next_day(job_store):
    set_cap(job_store, 1000)
    [job] = job_store.enqueue("a")
    receive(job_store, 999)
    assert reason_and_end(job_store, job) == (None, None)
    receive(job_store, 1)
    assert reason_and_end(job_store, job) == (Reason.CAP, micros_of(MIDNIGHT))
    assert (job_store.owner.due(job_store.controls.gates()), job_store.claim_through_gates()) == (0, None)
    job_store.time.set_to("2026-11-30T23:59:59+01:00")
    assert job_store.claim_through_gates() is None
    job_store.time.set_to(MIDNIGHT)
    assert reason_and_end(job_store, job) == (None, None)
    assert (job_store.owner.due(job_store.controls.gates()), job_store.claim_through_gates()) == (1, job)


def test_gates_that_were_read_before_midnight_open_at_midnight(job_store):
    set_cap(job_store, 1000)
    receive(job_store, 1000)
    [job] = job_store.enqueue("a")
    gates = job_store.controls.gates()
    job_store.time.set_to(MIDNIGHT)
    assert job_store.owner.claim(gates).lease.job == job


def test_a_cap_of_a_month_counts_all_its_days_and_ends_with_it(job_store):
    job_store.time.set_to("2026-11-01T00:00+01:00")
    receive(job_store, 400)
    job_store.time.set_to("2026-11-15T12:00+01:00")
    receive(job_store, 600)
    set_cap(job_store, 1000, Period.MONTH)  # bytes received before it was set count
    [job] = job_store.enqueue("a")
    assert reason_and_end(job_store, job) == (Reason.CAP, micros_of(MIDNIGHT))
    set_cap(job_store, 1000, Period.DAY)
    assert job_store.controls.cap().received == 600
    set_cap(job_store, 1000, Period.MONTH)
    job_store.time.set_to(MIDNIGHT)
    assert job_store.controls.cap().received == 0
    assert job_store.claim_through_gates() == job


def test_two_workers_share_the_count_and_another_node_has_its_own(job_store, tmp_path):
    set_cap(job_store, 1000)
    receive(job_store, 600)
    add_received(job_store.engine, "n-other", job_store.time.clock, 5000)
    assert job_store.controls.cap().left == 400
    receive(job_store, 700)
    usage = job_store.controls.cap()
    assert (usage.received, usage.left, usage.holds_until) == (1300, 0, micros_of(MIDNIGHT))


def test_a_job_that_the_user_started_waits_too_and_one_that_fetches_nothing_does_not(job_store):
    set_cap(job_store, 1)
    receive(job_store, 1)
    [fetch] = job_store.enqueue("a")
    job_store.commands.start(fetch)
    task = JobTarget(JobKind.VERIFY, "/store/b")
    [verify] = job_store.commands.enqueue([EnqueueRequest(artifact("b"), "/store/b", EnqueueTerms(), task=task)])
    assert reason_and_end(job_store, fetch)[0] is Reason.CAP
    assert reason_and_end(job_store, verify.job)[0] is None
    assert job_store.owner.due(job_store.controls.gates()) == 1
    assert job_store.claim_through_gates() == verify.job
    assert job_store.claim_through_gates() is None


def test_a_larger_cap_or_none_lets_jobs_start_at_once(job_store):
    set_cap(job_store, 10)
    receive(job_store, 10)
    [job] = job_store.enqueue("a")
    set_cap(job_store, 11)
    assert reason_and_end(job_store, job) == (None, None)
    set_cap(job_store, 5)
    assert reason_and_end(job_store, job)[0] is Reason.CAP
    set_cap(job_store, None)
    assert job_store.claim_through_gates() == job


def test_the_window_is_shown_before_the_cap_and_the_cap_before_other_jobs(job_store):
    set_cap(job_store, 1)
    receive(job_store, 1)
    [first] = job_store.enqueue("a")
    [job] = job_store.enqueue("b", after=(first,))
    job_store.schedule("21:00-22:00")
    reasons = [hold.reason for hold in job_store.queries.holds(job)]
    assert reasons == [Reason.WINDOW, Reason.CAP, Reason.AFTER]


def test_a_drain_does_not_wait_for_the_cap(job_store):
    set_cap(job_store, 1)
    job_store.enqueue("a")
    assert job_store.queries.still_to_do()
    receive(job_store, 1)
    assert not job_store.queries.still_to_do()


def test_a_clock_that_is_set_back_counts_on_the_day_that_it_shows(job_store):
    set_cap(job_store, 1000)
    job_store.time.set_to("2026-12-01T08:00+01:00")
    receive(job_store, 1000)
    job_store.time.shift_calendar(-86_400)
    receive(job_store, 1)
    assert job_store.controls.cap().received == 1
