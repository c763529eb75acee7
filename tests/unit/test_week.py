"""A schedule as the minutes of a week: painted by the hour, and converted back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.schedule import UNLIMITED, DayWindows, Schedule
from flowhub_jobs.jobs.week_grid import DAY, MINUTES, minutes_of, paint, schedule_of, share
from flowhub_jobs.operations.schedules import schedule_from, schedule_lines

NIGHTS = Schedule.parse("23:00-07:00", "mon-fri")
MONDAY = datetime(2026, 11, 30, tzinfo=UTC)


def at(day: int, hour: int) -> int:
    return int(MONDAY.timestamp() + day * 86400 + hour * 3600) * 1_000_000


def test_a_window_belongs_to_the_day_on_which_it_opens():
    minutes = minutes_of(NIGHTS)
    assert share(minutes, 0, 3) == 0  # Monday morning is Sunday's night
    assert share(minutes, 0, 23) == 1
    assert share(minutes, 5, 6) == 1  # Saturday morning is Friday's night
    assert share(minutes, 5, 7) == 0


def test_no_schedule_is_a_week_that_is_always_open_and_back():
    assert all(minutes_of(None))
    assert schedule_of(minutes_of(None), None) is None


def test_sunday_night_reaches_into_monday():
    assert share(minutes_of(Schedule.parse("23:00-07:00", "sun")), 0, 6) == 1


def test_an_hour_may_be_open_in_part():
    assert share(minutes_of(Schedule.parse("12:30-14:00")), 2, 12) == 0.5


def test_painting_days_apart_gives_windows_of_their_own():
    weekend = {(day, hour) for day in (5, 6) for hour in range(24)}
    schedule = schedule_of(paint(minutes_of(NIGHTS), weekend, UNLIMITED), 500_000)
    assert schedule is not None
    assert schedule.outside_bps == 500_000
    assert minutes_of(schedule) == paint(minutes_of(NIGHTS), weekend, UNLIMITED)
    assert len(schedule.groups) > 1
    assert schedule.is_open(at(5, 12), UTC)
    assert not schedule.is_open(at(2, 12), UTC)
    assert schedule.opens_at(at(2, 12), UTC) == at(2, 23)


def test_the_sentence_names_every_group_of_days():
    schedule = schedule_of(paint(minutes_of(Schedule.parse("08:00-09:00", "mon-fri")), {(6, 10)}, UNLIMITED), None)
    first, _ = schedule_lines(schedule, at(0, 0))
    assert first == (
        "Jobs run from 08:00 to 09:00, on mon-fri, and from 10:00 to 11:00, on sun; outside, nothing runs."
    )


def test_a_week_that_is_never_open_is_refused():
    with pytest.raises(UsageInvalid, match="No hour is left"):
        schedule_of([0] * MINUTES, None)


def test_an_old_row_without_further_groups_is_read():
    assert Schedule.from_json({"windows": ["23:00-07:00"], "days": ["mon"], "outside_bps": None}).groups == (
        DayWindows.parse("23:00-07:00", "mon"),
    )


SPANS = st.tuples(
    st.integers(0, MINUTES - 1), st.integers(1, 3 * DAY), st.sampled_from([0, 1_000, 2_000_000, UNLIMITED])
)


@given(st.lists(SPANS, min_size=1, max_size=6), st.sampled_from([0, 500, UNLIMITED]))
def test_any_week_is_converted_back_unchanged(spans, ground):
    minutes = [ground] * MINUTES
    for start, length, rate in spans:
        for minute in range(start, start + length):
            minutes[minute % MINUTES] = rate
    if not any(minutes):
        return
    schedule = schedule_of(minutes, None)
    assert minutes_of(schedule) == minutes
    assert schedule is None or Schedule.from_json(schedule.as_json()) == schedule


def test_the_json_of_a_schedule_with_groups_of_days_is_read_back():
    schedule = schedule_of(paint(minutes_of(NIGHTS), {(5, 12)}, UNLIMITED), 500_000)
    assert schedule is not None
    assert len(schedule.groups) > 1
    assert schedule_from(schedule.as_json()) == schedule


@pytest.mark.parametrize("more", ["x", [1], [{"days": ["mon"]}], [{"windows": ["25:00-26:00"]}], {"windows": []}])
def test_an_invalid_group_is_refused(more):
    with pytest.raises(UsageInvalid):
        schedule_from({"windows": ["23:00-07:00"], "more": more})
