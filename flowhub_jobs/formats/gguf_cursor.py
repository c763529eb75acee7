"""A cursor over the first bytes of a GGUF file, in either byte order.

The format: ggml's docs/gguf.md. Version 1 counts and measures in 32 bits, later ones in 64.
"""

import struct
from typing import Any

from flowhub_jobs.formats.metadata import HeaderUnreadable, NeedMore

MAX_HEADER = 64 * 2**20  # a vocabulary of a million words would be some 40 MB
MAX_KEY_LENGTH = 65_535  # docs/gguf.md: a key is at most 2^16-1 bytes long
MAX_NESTING = 4

_STRING, _ARRAY = 8, 9
# A value's type to how struct reads it: docs/gguf.md, gguf_metadata_value_type.
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class GgufCursor:
    """A position in the bytes that only moves forward.

    `order` is struct's byte order, `width` its letter for a count, a length or a dimension. Every method raises
    NeedMore if the bytes end too early, HeaderUnreadable if they are invalid.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.order, self.width = data, 0, "<", "Q"

    def step(self, count: int) -> int:
        """Move forward by `count` bytes; return where they begin."""
        start, self.at = self.at, self.at + count
        if self.at > MAX_HEADER:
            raise HeaderUnreadable(f"its header claims to be longer than {MAX_HEADER // 2**20} MiB")
        if self.at > len(self.data):
            raise NeedMore(self.at)
        return start

    def number(self, letter: str) -> Any:
        code = self.order + letter
        return struct.unpack_from(code, self.data, self.step(struct.calcsize(code)))[0]

    def count(self) -> int:
        """Return a count, a length or a dimension."""
        count: int = self.number(self.width)
        return count

    def text(self, most: int, label: str) -> str:
        length = self.count()
        if length > most:
            raise HeaderUnreadable(f"{label} claims to be {length:,} bytes long")
        start = self.step(length)
        return self.data[start : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int, most_text: int, label: str, most_items: int) -> Any:
        """Return a value: a number, a text, or a list of at most `most_items` numbers; None for any other list."""
        if kind in _FIXED:
            return self.number(_FIXED[kind])
        if kind == _STRING:
            return self.text(most_text, label)
        if kind == _ARRAY:
            return self._numbers(most_items)
        raise _unknown(kind)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value of any kind."""
        if kind in _FIXED:
            self.step(struct.calcsize(_FIXED[kind]))
        elif kind == _STRING:
            self.step(self.count())
        elif kind == _ARRAY:
            self._skip_items(self.number("I"), self.count(), depth + 1)
        else:
            raise _unknown(kind)

    def _numbers(self, most: int) -> list[Any] | None:
        kind, count = self.number("I"), self.count()
        if kind in _FIXED and count <= most:
            return [self.number(_FIXED[kind]) for _ in range(count)]
        self._skip_items(kind, count, 1)
        return None

    def _skip_items(self, kind: int, count: int, depth: int) -> None:
        if depth > MAX_NESTING:
            raise HeaderUnreadable(f"its arrays are nested more than {MAX_NESTING} deep")
        if kind in _FIXED:
            self.step(count * struct.calcsize(_FIXED[kind]))
            return
        # Each item takes at least a length: so an impossible count is refused before the loop.
        if count * struct.calcsize(self.width) > MAX_HEADER:
            raise HeaderUnreadable(f"it claims an array of {count:,} items")
        if kind == _STRING:
            self._skip_texts(count)
            return
        for _ in range(count):
            self.skip(kind, depth)

    def _skip_texts(self, count: int) -> None:
        """Skip so many texts, as of a vocabulary. A method call for each of a million words would take seconds."""
        data, at = self.data, self.at
        length_at = struct.Struct(self.order + self.width)
        end = len(data) - length_at.size
        for _ in range(count):
            if at > end:
                break
            at += length_at.size + length_at.unpack_from(data, at)[0]
            count -= 1
        self.step(at - self.at + count * length_at.size)  # the texts that were not reached take at least their lengths


def _unknown(kind: int) -> HeaderUnreadable:
    return HeaderUnreadable(f"it has a value of the unknown type {kind}")
