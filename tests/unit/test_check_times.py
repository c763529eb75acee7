"""Times of a subscription's next check: after its interval, at a time of day, or after a failure."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from flowhub_jobs.jobs.subscriptions.check_times import minute_of, regular_check, retry_check
from flowhub_jobs.jobs.subscriptions.subscription_values import DAY_US, Terms

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_US = 3_600_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def local_time(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, BERLIN).strftime("%m-%d %H:%M")


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("every", [HOUR_US, DAY_US, 30 * DAY_US])
def test_without_a_time_of_day_the_next_check_varies_by_a_twentieth_of_the_interval(every, jitter):
    next_at = regular_check(Terms(every_us=every), 0, jitter)
    assert 0.95 * every <= next_at <= 1.05 * every


@pytest.mark.parametrize(
    ("now", "every", "expected"),
    [
        ("2026-11-30T02:31+01:00", DAY_US, "12-01 02:30"),
        ("2026-11-30T02:39+01:00", DAY_US, "12-01 02:30"),
        ("2026-11-30T20:00+01:00", DAY_US, "12-01 02:30"),
        ("2026-11-30T01:00+01:00", DAY_US, "11-30 02:30"),
        ("2026-11-30T02:00+01:00", DAY_US, "12-01 02:30"),
        ("2026-11-30T02:31+01:00", 7 * DAY_US, "12-07 02:30"),
        ("2026-03-28T02:31+01:00", DAY_US, "03-29 03:30"),  # the clock skips 02:30
        ("2026-10-24T02:31+02:00", DAY_US, "10-25 02:30"),  # it shows 02:30 twice
        ("2026-10-25T02:31+02:00", DAY_US, "10-26 02:30"),
    ],
)
def test_a_time_of_day_is_that_of_the_local_clock(now, every, expected):
    terms = Terms(every_us=every, at_minute=150)
    assert local_time(regular_check(terms, at(now), 0.0, BERLIN)) == expected
    assert regular_check(terms, at(now), 0.999, BERLIN) - regular_check(terms, at(now), 0.0, BERLIN) < 600_000_000


def test_a_daily_check_is_made_once_each_day_of_a_year():
    terms, now, days = Terms(at_minute=150), at("2026-01-01T12:00+01:00"), []
    for number in range(365):
        now = regular_check(terms, now, (number * 7 % 10) / 10, BERLIN)
        days.append(datetime.fromtimestamp(now / 1e6, BERLIN).date())
    assert len(set(days)) == 365
    assert (days[-1] - days[0]).days == 364


def test_the_waits_after_failures_grow_and_never_exceed_the_interval():
    waits = [retry_check(Terms(), 0, failures, None, 1.0) for failures in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (300_000_000, 6 * HOUR_US)
    assert retry_check(Terms(every_us=HOUR_US), 0, 30, None, 0.5) == HOUR_US
    assert retry_check(Terms(), 0, 1, 1800.0, 0.0) == 1_800_000_000
    assert retry_check(Terms(every_us=HOUR_US), 0, 1, 1e9, 0.0) == HOUR_US


def test_the_minute_of_a_moment_is_that_of_the_local_day():
    assert minute_of(at("2026-07-01T02:30+02:00"), BERLIN) == 150
