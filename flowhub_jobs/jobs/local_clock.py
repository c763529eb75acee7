"""Moments of the local clock, correct across every change to or from summer time. Pure.

Moments are microseconds since 1970. `zone` is the local one; None is the machine's own.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MICROS = 1_000_000


def local_day(now: int, zone: tzinfo | None = None) -> date:
    """Return the day that the local clock shows."""
    return datetime.fromtimestamp(now // MICROS, zone).date()


def day_begins(day: date, zone: tzinfo | None = None) -> int:
    """Return the first moment of a local day; where the clock skips midnight, the end of that gap."""
    return moment_of(datetime.combine(day, time()), zone, last=False)


def moment_of(wall: datetime, zone: tzinfo | None, *, last: bool) -> int:
    """Return when the local clock shows `wall`: the first or the last time; where never, when it has skipped it."""
    early, late = (int(wall.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if early > late:  # only of a time that is skipped does the second reading come before the first (PEP 495)
        return _end_of_gap(late, early, zone) * MICROS
    return (late if last else early) * MICROS


def _end_of_gap(before: int, behind: int, zone: tzinfo | None) -> int:
    """Return the second at which the local clock is set forward, between these two."""
    old = _offset(before, zone)
    seconds = range(before, behind + 1)
    return seconds[bisect_left(seconds, True, key=lambda second: _offset(second, zone) != old)]


def _offset(second: int, zone: tzinfo | None) -> timedelta:
    utc = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    return datetime.fromtimestamp(second, zone).replace(tzinfo=None) - utc
