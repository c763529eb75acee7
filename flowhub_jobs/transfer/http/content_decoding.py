"""Decodes a body that a server compressed although identity was asked for: gzip and deflate, while it streams.

Servers and CDNs do that for small text files (huggingface_hub #2372 and #3307). The length of the decoded body is known
only at its end, and a short body may decode to gigabytes: so the size of the file, or else a ratio, limits it.
"""

import zlib
from collections.abc import Callable

from flowhub_jobs.errors import ConnectionLost, WrongContent, WrongRange

DECODED = frozenset({"gzip", "x-gzip", "deflate"})
# The values of Accept-Encoding, in the order in which they are tried. Some servers send brotli or zstd for the first,
# which excludes nothing (RFC 9110, section 12.5.3); some answer 406 to what excludes all codings.
ACCEPTED = ("identity", "identity;q=1, *;q=0", "gzip, deflate")
READ = 64 * 1024  # coded bytes
RATIO_MAX, RATIO_FROM = 100, 64 << 20  # text shrinks 3 to 20 times, zeros 1000 times; below that size it does no harm
_GZIP, _ZLIB, _RAW = 31, 15, -15  # wbits

Read = Callable[[memoryview], int]  # puts the next bytes into a buffer; returns the count, 0 at the end of the body


class Decoder:
    """Decodes one body in `coding` that `host` sends. `size`: the bytes that it must decode to; None: unknown."""

    def __init__(self, coding: str, host: str, size: int | None) -> None:
        self._coding, self._host, self._size = coding, host, size
        self._member: zlib._Decompress | None = None  # a gzip body may have several (RFC 1952, section 2.2)
        self._coded, self._space = b"", memoryview(bytearray(READ))
        self._read_bytes = self._decoded = self._members = 0

    def fill(self, view: memoryview, read: Read) -> int:
        """Put the next decoded bytes into `view`; return the count, 0 at the end of the file.

        The last byte of a file of known size is returned only after the checksum that follows it was verified.
        Raises ConnectionLost where the body ends early, WrongRange where it is damaged or longer than `size`,
        WrongContent where it expands too far; and what `read` raises.
        """
        data = self._next(len(view), read)
        view[: len(data)] = data
        self._decoded += len(data)
        if self._size is None:
            self._check_ratio()
        elif data and self._decoded >= self._size and (self._decoded > self._size or self._next(1, read)):
            raise WrongRange(
                f"{self._host} sent more in {self._coding} than the file's {self._size} bytes.", host=self._host
            )
        return len(data)

    def _next(self, most: int, read: Read) -> bytes:
        """Return up to `most` decoded bytes, none at the end."""
        while True:
            data = self._decode(most)
            if data:
                return data
            if self._coded:  # the next member
                continue
            count = read(self._space)
            self._read_bytes += count
            self._coded = bytes(self._space[:count])
            if not count:
                self._check_end()
                return b""

    def _decode(self, most: int) -> bytes:
        """Decode the coded bytes that were read, to at most `most` bytes."""
        if self._member is None:
            self._coded = self._coded.lstrip(b"\0") if self._members else self._coded  # padding, as of a tape
            if not self._coded:
                return b""
            self._member, self._members = zlib.decompressobj(self._format(self._coded[0])), self._members + 1
        try:
            data = self._member.decompress(self._coded, most)
        except zlib.error as error:
            raise self._damaged_error(str(error)) from error
        self._coded = self._member.unconsumed_tail
        if self._member.eof:
            self._coded, self._member = self._member.unused_data, None
        return data

    def _format(self, first: int) -> int:
        """Return the wbits for a member, by its first byte: deflate is zlib's form, and with some servers the raw one.

        RFC 9110, section 8.4.1.2. A gzip member begins with 1F, zlib's form with x8; raw deflate with neither.
        """
        if first == 0x1F:
            return _GZIP
        if self._members or self._coding != "deflate":
            raise self._damaged_error("it does not begin as gzip does")
        return _ZLIB if first & 0x0F == 8 else _RAW

    def _check_end(self) -> None:
        if self._member is not None or not self._members:
            text = f"{self._host} ended its answer in {self._coding} too early, at byte {self._read_bytes}."
            raise ConnectionLost(text, host=self._host)

    def _check_ratio(self) -> None:
        if self._decoded > RATIO_FROM and self._decoded > RATIO_MAX * self._read_bytes:
            raise WrongContent(
                f"{self._host} sent {self._read_bytes} bytes in {self._coding} "
                f"that are more than {self._decoded} bytes.",
                hint="That is not a file of a model. If it is meant to be, name its size in a catalog: sizeBytes.",
                host=self._host,
            )

    def _damaged_error(self, problem: str) -> WrongRange:
        return WrongRange(f"{self._host} sent damaged {self._coding}: {problem}.", host=self._host)
