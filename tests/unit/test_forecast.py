"""Forecasts of the time when jobs are done, from the schedule's windows and their rates, and from the cap."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from support.fake_clock import micros_of
from support.time_zones import local_time_zone

from flowhub_jobs.jobs.cap import Cap, CapUse, turns_at
from flowhub_jobs.jobs.schedule import DayWindows, Schedule
from flowhub_jobs.operations.forecast import AWAY, Remaining, done_at, remaining
from flowhub_jobs.operations.total_line import in_words
from flowhub_jobs.values.enums import Period, Reason, State

SPEED = 1_000_000  # bytes a second
NOON = "2026-11-23T12:00+01:00"  # a Monday


@pytest.mark.parametrize(
    ("schedule", "hours", "expected"),
    [
        (None, 3, "2026-11-23T15:00+01:00"),
        (Schedule.parse("23:00-07:00", None, "500K"), 3, "2026-11-23T18:00+01:00"),
        (Schedule.parse("23:00-07:00"), 3, "2026-11-24T02:00+01:00"),
        (Schedule.parse("23:00-07:00"), 8, "2026-11-24T07:00+01:00"),
        (Schedule.parse("23:00-07:00"), 9, "2026-11-25T00:00+01:00"),
        (Schedule.parse("11:00-13:00"), 2, "2026-11-24T12:00+01:00"),
        (Schedule.parse("23:00-07:00", "fri"), 9, "2026-12-05T00:00+01:00"),
        (Schedule.parse("00:00-24:00"), 100, "2026-11-27T16:00+01:00"),
    ],
)
def test_no_progress_is_expected_while_nothing_may_run(schedule, hours, expected):
    with local_time_zone("Europe/Berlin"):
        assert done_at(micros_of(NOON), hours * 3600 * SPEED, SPEED, schedule) == micros_of(expected)


EVENINGS = Schedule.parse("18:00-23:00", None, "pause", "500K").with_group(DayWindows.parse("23:00-07:00"))


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (1, "2026-11-23T20:00+01:00"),  # two hours at half the speed
        (2.5, "2026-11-23T23:00+01:00"),
        (3.5, "2026-11-24T00:00+01:00"),
        (10.5, "2026-11-24T07:00+01:00"),
        (11, "2026-11-24T19:00+01:00"),
    ],
)
def test_each_window_gives_its_own_rate(hours, expected):
    with local_time_zone("Europe/Berlin"):
        assert done_at(micros_of(NOON), int(hours * 3600 * SPEED), SPEED, EVENINGS) == micros_of(expected)


@pytest.mark.parametrize(
    ("schedule", "hours", "expected"),
    [
        (None, 1, "2026-11-23T13:00+01:00"),
        (None, 2, "2026-11-24T01:00+01:00"),  # one hour's worth is left today, two come each day
        (None, 5, "2026-11-25T02:00+01:00"),
        (Schedule.parse("23:00-07:00"), 1, "2026-11-24T00:00+01:00"),
        (Schedule.parse("23:00-07:00"), 4, "2026-11-25T01:00+01:00"),
    ],
)
def test_the_cap_holds_what_is_left_until_the_day_turns(schedule, hours, expected):
    with local_time_zone("Europe/Berlin"):
        cap = Cap(2 * 3600 * SPEED, Period.DAY)
        use = CapUse(cap, 3600 * SPEED, turns_at(Period.DAY, micros_of(NOON)))
        assert done_at(micros_of(NOON), hours * 3600 * SPEED, SPEED, schedule, use) == micros_of(expected)


def test_a_used_up_cap_is_waited_for_and_one_that_is_far_too_small_gives_no_forecast():
    with local_time_zone("Europe/Berlin"):
        turns = turns_at(Period.MONTH, micros_of(NOON))
        used = CapUse(Cap(3600 * SPEED, Period.MONTH), 3600 * SPEED, turns)
        assert done_at(micros_of(NOON), 60 * SPEED, SPEED, None, used) == turns + 60_000_000
        assert done_at(micros_of(NOON), 10**9 * SPEED, SPEED, None, used) is None


def test_a_forecast_of_years_is_not_given():
    with local_time_zone("Europe/Berlin"):
        assert done_at(micros_of(NOON), 10**9 * SPEED, SPEED, Schedule.parse("23:00-23:01")) is None


@pytest.mark.parametrize("reason", [*AWAY, Reason.BACKOFF])
def test_while_a_host_is_unreachable_no_end_is_given(reason):
    left = Remaining(5_000_000, 10_000_000, 0, 1_000_000, None, reason)
    line = in_words(left, datetime(2026, 11, 23, tzinfo=UTC))
    assert "left, at 1.0 MB/s; ETA unknown (" in line


def test_a_job_without_room_has_no_end_until_there_is_room():
    job = SimpleNamespace(
        brings=True, state=State.QUEUED, reason=Reason.DISK, bytes_total=5, bytes_done=0, rate_bps=None
    )
    assert remaining(None, [job]).away is Reason.DISK
