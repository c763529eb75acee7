"""The Range header and conditional requests of RFC 9110, for files with a strong ETag. Pure."""

import re

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})", re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """No byte of the file is in the range (RFC 9110 §15.5.17)."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of the one range of a Range header; None to send the whole file.

    A header that is malformed, of another unit, or has several ranges is ignored, which §14.2 allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last bytes
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise RangeNotSatisfiable
    return start, end


def etag_matches(header: str | None, etag: str, *, weak: bool) -> bool:
    """Return whether a list of entity tags names this one, or any (`*`); `weak` compares as §8.8.3.2 does."""
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    quoted = f'"{etag}"'
    return "*" in tags or quoted in tags or (weak and f"W/{quoted}" in tags)
