"""Local days and the periods of a cap, across changes of the clock."""

from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest
from support.fake_clock import micros_of
from support.time_zones import BERLIN, NEW_YORK

from flowhub_jobs.jobs.cap import period_of, turns_at
from flowhub_jobs.jobs.daylight_saving import day_begins, local_day
from flowhub_jobs.values.enums import Period


def test_a_day_is_that_of_the_local_clock():
    now = micros_of("2026-11-30T23:30+00:00")
    assert local_day(now, UTC) == date(2026, 11, 30)
    assert local_day(now, BERLIN) == date(2026, 12, 1)
    assert local_day(now, NEW_YORK) == date(2026, 11, 30)


@pytest.mark.parametrize(
    ("per", "now", "turns"),
    [
        (Period.DAY, "2026-11-30T23:59:59+01:00", "2026-12-01T00:00+01:00"),
        (Period.DAY, "2026-12-01T00:00+01:00", "2026-12-02T00:00+01:00"),
        (Period.DAY, "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),  # a day of 25 hours
        (Period.DAY, "2027-03-28T00:00+01:00", "2027-03-29T00:00+02:00"),  # a day of 23 hours
        (Period.MONTH, "2026-12-31T23:59+01:00", "2027-01-01T00:00+01:00"),
        (Period.MONTH, "2027-01-31T12:00+01:00", "2027-02-01T00:00+01:00"),
        (Period.MONTH, "2028-02-29T12:00+01:00", "2028-03-01T00:00+01:00"),
        (Period.MONTH, "2026-10-01T00:00+02:00", "2026-11-01T00:00+01:00"),
    ],
)
def test_a_period_turns_at_local_midnight(per, now, turns):
    assert turns_at(per, micros_of(now), BERLIN) == micros_of(turns)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_begins_on_its_first_day_and_ends_before_the_next(month):
    for day in (1, 28):
        first, following = period_of(Period.MONTH, date(2027, month, day))
        assert first == date(2027, month, 1)
        assert following == date(2027 + month // 12, month % 12 + 1, 1)


def test_where_the_clock_skips_midnight_the_day_begins_after_the_gap():
    havana = ZoneInfo("America/Havana")  # 2027-03-14: from 00:00 to 01:00
    assert day_begins(date(2027, 3, 14), havana) == micros_of("2027-03-14T01:00-04:00")
