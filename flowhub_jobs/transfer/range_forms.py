"""The forms of the Range header that can request a part of a file. Pure.

A server may refuse a range that ends after the end of the file, a range that has an end, a long range, or all ranges.
"""

from enum import Enum

WHOLE = 1 << 62  # the end of a file of unknown size, where it must be requested in one go
SHORT_BYTES = 1 << 20  # some hosts answer 403 to a range that is longer than they like (aria2 #1627)


class RangeForm(Enum):
    BOUNDED = "bytes=A-B"  # as much as one connection should fetch; several connections share the file
    TO_END = "bytes=A-(size-1)"  # only of a file whose size is known
    OPEN = "bytes=A-"
    SHORT = "bytes=A-(A+1048575)"
    NONE = "no Range"


def range_header(form: RangeForm, start: int, end: int, size: int | None) -> str | None:
    """Return the Range header that asks for bytes from `start` to `end` (half-open), or for more than that."""
    if form is RangeForm.NONE:
        return None
    if form is RangeForm.TO_END and size is not None:
        end = size
    if form is RangeForm.SHORT:
        end = min(end, start + SHORT_BYTES)
    return f"bytes={start}-" if form is RangeForm.OPEN or end == WHOLE else f"bytes={start}-{end - 1}"


def forms_of(size: int | None) -> tuple[RangeForm, ...]:
    """Return the forms in the order in which they are tried."""
    return tuple(form for form in RangeForm if size is not None or form is not RangeForm.TO_END)
