"""Ranges and pieces: sets of bytes of a file. Pure; ranges are half-open, in bytes."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

MIB = 1 << 20
PIECE_MIN, PIECE_MAX, PIECES_AIM = MIB, 64 * MIB, 8192

Range = tuple[int, int]


class Ranges:
    """A set of bytes, as sorted ranges that neither touch nor overlap."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        self.total = 0  # bytes
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        # The first range that ends at or after `start` may merge with the new one, and all that begin before `end`.
        first = bisect_left(self._ranges, start, key=lambda existing: existing[1])
        last = first
        while last < len(self._ranges) and self._ranges[last][0] <= end:
            low, high = self._ranges[last]
            self.total -= high - low
            start, end = min(start, low), max(end, high)
            last += 1
        self._ranges[first:last] = [(start, end)]
        self.total += end - start

    def remove(self, start: int, end: int) -> None:
        if start >= end:
            return
        first = last = bisect_right(self._ranges, start, key=lambda existing: existing[1])
        left: list[Range] = []
        while last < len(self._ranges) and self._ranges[last][0] < end:
            low, high = self._ranges[last]
            left += [
                (left_start, left_end) for left_start, left_end in ((low, start), (end, high)) if left_start < left_end
            ]
            self.total -= min(high, end) - max(low, start)
            last += 1
        self._ranges[first:last] = left

    def gaps(self, start: int, end: int) -> Iterator[Range]:
        """Yield the missing ranges between `start` and `end`, in order."""
        for low, high in self._ranges:
            if low >= end:
                break
            if low > start:
                yield start, low
            start = max(start, high)
        if start < end:
            yield start, end

    def reach(self, start: int) -> int:
        """Return the end of the contiguous bytes from `start` on; `start` itself if that byte is missing."""
        for low, high in self._ranges:
            if low <= start < high:
                return high
        return start

    @property
    def end(self) -> int:
        """The end of the last range; 0 if there is none."""
        return self._ranges[-1][1] if self._ranges else 0

    def copy(self) -> "Ranges":
        twin = Ranges()
        twin._ranges, twin.total = list(self._ranges), self.total
        return twin

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Ranges({self._ranges})"


def piece_size(size: int | None) -> int:
    """Return the bytes of a piece of a file: a power of two, at most 8,192 pieces a file while they fit 64 MiB."""
    piece = PIECE_MIN
    while size is not None and piece < PIECE_MAX and size > piece * PIECES_AIM:
        piece *= 2
    return piece
