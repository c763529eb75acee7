"""What flowhub itself waits for is moved along when the calendar is set; what a person named is not."""

import pytest
from support.rooms import Rooms

from flowhub_jobs.jobs import waits
from flowhub_jobs.jobs.waits import OURS, keep_waits
from flowhub_jobs.kinds import Reason

DAY = 86_400.0
MINUTE = 60.0


def look(rooms: Rooms) -> float:
    """Have a worker look at the calendar; return the seconds by which it moved what waits."""
    return keep_waits(rooms.engine, rooms.node, rooms.time.clock) / 1e6


def waiting(rooms: Rooms, reason: Reason, model: str = "tiny") -> int:
    """Queue a job that waits for a minute from now."""
    [job] = rooms.enqueue(model)
    rooms.set_row(job, wait_reason=reason, not_before=rooms.time.in_us(MINUTE))
    return job


@pytest.mark.parametrize("seconds", [DAY, -DAY, 2.0, -2.0])
@pytest.mark.parametrize("reason", OURS)
def test_a_wait_lasts_as_long_as_it_was_meant_when_the_calendar_is_set(rooms, reason, seconds):
    look(rooms)
    job = waiting(rooms, reason)
    rooms.time.set_calendar(seconds)
    assert look(rooms) == seconds
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
    rooms.ledger.pause(job)
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
    monkeypatch.setattr(waits, "boot_id", lambda: "another")
    rooms.time.awake_s = 7.0
    assert look(rooms) == 0
    assert rooms.row(job)["not_before"] == until
    rooms.time.set_calendar(DAY)
    assert look(rooms) == DAY
