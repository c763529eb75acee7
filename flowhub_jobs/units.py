"""Figures as people read and type them. Pure. Decimal units, as disks and networks are sold."""

import re
from collections.abc import Sequence
from decimal import Decimal

from flowhub_jobs.errors import UsageInvalid

_UNITS = ("KB", "MB", "GB", "TB", "PB")
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_RATE = re.compile(rf"{_NUMBER}([KMG]?)", re.IGNORECASE)
_SIZE = re.compile(rf"{_NUMBER}\s*([KMGT]?)(i?)(B?)", re.IGNORECASE)
_MAX_RATE = 10**12  # a terabyte a second
_LEAST_BARE = 1000  # `limit 5` and `--max-size 10` mean megabytes and gigabytes, never bytes


def format_bytes(count: float) -> str:
    """Return "937 B", "4.7 GB": one digit after the point."""
    if round(count) < 1000:
        return f"{round(count)} B"
    amounts = [(count / 1000**power, unit) for power, unit in enumerate(_UNITS, start=1)]
    # Compared as it is shown: 999,950 bytes are 1.0 MB, not 1000.0 KB.
    amount, unit = next((pair for pair in amounts if round(pair[0], 1) < 1000), amounts[-1])
    return f"{amount:.1f} {unit}"


def format_rate(bytes_per_second: float) -> str:
    """Return "22.9 MB/s"."""
    return f"{format_bytes(bytes_per_second)}/s"


def format_duration(seconds: float) -> str:
    """Return the two largest units: "45 s", "2 min 21 s", "3 h 5 min", "2 d 4 h"."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return _two(total, 60, "min", 1, "s")
    if total < 86400:
        return _two(total, 3600, "h", 60, "min")
    return _two(total, 86400, "d", 3600, "h")


def named_jobs(jobs: Sequence[int], most: int) -> str:
    """Return "job 1", "jobs 1, 2", or "jobs 1, 2 and 3 more": `most` of them by their numbers, or one more."""
    most += len(jobs) == most + 1  # its number is shorter than "and 1 more"
    rest = f" and {len(jobs) - most} more" if len(jobs) > most else ""
    return f"job{'' if len(jobs) == 1 else 's'} {', '.join(map(str, jobs[:most]))}{rest}"


def listed(items: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def counted(count: int, one: str, many: str) -> str:
    """Return "1 job waits", "1,200 jobs wait"."""
    return f"{count:,} {one if count == 1 else many}"


def parse_rate(text: str) -> int | None:
    """Return bytes a second, or None for "off". It takes "500K", "5M", "1.5G", "123456"; the rest is UsageInvalid.

    So is a number below 1000 without a unit.
    """
    if text.strip().lower() == "off":
        return None
    match = _RATE.fullmatch(text.strip())
    rate = int(Decimal(match[1]) * _FACTORS[match[2].upper()]) if match else 0
    if match and not match[2] and 0 < rate < _LEAST_BARE:
        units = f"{match[1]}K, {match[1]}M or {match[1]}G"
        raise UsageInvalid(
            f"The rate {match[1]} has no unit.", hint=f"Write {units} (kilo-, mega- or gigabytes a second), or off."
        )
    if not 0 < rate <= _MAX_RATE:
        raise UsageInvalid(
            f"The rate {text[:40]!r} is not understood.",
            hint="Write bytes a second (500K, 5M, 123456), or off for no limit. `flowhub pause --all` stops all jobs.",
        )
    return rate


def parse_size(text: str, *, option: str) -> int:
    """Return the bytes of "10G", "500M", "1.5T", "10GB" (decimal), "8GiB", "123456"; the rest is UsageInvalid.

    So is a number below 1000 without a unit. `option` is where the size was typed, for the hint.
    """
    match = _SIZE.fullmatch(text.strip())
    if match and not match[2] and not match[3] and not match[4] and 0 < Decimal(match[1]) < _LEAST_BARE:
        hint = f"Write {option} {match[1]}M, {match[1]}G or {match[1]}T (decimal), or {match[1]}GiB."
        raise UsageInvalid(f"The size {match[1]} has no unit.", hint=hint)
    power = "KMGT".find(match[2].upper()) + 1 if match and match[2] else 0
    size = int(Decimal(match[1]) * (1024 if match[3] else 1000) ** power) if match else 0
    if not 0 < size < 2**63:
        raise UsageInvalid(f"The size {text[:40]!r} is not understood.", hint=f"Write {option} 10G, 500M or 8GiB.")
    return size


def _two(total: int, size: int, name: str, small_size: int, small_name: str) -> str:
    large, small = total // size, total % size // small_size
    return f"{large} {name} {small} {small_name}" if small else f"{large} {name}"
