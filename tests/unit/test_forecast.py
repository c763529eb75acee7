"""When an order would be done, if nothing runs outside of the schedule's windows."""

from datetime import UTC, datetime

import pytest
from support.fake_clock import micros_of
from support.time_zones import machine_in

from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.forecast import AWAY, Remaining, done_at
from flowhub_jobs.operations.total_line import in_words

HOUR = 3600.0
NOON = "2026-11-23T12:00+01:00"  # a Monday


@pytest.mark.parametrize(
    ("schedule", "hours", "done"),
    [
        (None, 3, "2026-11-23T15:00+01:00"),
        (Schedule.parse("23:00-07:00", None, "500K"), 3, "2026-11-23T15:00+01:00"),
        (Schedule.parse("23:00-07:00"), 3, "2026-11-24T02:00+01:00"),
        (Schedule.parse("23:00-07:00"), 8, "2026-11-24T07:00+01:00"),
        (Schedule.parse("23:00-07:00"), 9, "2026-11-25T00:00+01:00"),
        (Schedule.parse("11:00-13:00"), 2, "2026-11-24T12:00+01:00"),
        (Schedule.parse("23:00-07:00", "fri"), 9, "2026-12-05T00:00+01:00"),
        (Schedule.parse("00:00-24:00"), 100, "2026-11-27T16:00+01:00"),
    ],
)
def test_work_rests_while_nothing_may_run(schedule, hours, done):
    with machine_in("Europe/Berlin"):
        assert done_at(micros_of(NOON), hours * HOUR, schedule) == micros_of(done)


def test_what_would_take_years_is_not_told_to_the_second():
    with machine_in("Europe/Berlin"):
        assert done_at(micros_of(NOON), 1e9, Schedule.parse("23:00-23:01")) is None


@pytest.mark.parametrize("reason", AWAY)
def test_while_a_host_is_away_no_end_is_told(reason):
    left = Remaining(5_000_000, 10_000_000, 0, 1_000_000, None, reason)
    told = in_words(left, datetime(2026, 11, 23, tzinfo=UTC))
    assert "left, at 1.0 MB/s; ETA unknown (" in told
