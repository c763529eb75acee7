"""Moments of the local clock, correct across every change to or from summer time. Pure.

Moments are microseconds since 1970. `zone` is the local one; None is the machine's own.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MICROS = 1_000_000


def local_day(now_us: int, zone: tzinfo | None = None) -> date:
    """Return the day that the local clock shows."""
    return datetime.fromtimestamp(now_us // MICROS, zone).date()


def day_begins(day: date, zone: tzinfo | None = None) -> int:
    """Return the first moment of a local day; where the clock skips midnight, the end of that gap."""
    return first_moment(datetime.combine(day, time()), zone)


def first_moment(wall: datetime, zone: tzinfo | None) -> int:
    """Return when the local clock first shows `wall`, or, where it skips that time, when it is set forward."""
    first, last = _readings(wall, zone)
    return (_end_of_gap(last, first, zone) if last < first else first) * MICROS


def end_moment(wall: datetime, zone: tzinfo | None) -> int:
    """Return the moment after which the local clock no longer shows a time before `wall`.

    Where the clock goes from 03:00 back to 02:00, that is the first 02:00, and the second 02:30.
    """
    first, last = _readings(wall - timedelta(seconds=1), zone)
    return (_end_of_gap(last, first, zone) if last < first else last + 1) * MICROS


def _readings(wall: datetime, zone: tzinfo | None) -> tuple[int, int]:
    """Return the first and the last second at which the clock shows `wall`. Reversed if it skips that (PEP 495)."""
    first, last = (int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    return first, last


def _end_of_gap(before: int, behind: int, zone: tzinfo | None) -> int:
    """Return the second at which the local clock is set forward, between these two."""
    old = _offset(before, zone)
    seconds = range(before, behind + 1)
    return seconds[bisect_left(seconds, True, key=lambda second: _offset(second, zone) != old)]


def _offset(second: int, zone: tzinfo | None) -> timedelta:
    utc = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    return datetime.fromtimestamp(second, zone).replace(tzinfo=None) - utc
