"""Parses and formats times for users. Pure: `now` is an argument."""

import os
import re
import time as system_time
from datetime import UTC, datetime, timedelta

from flowhub_jobs.errors import UsageInvalid

_SPAN = re.compile(r"\+?([0-9]{1,9})(s|m|h|d)")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HINT = "Write 02:30 (the next one, local), +90s, +3h, or 2026-11-23T02:30:00Z."

_SINCE_HINT = "Write 90m or 3h (ago), 02:30 (the last one, local), or 2026-11-23T02:30:00Z."


def parse_time(text: str, now: datetime) -> datetime:
    """Return the moment that TIME means: `02:30` (the next one, local), `+90s`, `+3h`, or RFC 3339.

    `now` carries the local zone. Raises UsageInvalid.
    """
    text = text.strip()
    if (span := _SPAN.fullmatch(text)) and text.startswith("+"):
        return _moved(now, _seconds(span), text)
    if clock := _CLOCK.fullmatch(text):
        return _next(int(clock[1]), int(clock[2]), now)
    return _rfc3339(text)


def parse_since(text: str, now: datetime) -> datetime:
    """Return the start of a period: `90m` or `3h` (ago), `02:30` (the last one, local), or RFC 3339.

    Raises UsageInvalid, for a moment ahead too.
    """
    text = text.strip()
    if (span := _SPAN.fullmatch(text)) and not text.startswith("+"):
        return _moved(now, -_seconds(span), text)
    if clock := _CLOCK.fullmatch(text):
        return _next(int(clock[1]), int(clock[2]), now - timedelta(days=1))
    if span or (moment := _rfc3339(text)) > now:
        raise UsageInvalid(f"{text!r} is ahead; this takes a time in the past.", hint=_SINCE_HINT)
    return moment


def parse_span(text: str) -> float:
    """Return the seconds of `90`, `90s`, `15m`, `2h`. Raises UsageInvalid."""
    if span := _SPAN.fullmatch(text.strip()):
        return float(_seconds(span))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise UsageInvalid(f"{text!r} is not a length of time.", hint="Write seconds, or 90s, 15m, 2h.")
    return seconds


def _moved(now: datetime, seconds: int, text: str) -> datetime:
    try:
        return _in_bounds(now + timedelta(seconds=seconds), text)
    except OverflowError:
        raise UsageInvalid(f"{text!r} is too far away.", hint=_HINT) from None


def _in_bounds(moment: datetime, text: str) -> datetime:
    # Far enough from the ends of the calendar that every zone can show it, and that a table can hold it.
    if not 1970 <= moment.year <= 9000:
        raise UsageInvalid(f"{text!r} is too far away.", hint=_HINT)
    return moment


def _seconds(span: re.Match[str]) -> int:
    return int(span[1]) * _SECONDS[span[2]]


def _next(hour: int, minute: int, now: datetime) -> datetime:
    """Return the next local hh:mm after `now`, strictly; one that summer time skips comes an hour later."""
    wall = now.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
    if _local_time(wall) <= now:
        wall += timedelta(days=1)
    return _local_time(wall)


def _local_time(wall: datetime) -> datetime:
    # Not `wall.astimezone()`: of a time that is skipped it makes one that is an hour too early.
    return datetime.fromtimestamp(wall.timestamp(), UTC).astimezone()


def _rfc3339(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or "T" not in text.upper().replace(" ", "T"):
        raise UsageInvalid(f"{text!r} is not a time.", hint=_HINT)
    if moment.tzinfo is None:
        raise UsageInvalid(f"{text!r} does not say its time zone.", hint="End it with Z, or an offset such as +01:00.")
    return _in_bounds(moment, text)


def clock_time(moment: datetime, now: datetime) -> str:
    """Return a moment in local time: `02:30`, on another day `Mon 02:30`, in another week with its date.

    Seconds are shown where it is less than two minutes away.
    """
    local, local_now = moment.astimezone(), now.astimezone()
    clock = "%H:%M:%S" if abs((moment - now).total_seconds()) < 120 else "%H:%M"
    days = abs((local.date() - local_now.date()).days)
    day = "" if days == 0 else "%a " if days < 7 else "%Y-%m-%d "
    return local.strftime(day + clock)


def at_clock(moment: datetime, now: datetime) -> str:
    """Return the same as a part of a sentence: `at 02:30`, `on Mon at 02:30`."""
    day, _, clock = clock_time(moment, now).rpartition(" ")
    return f"on {day} at {clock}" if day else f"at {clock}"


# As the tables and the contract hold them -----------------------------------------------------------------------------


def moment(micros: int | None) -> datetime | None:
    """Return the time that a table holds, as UTC."""
    return None if micros is None else known_moment(micros)


def known_moment(micros: int) -> datetime:
    """Return the same of a time that is there."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def micros(time: datetime) -> int:
    """Return a time as the tables hold it: whole microseconds since 1970, UTC."""
    return int(time.timestamp()) * 1_000_000 + time.microsecond


def rfc3339(time: datetime) -> str:
    """Return a UTC time as the contract writes it: `2026-11-22T23:00:00.123456Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def replace_refused_time_zone() -> str | None:
    """Use UTC where TZ is 24 hours or more from it, such as UTC+26: Python converts no time there. Return that TZ."""
    try:
        datetime.now(UTC).astimezone()
    except ValueError:
        refused = os.environ.get("TZ", "")
        os.environ["TZ"] = "UTC"
        system_time.tzset()
        return refused
    return None
