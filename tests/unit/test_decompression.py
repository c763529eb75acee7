"""Compressed bodies are unpacked in portions of the requested size, however much they contain."""

import gzip

import pytest

from flowhub_jobs.errors import ConnectionLost, WrongContent
from flowhub_jobs.net.get import unpacker


def test_a_chunk_unpacks_to_no_more_bytes_than_requested():
    unpack = unpacker("gzip", "h.example")
    assert unpack(gzip.compress(bytes(50_000_000)), 10) == bytes(10)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_body_without_compression_stays_as_it_is(encoding):
    assert unpacker(encoding, "h.example")(b"abc", 2) == b"ab"


def test_data_that_ends_early_or_cannot_be_unpacked_is_an_error():
    unpack = unpacker("gzip", "h.example")
    unpack(gzip.compress(b"abc" * 1000)[:20], 100)
    with pytest.raises(ConnectionLost):
        unpack(b"", 1)
    with pytest.raises(WrongContent):
        unpacker("gzip", "h.example")(b"no gzip", 100)
    with pytest.raises(WrongContent):
        unpacker("br", "h.example")
    assert unpacker("gzip", "h.example")(b"", 1) == b"", "a 304 has no body"
