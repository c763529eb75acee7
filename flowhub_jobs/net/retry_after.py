"""Reads the wait that a host asks for: Retry-After, a number of seconds or a date, and the Hub's RateLimit. Pure."""

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RATE_LIMIT = re.compile(r";\s*r=([0-9]+)\s*;\s*t=([0-9]+)")
_DIGITS = re.compile(r"[0-9]+")  # str.isdigit and \d also take digits that are none to int()


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the host asks to be left alone, or None.

    `headers` folds case, as httpx's do. Retry-After in both its forms (RFC 9110, section 10.2.3; a date is by the clock
    of the host, which its Date header shows), else the Hub's `RateLimit`, which names one bucket or several:
    `"api";r=7;t=55, "resolvers";r=0;t=90`. Those with nothing left count, the longest.
    """
    text = headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(text):
        return float(text[:12])
    if text:
        retry_at = http_date(text)
        server_now = http_date(headers.get("date", "")) or now
        return None if retry_at is None else max(0.0, (retry_at - server_now).total_seconds())
    buckets = _RATE_LIMIT.findall(headers.get("ratelimit", ""))
    return max((float(reset[:12]) for remaining, reset in buckets if not remaining.strip("0")), default=None)


@functools.lru_cache(maxsize=1024)  # the answers of one second, and the files of one upload, have the same date
def http_date(text: str) -> datetime | None:
    """Return the time that a date of HTTP names (RFC 9110, section 5.6.7), None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):  # a year or an offset beyond all numbers
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
