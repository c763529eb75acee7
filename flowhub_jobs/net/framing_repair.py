"""Reads the head and the chunks of a response as other clients do, and rewrites them for h11. Pure.

h11 refuses a chunk-size line that ends with a bare LF (curl, Go and browsers take it), a body that ends after its last
chunk without the empty line, and an empty line before a response.
"""

import re
from collections.abc import Callable

from flowhub_jobs.net.head_repair import readable_head

HEAD_MAX = 100 * 1024  # httpcore refuses a longer one (MAX_INCOMPLETE_EVENT_SIZE)
SIZE_LINE_MAX = 16 * 1024  # with its extensions
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNKED = re.compile(rb"^transfer-encoding:[ \t]*chunked[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_SIZE = re.compile(rb"[ \t]*([0-9a-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n", re.IGNORECASE)


def read_head(receive: Callable[[], bytes]) -> tuple[bytes, bytes, bool]:
    """Return a complete head as h11 can read it, the bytes received after it, and whether the head was malformed.

    `receive` returns the next bytes, none at the end of the connection. A head that is cut short, or too long, is
    returned unchanged: h11 refuses it.
    """
    head, end = bytearray(), None
    while end is None and len(head) <= HEAD_MAX:
        data = receive()
        if not data:
            return bytes(head), b"", False
        begin = max(0, len(head) - 3)  # the empty line may be cut in two
        head += data if head else data.lstrip(b"\r\n")  # empty lines before it belong to no message
        end = _HEAD_END.search(head, begin)
    if end is None:
        return bytes(head), b"", False
    raw = bytes(head[: end.end()])
    readable = readable_head(raw)
    return readable, bytes(head[end.end() :]), readable is not raw


class ChunkFraming:
    """Rewrites the framing of one chunked body. What is no chunk at all is passed on unchanged: h11 refuses it."""

    def __init__(self) -> None:
        self._line = b""  # of a size, of a trailer, or what ends a chunk: not complete yet
        self._step: Callable[[bytes], tuple[bytes, bytes]] | None = self._size
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes for h11; none if more must come first."""
        out = []
        while data and self._step is not None:
            piece, data = self._step(data)
            out.append(piece)
        return b"".join(out) + data

    def end(self) -> bytes:
        """Return what is missing after the last chunk, at the end of the connection."""
        ended, self._step = self._step == self._trailer, None
        return b"\r\n" if ended else b""

    def _size(self, data: bytes) -> tuple[bytes, bytes]:
        self._line += data
        match = _SIZE.match(self._line)
        if match is None:
            if b"\n" not in self._line and len(self._line) <= SIZE_LINE_MAX:
                return b"", b""
            self._step = None
            return self._line, b""
        remainder, self._line, self._left = self._line[match.end() :], b"", int(match[1], 16)
        self._step = self._data if self._left else self._trailer
        return b"%x\r\n" % self._left, remainder

    def _data(self, data: bytes) -> tuple[bytes, bytes]:
        piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        if not self._left:
            self._step = self._chunk_end
        return piece, rest

    def _chunk_end(self, data: bytes) -> tuple[bytes, bytes]:
        self._line += data
        if self._line == b"\r":
            return b"", b""
        text, self._line = self._line, b""
        rest = text.removeprefix(b"\r").removeprefix(b"\n")
        if not text.startswith((b"\n", b"\r\n")):
            self._step = None
            return text, b""
        self._step = self._size
        return b"\r\n", rest

    def _trailer(self, data: bytes) -> tuple[bytes, bytes]:
        """Drop the fields after the last chunk, up to the empty line."""
        line, end, rest = (self._line + data).partition(b"\n")
        self._line = b"" if end else line
        if end and line in (b"", b"\r"):
            self._step = None
            return b"\r\n", rest
        return b"", rest


class ResponseFraming:
    """The responses of one connection, one after the other, as h11 reads them."""

    def __init__(self) -> None:
        self.malformed = False  # a head had malformed lines
        self.ahead = b""  # bytes that came after a head
        self.in_head = False  # a head comes next
        self._chunks: ChunkFraming | None = None

    def begin(self) -> None:
        """Expect the head of a response next: a request is sent."""
        self.in_head, self._chunks = True, None

    def read(self, receive: Callable[[], bytes]) -> bytes:
        """Return the next bytes for h11, none at the end of the connection."""
        if self.in_head:
            return self._head(receive)
        while True:
            data, self.ahead = self.ahead or receive(), b""
            if self._chunks is None:
                return data
            out = self._chunks.feed(data) if data else self._chunks.end()
            if out or not data:
                return out

    def _head(self, receive: Callable[[], bytes]) -> bytes:
        def next_bytes() -> bytes:
            data, self.ahead = self.ahead or receive(), b""
            return data

        head, self.ahead, malformed = read_head(next_bytes)
        self.malformed = self.malformed or malformed
        self.in_head = is_interim(head)
        self._chunks = ChunkFraming() if is_chunked(head) else None
        return head


def is_interim(head: bytes) -> bool:
    """Return whether a head is a 1xx: another one follows it."""
    return re.match(rb"HTTP/[0-9.]+ 1[0-9]{2}(?![0-9])", head) is not None


def is_chunked(head: bytes) -> bool:
    """Return whether a body in chunks follows a head that `readable_head` returned."""
    return _CHUNKED.search(head) is not None
