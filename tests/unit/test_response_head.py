"""readable_head: it repairs what h11 would refuse in a response's head, and does not change a valid one."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.net.head_repair import readable_head

OK = b"HTTP/1.1 206 Partial Content\r\n"


@pytest.mark.parametrize(
    "head",
    [
        OK + b"\r\n",
        OK + b'ETag: "a"\r\nX:\r\n\r\n',
        OK + b"X: one\r\n two\r\n\tthree\r\n\r\n",
        OK + b"X-Nm: \xe9\xff\r\n\r\n",
        b"HTTP/1.0 200\n\n",
        b"HTTP/1.1 200 \r\nX: a:b \n\r\n",
    ],
)
def test_a_valid_head_is_returned_as_the_same_object(head):
    assert readable_head(head) is head


@pytest.mark.parametrize(
    ("line", "repaired"),
    [
        (b'ETag : "q"', b'ETag: "q"\r\n'),
        (b"Content-Length \t: 5", b"Content-Length: 5\r\n"),
        (b"Garbage line no colon", b""),
        (b"Garbage\r\n Content-Length: 5", b""),
        (b"X: a\0b\x0bc", b"X: a b c\r\n"),
        (b": 5", b""),
        (b" Content-Length: 5", b""),
    ],
)
def test_a_line_is_corrected_or_dropped(line, repaired):
    assert readable_head(OK + line + b"\r\nB: 2\r\n\r\n") == OK + repaired + b"B: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "repaired"),
    [
        (b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked\r\ntransfer-encoding: Chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip, chunked"),
        (b"Content-Length: +5", b"Content-Length: 5"),
        (b"Content-Length: 5, 5", b"Content-Length: 5, 5"),
        (b"Content-Length: unknown\r\nX: 1", b"X: 1"),
        (b"Content-Length: -1\r\nX: 1", b"X: 1"),
    ],
)
def test_the_end_of_a_body_is_stated_in_one_way_only(lines, repaired):
    assert readable_head(OK + lines + b"\r\n\r\n") == OK + repaired + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "repaired"),
    [
        (b"ICY 200 OK", b"HTTP/1.0 200"),
        (b"http/1.1 206 ok", b"HTTP/1.1 206"),
        (b"HTTP/2 200", b"HTTP/1.0 200"),
        (b"HTTP/1.1  200  OK", b"HTTP/1.1 200"),
        (b"SSH-2.0-OpenSSH 200", b"SSH-2.0-OpenSSH 200"),
        (b"HTTP/1.1 2000", b"HTTP/1.1 2000"),
        (b"HTTP/1.1 OK", b"HTTP/1.1 OK"),
    ],
)
def test_a_status_line_is_repaired_if_it_has_a_status(line, repaired):
    assert readable_head(line + b"\r\nB : 2\r\n\r\n") == repaired + b"\r\nB: 2\r\n\r\n"


LINES = st.lists(
    st.lists(st.sampled_from([b"X", b":", b" ", b"\t", b"\r", b"\0", b"\x0b", b"\xff", b"(", b"1"]), max_size=8).map(
        b"".join
    )
)


@given(LINES)
def test_h11_reads_a_repaired_head_of_any_lines(lines):
    lines = [line for line in lines if line.rstrip(b"\r")]
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "h.example")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(readable_head(OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"))
    assert reader.next_event().status_code == 206
