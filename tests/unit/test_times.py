"""Times as users type them, and as screens show them."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.times import at_clock, clock_time, parse_since, parse_span, parse_time


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a local zone with summer time, in POSIX form: it needs no time zone database."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("+90s", timedelta(seconds=90)),
        ("+15m", timedelta(minutes=15)),
        ("+3h", timedelta(hours=3)),
        ("+2d", timedelta(2)),
    ],
)
def test_a_time_with_a_plus_is_counted_from_now(text, later):
    now = local("2026-11-22T21:00:00")
    assert parse_time(text, now) == now + later


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "text", "then"),
    [
        ("2026-11-22T21:00:00", "23:00", "2026-11-22T23:00:00"),
        ("2026-11-22T21:00:00", "02:30", "2026-11-23T02:30:00"),
        ("2026-11-22T21:00:00", "2:30", "2026-11-23T02:30:00"),
        ("2026-11-22T02:30:00", "02:30", "2026-11-23T02:30:00"),  # the next one, not this one
        ("2026-12-31T23:59:59", "00:00", "2027-01-01T00:00:00"),
        ("2026-10-24T22:00:00", "07:00", "2026-10-25T07:00:00"),  # the night of 25 hours
        ("2026-03-28T22:00:00", "07:00", "2026-03-29T07:00:00"),  # and that of 23
    ],
)
def test_a_clock_time_is_the_next_one_here(now, text, then):
    assert parse_time(text, local(now)) == local(then)


@pytest.mark.usefixtures("berlin")
def test_a_clock_time_that_summer_time_skips_is_taken_an_hour_later():
    assert parse_time("02:30", local("2026-03-28T22:00:00")) == utc("2026-03-29T01:30:00")


@pytest.mark.parametrize("text", ["2026-11-23T02:30:00Z", "2026-11-23T03:30:00+01:00", "2026-11-23 02:30:00Z"])
def test_a_full_time_says_its_zone(text):
    assert parse_time(text, utc("2026-11-22T00:00:00")) == utc("2026-11-23T02:30:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "25:00",
        "12:60",
        "90s",
        "3h",
        "+",
        "+3",
        "+3w",
        "2026-11-23",
        "2026-13-01T00:00:00Z",
        "٢:٣٠",
        "T",
        "\0",
    ],
)
def test_an_invalid_time_is_refused_with_an_example(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_time(text, utc("2026-11-22T00:00:00"))
    assert "02:30" in str(raised.value.hint)


def test_a_time_without_a_zone_is_not_guessed():
    with pytest.raises(UsageInvalid, match="time zone") as raised:
        parse_time("2026-11-23T02:30:00", utc("2026-11-22T00:00:00"))
    assert "Z" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["+999999999d", "+9999999d", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_time_outside_of_the_calendar_is_refused(text):
    with pytest.raises(UsageInvalid, match="too far"):
        parse_time(text, utc("2026-11-22T00:00:00"))


@given(st.text(max_size=24))
def test_any_text_is_a_time_or_refused(text):
    for parse in (parse_time, parse_since):
        try:
            assert parse(text, utc("2026-11-22T00:00:00")).tzinfo is not None
        except UsageInvalid as error:
            assert error.hint  # noqa: PT017


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("90m", "2026-11-22T19:30:00"),
        ("3h", "2026-11-22T18:00:00"),
        ("20:00", "2026-11-22T20:00:00"),
        ("22:00", "2026-11-21T22:00:00"),
    ],
)
def test_since_looks_back(text, then):
    assert parse_since(text, local("2026-11-22T21:00:00")) == local(then)


def test_since_too_long_ago_is_refused():
    with pytest.raises(UsageInvalid, match="too far"):
        parse_since("999999999d", utc("2026-11-22T00:00:00"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("0.5", 0.5), ("0", 0)]
)
def test_a_span_is_seconds_or_says_its_unit(text, seconds):
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e9", "2w", "soon"])
def test_an_invalid_span_is_refused(text):
    with pytest.raises(UsageInvalid, match="length of time"):
        parse_span(text)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-22T21:01:30", "21:01:30"),
        ("2026-11-22T23:30:00", "23:30"),
        ("2026-11-23T02:30:00", "Mon 02:30"),
        ("2026-11-24T02:30:00", "Tue 02:30"),
        ("2026-12-01T02:30:00", "2026-12-01 02:30"),
        ("2026-11-22T18:00:00", "18:00"),
    ],
)
def test_a_moment_is_shown_in_its_shortest_clear_form(moment, shown):
    assert clock_time(local(moment).astimezone(UTC), local("2026-11-22T21:00:00")) == shown


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("delta", "phrase"),
    [(timedelta(hours=1), "at 23:00"), (timedelta(hours=5), "on Mon at 03:00"), (timedelta(days=2), "on Tue at 22:00")],
)
def test_a_moment_is_a_phrase_within_a_sentence(delta, phrase):
    now = datetime(2026, 11, 22, 21, tzinfo=UTC)
    assert at_clock(now + delta, now) == phrase


@pytest.mark.parametrize("text", ["+3h", "2026-11-22T00:00:01Z"])
def test_since_refuses_a_future_time(text):
    with pytest.raises(UsageInvalid, match="ahead"):
        parse_since(text, utc("2026-11-22T00:00:00"))
