"""The time of a subscription's next check. Pure: `jitter` is in [0, 1), and spreads checks that were due together.

Times are microseconds since 1970. `zone` is the local one; None is the machine's own.
"""

from datetime import datetime, timedelta, tzinfo

from flowhub_jobs.jobs.subscriptions.subscription_values import DAY_US, Terms

HOUR_US = 3_600_000_000
SPREAD = 0.1  # of the interval, half of it before and half after
AT_SPREAD_US = 600_000_000  # after the time of day
RETRY_US = 300_000_000  # after the first failure; doubled with each
RETRY_MAX_US = 6 * HOUR_US
_DOUBLINGS = 16


def regular_check(terms: Terms, now_us: int, jitter: float, zone: tzinfo | None = None) -> int:
    """Return when the check after one that answered is due."""
    if terms.at_minute is None:
        return now_us + round(terms.every_us * (1 - SPREAD / 2 + SPREAD * jitter))
    # An hour: a check that was early or late by its jitter is not repeated on the same day.
    earliest = now_us + max(0, terms.every_us - DAY_US) + HOUR_US
    return _next_clock(terms.at_minute, earliest, zone) + round(AT_SPREAD_US * jitter)


def retry_check(terms: Terms, now_us: int, failures: int, wait_s: float | None, jitter: float) -> int:
    """Return when the check after one that failed for a passing reason is due; `failures` counts from 1.

    `wait_s` is how long the source asks to wait. No failure delays a check longer than the interval.
    """
    backoff = min(RETRY_US * 2.0 ** min(failures - 1, _DOUBLINGS), RETRY_MAX_US)
    jittered = backoff * (0.5 + jitter / 2)
    return now_us + round(min(max(jittered, (wait_s or 0) * 1e6), terms.every_us))


def _next_clock(minute: int, earliest: int, zone: tzinfo | None) -> int:
    """Return the first time at or after `earliest` at which the local clock shows this minute of the day."""
    day = datetime.fromtimestamp(earliest // 1_000_000, zone).replace(tzinfo=None)
    wall = day.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0)
    while (moment := _moment(wall, zone)) < earliest:
        wall += timedelta(days=1)
    return moment


def _moment(wall: datetime, zone: tzinfo | None) -> int:
    """Return when the local clock shows `wall`; of a time that summer time skips, an hour later."""
    return int(wall.replace(tzinfo=zone).timestamp()) * 1_000_000


def minute_of(moment: int, zone: tzinfo | None = None) -> int:
    """Return the minute of the local day."""
    local = datetime.fromtimestamp(moment // 1_000_000, zone)
    return local.hour * 60 + local.minute
