"""Compressed bodies are decoded in portions, checked against their checksum, and limited in size."""

import gzip
import random
import zlib

import pytest

from flowhub_jobs.errors import ConnectionLost, WrongContent, WrongRange
from flowhub_jobs.transfer.http.content_decoding import RATIO_FROM, Decoder

DATA = random.Random(1).randbytes(5000) + bytes(50_000)
PACKED = gzip.compress(DATA)


def raw_deflate(data: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return compressor.compress(data) + compressor.flush()


def decode(body: bytes, coding: str = "gzip", size: int | None = None, *, view: int = 1000, step: int = 7) -> bytes:
    """Return the decoded body; it arrives `step` bytes at a time and is read in portions of `view` bytes."""
    rest = memoryview(body)

    def read(into: memoryview) -> int:
        nonlocal rest
        count = min(len(into), step, len(rest))
        into[:count], rest = rest[:count], rest[count:]
        return count

    decoder, space, out = Decoder(coding, "h.example", size), memoryview(bytearray(view)), b""
    while count := decoder.fill(space, read):
        out += space[:count]
    return out


BODIES = {
    "gzip": (PACKED, "gzip"),
    "several members and padding": (
        gzip.compress(DATA[:3000]) + gzip.compress(b"") + gzip.compress(DATA[3000:]) + bytes(9),
        "x-gzip",
    ),
    "deflate of zlib's form": (zlib.compress(DATA), "deflate"),
    "raw deflate": (raw_deflate(DATA), "deflate"),
    "raw deflate, stored": (raw_deflate(DATA, 0), "deflate"),
}


@pytest.mark.parametrize(("body", "coding"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("size", [None, len(DATA)], ids=["size unknown", "size known"])
@pytest.mark.parametrize(("view", "step"), [(1000, 1), (1000, 1000), (1 << 18, 7), (7, 1 << 18)])
def test_a_body_decodes_to_the_same_bytes_in_whatever_portions_it_comes(body, coding, size, view, step):
    assert decode(body, coding, size, view=view, step=step) == DATA


@pytest.mark.parametrize("size", [None, len(DATA)], ids=["size unknown", "size known"])
@pytest.mark.parametrize("length", [0, 5, 100, len(PACKED) - 1])
def test_a_body_that_ends_early_is_a_lost_connection(length, size):
    with pytest.raises(ConnectionLost, match=f"too early, at byte {length}"):
        decode(PACKED[:length], size=size)


DAMAGED = {
    "no gzip": b"plain",
    "a wrong checksum": PACKED[:-8] + bytes(8),
    "bytes after the end": PACKED + b"junk",
}


@pytest.mark.parametrize("size", [None, len(DATA)], ids=["size unknown", "size known"])
@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_body_is_refused(body, size):
    with pytest.raises(WrongRange, match=r"h\.example sent damaged gzip"):
        decode(body, size=size)


@pytest.mark.parametrize("size", [1000, 1001, len(DATA) - 1])
def test_a_body_that_is_longer_than_the_file_is_refused(size):
    with pytest.raises(WrongRange, match=f"more in gzip than the file's {size} bytes"):
        decode(PACKED, size=size)


def test_a_body_that_expands_more_than_a_hundred_times_is_refused_unless_the_size_is_known():
    size = RATIO_FROM + (1 << 20)
    bomb = gzip.compress(bytes(size))
    with pytest.raises(WrongContent, match=r"h\.example sent \d+ bytes in gzip"):
        decode(bomb, view=1 << 20, step=1 << 16)
    assert len(decode(bomb, size=size, view=1 << 20, step=1 << 16)) == size
