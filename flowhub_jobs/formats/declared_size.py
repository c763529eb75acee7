"""Computes the least size of a model file from its own header, to detect a truncated file.

Every figure is a lower bound: a complete file is never shorter, whatever padding or unknown tensor types it has. So a
file that is smaller than its declared size is truncated, and a larger one may be complete.
"""

import re
from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.formats import gguf_tensors, safetensors
from flowhub_jobs.formats.gguf_cursor import MAX_HEADER
from flowhub_jobs.formats.gguf_version import MAGIC, SWAPPED_MAGIC
from flowhub_jobs.formats.metadata import HeaderUnreadable, NeedMore

FIRST_BYTES = 256 * 1024
_GGUF_MAGICS = (MAGIC, SWAPPED_MAGIC)
# A quote inside a JSON string is written \\", so this matches keys alone. A header may have 100 MB: parsing it into
# objects would take ten times its size in memory.
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*[0-9]{1,19}\s*,\s*([0-9]{1,19})\s*\]')


def declared_size(head: bytes) -> int | None:
    """Return the least size of a complete file with this beginning; None if its header does not tell.

    `head` may be of any length. If it ends inside the header, the answer is larger than `head` and at least as much
    of the header as is known to follow; with more of the file it grows, never beyond the size of a whole file.
    """
    try:
        return _size_of(head)
    except NeedMore as short:
        return short.bytes_wanted
    except HeaderUnreadable:
        return None


def declared_size_by(read: Callable[[int], bytes], *, first: int = FIRST_BYTES) -> int | None:
    """Return `declared_size` of a file; `read` returns its first n bytes, or all if it has fewer."""
    count = first
    while True:
        head = read(count)
        try:
            return _size_of(head)
        except HeaderUnreadable:
            return None
        except NeedMore as short:
            if len(head) < count or count >= _header_max(head):
                return short.bytes_wanted
            count = min(_header_max(head), max(short.bytes_wanted, 4 * count))


def declared_size_of(path: Path) -> int | None:
    """Return `declared_size` of a file on the disk. Raises OSError."""
    with path.open("rb") as file:

        def read(count: int) -> bytes:
            file.seek(0)
            return file.read(count)

        return declared_size_by(read)


def _size_of(head: bytes) -> int:
    if head[:4] in _GGUF_MAGICS:
        return gguf_tensors.least_size(head)
    if len(head) < 9:  # too few to tell it from a text
        raise HeaderUnreadable("it is too short to have a header")
    end = safetensors.header_length(head)
    if head[8:9] != b"{":
        raise HeaderUnreadable("its header is not a JSON object")
    if len(head) < end:
        raise NeedMore(end)
    ends = (int(match[1]) for match in _OFFSETS.finditer(head, 8, end))
    return end + max(ends, default=0)


def _header_max(head: bytes) -> int:
    return MAX_HEADER if head[:4] in _GGUF_MAGICS else 8 + safetensors.FORMAT_MAX_HEADER
