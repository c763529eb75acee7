"""Properties of schedules: a schedule is open when the local wall clock says so, around any change of the clock."""

import functools
from datetime import datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_clock import SECOND_US, micros_of
from support.time_zones import BERLIN, NEW_YORK

from flowhub_jobs.jobs.schedule import UNLIMITED, DayWindows, Schedule, Window

MINUTE_US = 60 * SECOND_US
DAY_MINUTES = 24 * 60
DAYS = 6

# Five minutes apart, and often at the edges of what the clock skips or shows twice.
MINUTES = st.one_of(st.integers(0, 287).map(lambda n: 5 * n), st.sampled_from([60, 90, 120, 150, 180, 0, 1435]))
LENGTHS = st.one_of(st.integers(1, 288).map(lambda n: 5 * n), st.sampled_from([5, 30, 60, DAY_MINUTES]))
WINDOW = st.builds(lambda opens, length: Window(opens, opens + length), MINUTES, LENGTHS)
# A whole day can only be typed from its midnight on.
WINDOWS = st.lists(WINDOW.filter(lambda it: it.closes < it.opens + DAY_MINUTES or not it.opens), min_size=1, max_size=3)
RATES = st.sampled_from([None, None, 1, 500_000, 2_000_000])
GROUPS = st.builds(
    lambda windows, days, rate: DayWindows(tuple(sorted(set(windows))), tuple(sorted(days)), rate),
    WINDOWS,
    st.sets(st.integers(0, 6), min_size=1),
    RATES,
)
SCHEDULES = st.builds(
    lambda groups, outside: Schedule(tuple(groups), outside), st.lists(GROUPS, min_size=1, max_size=3), RATES
)
# Noon, two days before a change or well away from one.
STARTS = [
    (BERLIN, "2026-10-23T12:00+02:00"),
    (BERLIN, "2027-03-26T12:00+01:00"),
    (NEW_YORK, "2026-10-30T12:00-04:00"),
    (NEW_YORK, "2027-03-12T12:00-05:00"),
    (BERLIN, "2026-12-29T12:00+01:00"),
]
EACH_START = pytest.mark.parametrize(("zone", "begin"), STARTS, ids=[begin for _, begin in STARTS])


@functools.cache
def local_minutes(zone: tzinfo, begin: str) -> list[datetime]:
    """Return the local time of each minute of some days, from a day before `begin`."""
    first = micros_of(begin) // SECOND_US - DAY_MINUTES * 60
    return [
        datetime.fromtimestamp(first + 60 * n, zone).replace(tzinfo=None, fold=0)
        for n in range((DAYS + 1) * DAY_MINUTES)
    ]


def rate_in_minutes(schedule: Schedule, local_times: list[datetime]) -> list[int | None]:
    """Return the rate that the windows allow in each of these minutes; None outside of all windows.

    A window opens in the first minute at or after its opening time, and closes after the last one before its closing
    time. Where windows overlap, the highest rate applies.
    """
    rates: list[int | None] = [None] * len(local_times)
    for day in range(-1, DAYS + 2):
        midnight = datetime.combine(local_times[0].date() + timedelta(days=day), time())
        for group in (group for group in schedule.groups if midnight.weekday() in group.days):
            rate = UNLIMITED if group.rate_bps is None else group.rate_bps
            for window in group.windows:
                opens, closes = midnight + timedelta(minutes=window.opens), midnight + timedelta(minutes=window.closes)
                first = next((n for n, shown in enumerate(local_times) if shown >= opens), len(local_times))
                end = next((n for n in range(len(local_times), 0, -1) if local_times[n - 1] < closes), 0)
                for minute in range(first, end):
                    rates[minute] = max(rates[minute] or 0, rate)
    return rates


def next_flip(values: list[Any], minute: int) -> int | None:
    """Return the first minute after this one in which the value changes."""
    return next((n for n, (left, right) in enumerate(pairwise(values), 1) if left != right and n > minute), None)


@EACH_START
@given(schedule=SCHEDULES, minute=st.integers(0, DAYS * DAY_MINUTES - 1), seconds=st.integers(0, 59))
def test_a_schedule_is_open_when_the_local_clock_says_so(zone, begin, schedule, minute, seconds):
    expected = [rate is not None for rate in rate_in_minutes(schedule, local_minutes(zone, begin))[DAY_MINUTES:]]
    now = micros_of(begin) + minute * MINUTE_US + seconds * SECOND_US
    assert schedule.is_open(now, zone) is expected[minute]
    flip, change = next_flip(expected, minute), schedule.next_change(now, zone)
    if flip is not None:
        assert change == micros_of(begin) + flip * MINUTE_US
    else:
        assert change is None or change >= micros_of(begin) + len(expected) * MINUTE_US


@EACH_START
@given(schedule=SCHEDULES, minute=st.integers(0, DAYS * DAY_MINUTES - 1), seconds=st.integers(0, 59))
def test_the_rate_is_the_highest_of_the_open_windows_minute_by_minute(zone, begin, schedule, minute, seconds):
    outside = schedule.outside_bps or 0
    inside = rate_in_minutes(schedule, local_minutes(zone, begin))[DAY_MINUTES:]
    expected = [outside if rate is None else rate for rate in inside]
    now = micros_of(begin) + minute * MINUTE_US + seconds * SECOND_US
    assert schedule.rate_at(now, zone) == expected[minute]
    flip, change = next_flip(expected, minute), schedule.next_rate(now, zone)
    if flip is not None:
        assert change == (micros_of(begin) + flip * MINUTE_US, expected[flip])
    else:
        assert change is None or change[0] >= micros_of(begin) + len(expected) * MINUTE_US


@EACH_START
@given(schedule=SCHEDULES, minute=st.integers(0, DAYS * DAY_MINUTES - 1))
def test_its_opening_time_agrees_with_its_state(zone, begin, schedule, minute):
    now = micros_of(begin) + minute * MINUTE_US
    opens = schedule.opens_at(now, zone)
    assert (opens is None) is schedule.is_open(now, zone)
    if opens is not None:
        assert opens == schedule.next_change(now, zone)
        assert opens > now
        assert schedule.is_open(opens, zone)
        assert not schedule.is_open(opens - 1, zone)


@given(schedule=SCHEDULES)
def test_any_schedule_is_read_back_from_the_table_unchanged(schedule):
    assert Schedule.from_json(schedule.as_json()) == schedule
