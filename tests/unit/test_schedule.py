"""The schedule's windows: as typed, over midnight, at the week's edges, and over both changes of the clock."""

import pytest
from support.fake_clock import micros_of
from support.time_zones import BERLIN, NEW_YORK, local_time_zone

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.schedule import DayWindows, Schedule, Window
from flowhub_jobs.times import moment

NIGHT = Schedule.parse("23:00-07:00")
WORKING_NIGHT = Schedule.parse("23:00-07:00", "mon-fri")
HOUR_US = 3_600_000_000


def at(text: str) -> int:
    """Return the microseconds of a moment with its offset: `2026-11-23T23:00+01:00`."""
    return micros_of(text)


def local(micros: int | None, zone) -> str:
    """Return the local time of a moment, with its offset."""
    point = moment(micros)
    assert point is not None
    return point.astimezone(zone).isoformat(timespec="minutes")


# Over midnight and the week's edges ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "is_open", "changes"),
    [
        ("2026-11-23T22:59:59+01:00", False, "2026-11-23T23:00+01:00"),
        ("2026-11-23T23:00+01:00", True, "2026-11-24T07:00+01:00"),
        ("2026-11-24T00:00+01:00", True, "2026-11-24T07:00+01:00"),
        ("2026-11-24T06:59:59+01:00", True, "2026-11-24T07:00+01:00"),
        ("2026-11-24T07:00+01:00", False, "2026-11-24T23:00+01:00"),
    ],
)
def test_a_window_reaches_over_midnight_and_holds_its_opening_not_its_closing(now, is_open, changes):
    assert NIGHT.is_open(at(now), BERLIN) is is_open
    assert local(NIGHT.next_change(at(now), BERLIN), BERLIN) == changes
    assert (NIGHT.opens_at(at(now), BERLIN) is None) is is_open


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-11-28T06:59+01:00", True),  # Saturday morning: the window of Friday
        ("2026-11-28T23:30+01:00", False),  # Saturday evening
        ("2026-11-29T23:30+01:00", False),  # Sunday evening
        ("2026-11-30T06:59+01:00", False),  # Monday morning: that would be Sunday's
        ("2026-11-30T23:00+01:00", True),  # Monday evening
    ],
)
def test_a_window_belongs_to_the_day_on_which_it_opens(now, is_open):
    assert WORKING_NIGHT.is_open(at(now), BERLIN) is is_open


def test_over_a_weekend_the_next_opening_is_on_monday():
    saturday = at("2026-11-28T07:00+01:00")
    assert local(WORKING_NIGHT.opens_at(saturday, BERLIN), BERLIN) == "2026-11-30T23:00+01:00"


def test_an_open_schedule_has_no_next_opening():
    opens = at("2026-11-23T23:00+01:00")
    assert NIGHT.opens_at(opens - 1, BERLIN) == opens
    assert NIGHT.opens_at(opens, BERLIN) is None
    assert NIGHT.opens_at(at("2026-11-24T06:59+01:00"), BERLIN) is None


def test_of_several_windows_the_next_one_counts():
    both = Schedule.parse("23:00-07:00,12:00-13:00")
    assert local(both.next_change(at("2026-11-24T07:00+01:00"), BERLIN), BERLIN) == "2026-11-24T12:00+01:00"
    assert local(both.next_change(at("2026-11-24T12:00+01:00"), BERLIN), BERLIN) == "2026-11-24T13:00+01:00"


def test_windows_that_touch_or_overlap_are_one():
    joined = Schedule.parse("22:00-24:00,00:00-06:00,05:00-07:00")
    assert local(joined.next_change(at("2026-11-23T22:00+01:00"), BERLIN), BERLIN) == "2026-11-24T07:00+01:00"


def test_windows_that_cover_the_whole_week_never_close():
    always = Schedule.parse("00:00-12:00,12:00-00:00")
    now = at("2026-11-23T22:00+01:00")
    assert always.is_open(now, BERLIN)
    assert always.next_change(now, BERLIN) is None
    assert always.opens_at(now, BERLIN) is None


def test_whole_days_close_at_the_weekend_alone():
    working = Schedule.parse("00:00-24:00", "mon-fri")
    assert local(working.next_change(at("2026-11-25T12:00+01:00"), BERLIN), BERLIN) == "2026-11-28T00:00+01:00"


# Over the changes of the clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "evening", "opens", "closes", "hours"),
    [
        (BERLIN, "2026-10-24T20:00+02:00", "2026-10-24T23:00+02:00", "2026-10-25T07:00+01:00", 9),
        (BERLIN, "2027-03-27T20:00+01:00", "2027-03-27T23:00+01:00", "2027-03-28T07:00+02:00", 7),
        (NEW_YORK, "2026-10-31T20:00-04:00", "2026-10-31T23:00-04:00", "2026-11-01T07:00-05:00", 9),
        (NEW_YORK, "2027-03-13T20:00-05:00", "2027-03-13T23:00-05:00", "2027-03-14T07:00-04:00", 7),
    ],
)
def test_a_night_opens_and_closes_by_the_local_clock_however_long_it_is(zone, evening, opens, closes, hours):
    begin = NIGHT.next_change(at(evening), zone)
    assert begin is not None
    end = NIGHT.next_change(begin, zone)
    assert end is not None
    assert (local(begin, zone), local(end, zone)) == (opens, closes)
    assert end - begin == hours * HOUR_US


@pytest.mark.parametrize(
    ("zone", "before", "window", "opens", "closes"),
    [
        # Berlin and New York skip 02:00 to 03:00 in spring.
        (BERLIN, "2027-03-28T00:00+01:00", "02:30-05:00", "2027-03-28T03:00+02:00", "2027-03-28T05:00+02:00"),
        (NEW_YORK, "2027-03-14T00:00-05:00", "02:30-05:00", "2027-03-14T03:00-04:00", "2027-03-14T05:00-04:00"),
        (BERLIN, "2027-03-28T00:00+01:00", "01:00-02:30", "2027-03-28T01:00+01:00", "2027-03-28T03:00+02:00"),
        (BERLIN, "2027-03-28T00:00+01:00", "02:00-03:00", "2027-03-29T02:00+02:00", "2027-03-29T03:00+02:00"),
        (BERLIN, "2027-03-28T00:00+01:00", "02:15-02:45", "2027-03-29T02:15+02:00", "2027-03-29T02:45+02:00"),
        # Berlin shows 02:00 to 03:00 twice in autumn, New York 01:00 to 02:00.
        (BERLIN, "2026-10-25T00:00+02:00", "02:30-05:00", "2026-10-25T02:30+02:00", "2026-10-25T05:00+01:00"),
        (BERLIN, "2026-10-25T00:00+02:00", "01:00-02:30", "2026-10-25T01:00+02:00", "2026-10-25T02:30+01:00"),
        (BERLIN, "2026-10-25T00:00+02:00", "02:15-02:45", "2026-10-25T02:15+02:00", "2026-10-25T02:45+01:00"),
        # The repeated hour belongs to the window that contains it, and not to the one that closes at its start.
        (BERLIN, "2026-10-25T00:00+02:00", "01:00-02:00", "2026-10-25T01:00+02:00", "2026-10-25T02:00+02:00"),
        (BERLIN, "2026-10-25T00:00+02:00", "02:00-03:00", "2026-10-25T02:00+02:00", "2026-10-25T03:00+01:00"),
        (NEW_YORK, "2026-10-31T23:00-04:00", "00:00-01:00", "2026-11-01T00:00-04:00", "2026-11-01T01:00-04:00"),
        (NEW_YORK, "2026-11-01T00:00-04:00", "01:30-05:00", "2026-11-01T01:30-04:00", "2026-11-01T05:00-05:00"),
        (NEW_YORK, "2026-11-01T00:00-04:00", "00:30-01:30", "2026-11-01T00:30-04:00", "2026-11-01T01:30-05:00"),
    ],
)
def test_a_skipped_time_is_the_next_valid_one_and_of_a_repeated_time_the_first_opens_and_the_last_closes(
    zone, before, window, opens, closes
):
    schedule = Schedule.parse(window)
    begin = schedule.next_change(at(before), zone)
    assert begin is not None
    assert local(begin, zone) == opens
    assert local(schedule.next_change(begin, zone), zone) == closes


def test_a_window_of_one_day_that_the_clock_skips_opens_a_week_later():
    sunday = Schedule.parse("02:00-03:00", "sun")
    assert local(sunday.opens_at(at("2027-03-27T12:00+01:00"), BERLIN), BERLIN) == "2027-04-04T02:00+02:00"


@pytest.mark.parametrize("evening", ["2026-10-24T20:00+02:00", "2027-03-27T20:00+01:00"])
@pytest.mark.parametrize("window", ["23:00-07:00", "02:30-05:00", "01:00-02:30"])
def test_the_machines_own_zone_gives_the_same_changes(evening, window):
    schedule, now = Schedule.parse(window), at(evening)
    with local_time_zone("Europe/Berlin"):
        for _ in range(4):
            change = schedule.next_change(now)
            assert change == schedule.next_change(now, BERLIN)
            assert change is not None
            now = change


# As typed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "days"),
    [
        (None, (0, 1, 2, 3, 4, 5, 6)),
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("mon-fri,sun", (0, 1, 2, 3, 4, 6)),
        ("Fri - Mon", (0, 4, 5, 6)),
        ("saturday,SUNDAY, thurs", (3, 5, 6)),
        ("wed", (2,)),
        ("wed-wed", (2,)),
        ("mon-sun", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_days_are_named_alone_or_in_ranges_that_may_go_over_the_weeks_end(typed, days):
    assert DayWindows.parse("1:00-2:00", typed).days == days


def test_windows_are_put_in_order_and_a_closing_at_midnight_is_the_end_of_the_day():
    schedule = DayWindows.parse(" 12:00 - 13:00 ,9:05-00:00,12:00-13:00")
    assert schedule.windows == (Window(545, 1440), Window(720, 780))
    assert schedule.as_json()["windows"] == ["09:05-24:00", "12:00-13:00"]


@pytest.mark.parametrize(
    ("outside", "rate"), [("pause", None), (" PAUSE ", None), ("500K", 500_000), ("1.5M", 1_500_000)]
)
def test_outside_of_windows_nothing_runs_or_all_jobs_run_at_a_rate(outside, rate):
    assert Schedule.parse("1:00-2:00", None, outside).outside_bps == rate


@pytest.mark.parametrize(
    "windows",
    ["", "now", "23:00", "23:00-", "23-07", "24:00-07:00", "23:00-24:30", "23:60-07:00", "7:00-7:00",
     "1:00-2:00,", "-1:00"],
)  # fmt: skip
def test_an_invalid_window_is_refused_with_an_example(windows):
    with pytest.raises(UsageInvalid) as raised:
        Schedule.parse(windows)
    assert "23:00-07:00" in (raised.value.hint or "")


@pytest.mark.parametrize("days", ["", "mo", "mon-", "-fri", "mon..fri", "someday", "mon,,tue", "m"])
def test_an_invalid_day_is_refused_with_an_example(days):
    with pytest.raises(UsageInvalid) as raised:
        Schedule.parse("23:00-07:00", days)
    assert "mon-fri" in (raised.value.hint or "")


@pytest.mark.parametrize("outside", ["off", "0", "-1", "fast", ""])
def test_a_rate_outside_of_windows_must_be_a_limit(outside):
    with pytest.raises(UsageInvalid):
        Schedule.parse("23:00-07:00", None, outside)


def test_a_schedule_is_read_back_from_the_table_unchanged():
    schedule = Schedule.parse("23:00-07:00,12:00-24:00", "mon,sat", "500K")
    assert Schedule.from_json(schedule.as_json()) == schedule
