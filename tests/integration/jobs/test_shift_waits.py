"""Waits that flowhub chose are shifted when the system clock is set; a time that a user named is not."""

import pytest
from support.job_store import JobStore

from flowhub_jobs.errors import FlowhubError, NetworkDown
from flowhub_jobs.jobs import shift_waits as jobs_shift_waits
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.jobs.shift_waits import OWN_REASONS, ClockWatch, shift_waits
from flowhub_jobs.values.enums import Reason

DAY = 86_400.0
MINUTE = 60.0


def shift(job_store: JobStore) -> float:
    """Have a worker compare the clocks; return the seconds by which it shifted the waits."""
    return shift_waits(job_store.engine, job_store.node, job_store.time.clock) / 1e6


def enqueue_waiting(job_store: JobStore, reason: Reason, model: str = "tiny") -> int:
    """Queue a job that waits for a minute from now; return it."""
    [job] = job_store.enqueue(model)
    job_store.set_row(job, wait_reason=reason, not_before=job_store.time.us_from_now(MINUTE))
    return job


@pytest.mark.parametrize("seconds", [DAY, -DAY, 2.0, -2.0])
@pytest.mark.parametrize("reason", OWN_REASONS)
def test_a_wait_keeps_its_length_when_the_calendar_is_set(job_store, reason, seconds):
    shift(job_store)
    job = enqueue_waiting(job_store, reason)
    job_store.time.shift_calendar(seconds)
    assert shift(job_store) == seconds
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE)


def test_a_worker_that_has_just_compared_the_clocks_sees_the_calendar_set(job_store):
    watch = ClockWatch(job_store.engine, job_store.node, job_store.time.clock)
    assert [watch.shift_waits() for _ in range(3)] == [0, 0, 0]
    job = enqueue_waiting(job_store, Reason.BACKOFF)
    job_store.time.shift_calendar(DAY)
    assert [watch.shift_waits() / 1e6 for _ in range(3)] == [DAY, 0, 0]
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE)


def test_several_workers_shift_a_wait_once(job_store):
    shift(job_store)
    job = enqueue_waiting(job_store, Reason.BACKOFF)
    job_store.time.shift_calendar(DAY)
    assert [shift(job_store) for _ in range(3)] == [DAY, 0, 0]
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE)


def test_a_paused_job_keeps_its_wait_too(job_store):
    shift(job_store)
    job = enqueue_waiting(job_store, Reason.HOST_WAIT)
    job_store.commands.pause(job)
    job_store.time.shift_calendar(DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE)


def test_the_time_that_a_user_named_stays(job_store):
    shift(job_store)
    job = enqueue_waiting(job_store, Reason.AT)
    named = job_store.row(job)["not_before"]
    job_store.time.shift_calendar(DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == named


def test_the_waits_of_another_node_are_left_to_it(job_store):
    shift(job_store)
    job = enqueue_waiting(job_store, Reason.BACKOFF)
    job_store.set_row(job, node="n-other")
    until = job_store.row(job)["not_before"]
    job_store.time.shift_calendar(DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == until


@pytest.mark.parametrize("first", [True, False], ids=["first comparison", "second comparison"])
def test_no_wait_is_shifted_by_passing_time_or_by_small_corrections(job_store, first):
    if not first:
        shift(job_store)
    job = enqueue_waiting(job_store, Reason.BACKOFF)
    until = job_store.row(job)["not_before"]
    job_store.time.advance(DAY)
    job_store.time.shift_calendar(0.5)
    assert shift(job_store) == 0
    assert job_store.row(job)["not_before"] == until


def test_no_wait_is_shifted_by_a_reboot(job_store, monkeypatch):
    """The awake clock starts at zero with each boot."""
    shift(job_store)
    job = enqueue_waiting(job_store, Reason.BACKOFF)
    until = job_store.row(job)["not_before"]
    monkeypatch.setattr(jobs_shift_waits, "boot_id", lambda: "another")
    job_store.time.awake_s = 7.0
    assert shift(job_store) == 0
    assert job_store.row(job)["not_before"] == until
    job_store.time.shift_calendar(DAY)
    assert shift(job_store) == DAY


# Another boot --------------------------------------------------------------------------------------------------------


def run_into_wait(job_store: JobStore, reason: Reason) -> int:
    """Queue a job whose run ends in a wait of a minute; return it."""
    [job] = job_store.enqueue("tiny")
    until = job_store.time.us_from_now(MINUTE)
    job_store.owner.requeue_after(
        job_store.claim().lease, until, reason, FlowhubError("It waits."), faults=1, counts_as_attempt=True
    )
    return job


def boot_with_calendar(job_store: JobStore, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Reboot the machine with a calendar that is wrong by `seconds`."""
    monkeypatch.setattr(jobs_shift_waits, "boot_id", lambda: "another")
    job_store.time.awake_s = 7.0
    job_store.time.shift_calendar(seconds)


@pytest.mark.parametrize("years", [1 / 365, 24], ids=["a day behind", "in 2002"])
@pytest.mark.parametrize("reason", [Reason.BACKOFF, Reason.DISK, Reason.STORE_OFFLINE])
def test_a_wait_of_an_earlier_boot_lasts_no_longer_than_it_was_ordered_when_the_calendar_is_behind(
    job_store, monkeypatch, reason, years
):
    shift(job_store)
    job = run_into_wait(job_store, reason)
    boot_with_calendar(job_store, monkeypatch, -years * 365 * DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE)


def test_a_calendar_that_is_corrected_after_the_boot_makes_that_wait_no_longer(job_store, monkeypatch):
    shift(job_store)
    job = run_into_wait(job_store, Reason.BACKOFF)
    boot_with_calendar(job_store, monkeypatch, -8760 * DAY)
    shift(job_store)
    job_store.time.advance(MINUTE / 2)
    job_store.time.shift_calendar(8760 * DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == job_store.time.us_from_now(MINUTE / 2)


def test_a_wait_for_a_host_keeps_its_length_across_a_boot_with_another_calendar(job_store, monkeypatch):
    shift(job_store)
    job_store.enqueue("tiny")
    run = job_store.claim()
    table = HostWaits(job_store.engine, job_store.node, job_store.time.clock)
    table.hold("https://h.example:443", run.lease.token, NetworkDown("It is away."), lambda tries: MINUTE, 1.0)
    boot_with_calendar(job_store, monkeypatch, -DAY)
    shift(job_store)
    [wait] = table.held().waits.values()
    assert (wait.until, wait.since) == (job_store.time.us_from_now(MINUTE), job_store.time.us_from_now(0))


def test_a_limit_for_a_time_keeps_its_length_when_the_calendar_is_set(job_store, monkeypatch):
    """Also if no worker has compared the clocks before the limit was set."""
    job_store.controls.set("limit", {"rate_bps": 5}, until_us=job_store.time.us_from_now(MINUTE))
    job_store.time.shift_calendar(DAY)
    assert shift(job_store) == DAY
    assert job_store.controls.get("limit") == ({"rate_bps": 5}, job_store.time.us_from_now(MINUTE))
    boot_with_calendar(job_store, monkeypatch, -3 * DAY)
    shift(job_store)
    assert job_store.controls.get("limit") == ({"rate_bps": 5}, job_store.time.us_from_now(MINUTE))
    job_store.time.advance(MINUTE)
    assert job_store.controls.get("limit") is None


def test_a_time_that_the_user_named_is_not_shortened_by_a_boot(job_store, monkeypatch):
    shift(job_store)
    named = job_store.time.us_from_now(DAY)
    [job] = job_store.enqueue("tiny", not_before=named)
    boot_with_calendar(job_store, monkeypatch, -DAY)
    shift(job_store)
    assert job_store.row(job)["not_before"] == named
