"""Chunked bodies are rewritten for h11, however they are split and however their lines end."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.net.framing_repair import ChunkFraming, ResponseFraming, read_head

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDS = st.sampled_from([b"\r\n", b"\n"])
SIZE_ENDS = st.sampled_from([b"\r\n", b"\n", b" \r\n", b';a="b"\r\n', b"\t;x\n"])
TRAILERS = st.sampled_from([b"", b"X: 1\r\n", b"X: 1\nY: 2\n"])


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    SIZE_ENDS,
    ENDS,
    TRAILERS,
    st.integers(1, 9),
    st.booleans(),
)
def test_a_body_is_the_same_in_all_pieces_and_with_all_line_ends(chunks, size_end, data_end, trailers, step, complete):
    wire = b"".join(b"%X" % len(chunk) + size_end + chunk + data_end for chunk in chunks)
    wire += b"0" + size_end + trailers + (data_end if complete else b"")
    pieces = [(HEAD + wire)[at : at + step] for at in range(0, len(HEAD + wire), step)]
    framing, body = ResponseFraming(), b""
    framing.begin()
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    reader.send(h11.EndOfMessage())
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            reader.receive_data(framing.read(lambda: pieces.pop(0) if pieces else b""))
        elif isinstance(event, h11.Data):
            body += event.data
    assert body == b"".join(chunks)


@pytest.mark.parametrize("wire", [b"xyz\r\nabc", b"\r\n", b"-1\r\n", b"1" * 20 + b"\r\n"])
def test_a_malformed_chunk_is_passed_on_unchanged(wire):
    assert ChunkFraming().feed(wire) == wire


def test_a_chunk_longer_than_its_size_is_passed_on_for_h11_to_refuse():
    assert ChunkFraming().feed(b"3\r\nabcd\r\n") == b"3\r\nabcd\r\n"


def test_a_size_line_without_an_end_is_not_collected_for_ever():
    framing, fed = ChunkFraming(), 0
    while not framing.feed(b"5" + b" " * 999):
        fed += 1000
        assert fed < 100_000


def test_a_connection_that_ends_in_a_chunk_gets_no_end():
    framing = ChunkFraming()
    framing.feed(b"5\r\nab")
    assert framing.end() == b""


def test_a_head_that_is_cut_short_is_returned_unchanged():
    pieces = [b"HTTP/1.1 200 OK\r\nX: 1"]
    assert read_head(lambda: pieces.pop(0) if pieces else b"") == (b"HTTP/1.1 200 OK\r\nX: 1", b"", False)
