"""Decides when a failed placement is tried again. Pure. Times are microseconds since 1970."""

FIRST_US = 60_000_000
MAX_US = 3_600_000_000  # the program's folder may come back at any time, and one try costs next to nothing
_DOUBLINGS = 16


def next_try(now: int, failures: int) -> int:
    """Return when it is tried again; `failures` counts from 1."""
    return now + min(FIRST_US << min(failures - 1, _DOUBLINGS), MAX_US)


def is_due(next_at: int | None, now: int) -> bool:
    """Return whether it may be tried. A wait longer than any is that of a clock that was set back since."""
    return next_at is None or not now < next_at <= now + MAX_US
