"""Content-Range and Content-Encoding in the forms that servers write. Pure. Ranges are half-open, in bytes.

A form that can mean one thing only is read (curl's `http_header_c` and its list of forms: `bytes 0-9/10`,
`bytes: 0-9/10`, `bytes=0-9/10`, `0-9/10`); any other is None, and the caller asks for the file in another way.
"""

import re
from dataclasses import dataclass

LARGEST = 1 << 60  # bytes; a larger size is no size, and does not fit a database

_UNIT = r"(?:bytes\s*[:=]?\s*)?"
_PART = re.compile(_UNIT + r"([0-9]{1,19})\s*-\s*([0-9]{0,19})\s*(?:/\s*([0-9]{1,19}|\*)?)?", re.IGNORECASE)
_UNSATISFIED = re.compile(_UNIT + r"\*\s*/\s*([0-9]{1,19})", re.IGNORECASE)
# The content codings that IANA has registered, and the names that programs use for others. Any other word
# (none, binary, utf-8, aws-chunked) names no coding: the body is plain.
_REGISTERED = {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "zstd"}
_OTHERS = {"x-compress", "x-gzip", "brotli", "bzip2", "x-bzip2", "lz4", "lzma", "snappy", "xz", "x-xz", "zst", "zlib"}
_CODINGS = _REGISTERED | _OTHERS
# A server that knows a file by its suffix says the suffix's coding for the file as it is stored (Apache's AddEncoding).
_STORED = {
    ".gz": {"gzip", "x-gzip"},
    ".tgz": {"gzip", "x-gzip"},
    ".z": {"compress", "x-compress"},
    ".bz2": {"bzip2", "x-bzip2"},
    ".xz": {"xz", "x-xz"},
    ".zst": {"zstd", "zst"},
    ".br": {"br"},
}


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A part of a file: from `start` to `end`; `end` None: up to the end of the body. `total` None: not stated."""

    start: int
    end: int | None
    total: int | None


class ImpossibleRange(ValueError):
    """The header can be parsed, but describes no possible part of a file."""


def content_range(text: str | None) -> ContentRange | None:
    """Return the part that a Content-Range names, None if it cannot be parsed. Raises ImpossibleRange."""
    match = _PART.fullmatch(_single_value(text))
    if match is None:
        return None
    start, total = int(match[1]), int(match[3]) if match[3] and match[3] != "*" else None
    end = int(match[2]) + 1 if match[2] else None
    if not match[2] and total is None:
        return None  # "bytes 5-": its end is not stated at all
    last = start if end is None else end - 1
    if last < start or last >= LARGEST or (total is not None and not last < total < LARGEST):
        raise ImpossibleRange(text)
    return ContentRange(start, end, total)


def unsatisfied_total(text: str | None) -> int | None:
    """Return the size of the file in the Content-Range of a 416, or None."""
    match = _UNSATISFIED.fullmatch(_single_value(text))
    return int(match[1]) if match and int(match[1]) < LARGEST else None


def _single_value(text: str | None) -> str:
    """Return a header's value without its spaces; one that came twice the same (joined by a comma) is one."""
    if text is None or "," not in text:
        return (text or "").strip()
    values = {value.strip() for value in text.split(",")}
    return values.pop() if len(values) == 1 else ""


def coding_of(content_encoding: str, path: str = "") -> str | None:
    """Return the coding of a body, None if it is plain. `path`: the file's, whose suffix may name the coding.

    A stored `a.gz` that is labelled gzip is sent as it is stored.
    """
    if not content_encoding:
        return None
    tokens = [token.strip().lower() for token in content_encoding.split(",")]
    codings = [token for token in tokens if token in _CODINGS]
    stored = next((names for suffix, names in _STORED.items() if path.lower().endswith(suffix)), set())
    return None if not codings or (len(codings) == 1 and codings[0] in stored) else ", ".join(codings)
