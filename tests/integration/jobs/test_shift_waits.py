"""What flowhub itself waits for is moved along when the calendar is set; what a person named is not."""

import pytest
from support.job_store import JobStore

from flowhub_jobs.errors import FlowhubError, NetworkDown
from flowhub_jobs.jobs import shift_waits as jobs_shift_waits
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.jobs.shift_waits import OWN_REASONS, ClockWatch, shift_waits
from flowhub_jobs.values.enums import Reason

DAY = 86_400.0
MINUTE = 60.0


def look(rooms: JobStore) -> float:
    """Have a worker look at the calendar; return the seconds by which it moved what waits."""
    return shift_waits(rooms.engine, rooms.node, rooms.time.clock) / 1e6


def waiting(rooms: JobStore, reason: Reason, model: str = "tiny") -> int:
    """Queue a job that waits for a minute from now."""
    [job] = rooms.enqueue(model)
    rooms.set_row(job, wait_reason=reason, not_before=rooms.time.in_us(MINUTE))
    return job


@pytest.mark.parametrize("seconds", [DAY, -DAY, 2.0, -2.0])
@pytest.mark.parametrize("reason", OWN_REASONS)
def test_a_wait_lasts_as_long_as_it_was_meant_when_the_calendar_is_set(rooms, reason, seconds):
    look(rooms)
    job = waiting(rooms, reason)
    rooms.time.set_calendar(seconds)
    assert look(rooms) == seconds
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE)


def test_a_worker_that_has_just_looked_sees_the_calendar_set(rooms):
    watch = ClockWatch(rooms.engine, rooms.node, rooms.time.clock)
    assert [watch.shift_waits() for _ in range(3)] == [0, 0, 0]
    job = waiting(rooms, Reason.BACKOFF)
    rooms.time.set_calendar(DAY)
    assert [watch.shift_waits() / 1e6 for _ in range(3)] == [DAY, 0, 0]
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE)


def test_many_workers_move_a_wait_once(rooms):
    look(rooms)
    job = waiting(rooms, Reason.BACKOFF)
    rooms.time.set_calendar(DAY)
    assert [look(rooms) for _ in range(3)] == [DAY, 0, 0]
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE)


def test_a_paused_job_keeps_its_wait_too(rooms):
    look(rooms)
    job = waiting(rooms, Reason.HOST_WAIT)
    rooms.commands.pause(job)
    rooms.time.set_calendar(DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE)


def test_the_time_that_a_person_named_stays(rooms):
    look(rooms)
    job = waiting(rooms, Reason.AT)
    named = rooms.row(job)["not_before"]
    rooms.time.set_calendar(DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == named


def test_the_jobs_of_another_node_are_its_own_to_move(rooms):
    look(rooms)
    job = waiting(rooms, Reason.BACKOFF)
    rooms.set_row(job, node="n-other")
    until = rooms.row(job)["not_before"]
    rooms.time.set_calendar(DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == until


@pytest.mark.parametrize("first", [True, False], ids=["before the first look", "after it"])
def test_nothing_is_moved_by_time_that_passes_or_by_what_a_time_service_corrects(rooms, first):
    if not first:
        look(rooms)
    job = waiting(rooms, Reason.BACKOFF)
    until = rooms.row(job)["not_before"]
    rooms.time.turn(DAY)
    rooms.time.set_calendar(0.5)
    assert look(rooms) == 0
    assert rooms.row(job)["not_before"] == until


def test_nothing_is_moved_by_a_reboot(rooms, monkeypatch):
    """The awake clock begins anew with each boot."""
    look(rooms)
    job = waiting(rooms, Reason.BACKOFF)
    until = rooms.row(job)["not_before"]
    monkeypatch.setattr(jobs_shift_waits, "boot_id", lambda: "another")
    rooms.time.awake_s = 7.0
    assert look(rooms) == 0
    assert rooms.row(job)["not_before"] == until
    rooms.time.set_calendar(DAY)
    assert look(rooms) == DAY


# Another boot ---------------------------------------------------------------------------------------------------------


def ordered(rooms: JobStore, reason: Reason) -> int:
    """Have a run of a new job order a wait of a minute."""
    [job] = rooms.enqueue("tiny")
    until = rooms.time.in_us(MINUTE)
    rooms.owner.wait(rooms.claim().lease, until, reason, FlowhubError("It waits."), faults=1, cost=True)
    return job


def boot_with_calendar(rooms: JobStore, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Start the machine again, with a calendar that is off by so much."""
    monkeypatch.setattr(jobs_shift_waits, "boot_id", lambda: "another")
    rooms.time.awake_s = 7.0
    rooms.time.set_calendar(seconds)


@pytest.mark.parametrize("years", [1 / 365, 24], ids=["a day behind", "in 2002"])
@pytest.mark.parametrize("reason", [Reason.BACKOFF, Reason.DISK, Reason.STORE_OFFLINE])
def test_a_wait_of_an_earlier_boot_lasts_no_longer_than_it_was_ordered_when_the_calendar_is_behind(
    rooms, monkeypatch, reason, years
):
    look(rooms)
    job = ordered(rooms, reason)
    boot_with_calendar(rooms, monkeypatch, -years * 365 * DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE)


def test_a_calendar_that_is_corrected_after_the_boot_makes_that_wait_no_longer(rooms, monkeypatch):
    look(rooms)
    job = ordered(rooms, Reason.BACKOFF)
    boot_with_calendar(rooms, monkeypatch, -8760 * DAY)
    look(rooms)
    rooms.time.turn(MINUTE / 2)
    rooms.time.set_calendar(8760 * DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == rooms.time.in_us(MINUTE / 2)


def test_a_wait_for_a_host_keeps_its_length_across_a_boot_with_another_calendar(rooms, monkeypatch):
    look(rooms)
    rooms.enqueue("tiny")
    run = rooms.claim()
    table = HostWaits(rooms.engine, rooms.node, rooms.time.clock)
    table.hold("https://h.example:443", run.lease.token, NetworkDown("It is away."), lambda tries: MINUTE, 1.0)
    boot_with_calendar(rooms, monkeypatch, -DAY)
    look(rooms)
    [wait] = table.held().waits.values()
    assert (wait.until, wait.since) == (rooms.time.in_us(MINUTE), rooms.time.in_us(0))


def test_a_limit_for_a_time_keeps_its_length_when_the_calendar_is_set(rooms, monkeypatch):
    """Also where no worker has looked at the calendar before the limit was set."""
    rooms.controls.set("limit", {"rate_bps": 5}, until=rooms.time.in_us(MINUTE))
    rooms.time.set_calendar(DAY)
    assert look(rooms) == DAY
    assert rooms.controls.get("limit") == ({"rate_bps": 5}, rooms.time.in_us(MINUTE))
    boot_with_calendar(rooms, monkeypatch, -3 * DAY)
    look(rooms)
    assert rooms.controls.get("limit") == ({"rate_bps": 5}, rooms.time.in_us(MINUTE))
    rooms.time.turn(MINUTE)
    assert rooms.controls.get("limit") is None


def test_a_time_that_the_user_named_is_not_shortened_by_a_boot(rooms, monkeypatch):
    look(rooms)
    named = rooms.time.in_us(DAY)
    [job] = rooms.enqueue("tiny", not_before=named)
    boot_with_calendar(rooms, monkeypatch, -DAY)
    look(rooms)
    assert rooms.row(job)["not_before"] == named
