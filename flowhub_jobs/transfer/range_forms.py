"""The forms of the Range header in which a part of a file can be requested. Pure.

A server may refuse a range that ends after the end of the file, a range that has an end, or all ranges.
"""

from enum import Enum

WHOLE = 1 << 62  # the end of a file of unknown size, where it must be requested in one go


class RangeForm(Enum):
    BOUNDED = "bytes=A-B"  # as much as one connection should fetch; several connections share the file
    TO_END = "bytes=A-(size-1)"  # only of a file whose size is known
    OPEN = "bytes=A-"
    NONE = "no Range"


def range_header(form: RangeForm, start: int, end: int, size: int | None) -> str | None:
    """Return the Range header that asks for bytes from `start` to `end` (half-open), or for more than that."""
    if form is RangeForm.NONE:
        return None
    if form is RangeForm.TO_END and size is not None:
        end = size
    return f"bytes={start}-" if form is RangeForm.OPEN or end == WHOLE else f"bytes={start}-{end - 1}"


def forms_of(size: int | None) -> tuple[RangeForm, ...]:
    """Return the forms in the order in which they are tried."""
    return tuple(form for form in RangeForm if size is not None or form is not RangeForm.TO_END)
