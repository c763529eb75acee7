"""Tests of the named faults: each does what its name says, for the requests that it is for."""

import gzip
import http.client
import socket
import threading

import pytest
from support.faults import (
    ALL_FAULTS,
    CappedRange,
    ChangeEtag,
    CloseBeforeHeaders,
    EarlyClose,
    EndlessBody,
    EndlessHead,
    Fault,
    FlipByte,
    Gzip,
    Hold,
    IgnoreRange,
    LoginPage,
    LongRange,
    Multipart,
    NoContentRange,
    NoEtag,
    NoHeaders,
    NoLength,
    NoTotal,
    Redirect,
    Reset,
    ShiftedRange,
    ShortRange,
    SlowAfter,
    Stall,
    StallAfterHeaders,
    Status,
    Trickle,
    WeakEtag,
    WrongLength,
    WrongTotal,
)
from support.http_client import body_before_error, open_connection, send_request
from support.origin import Pattern
from support.range_faults import MovedRange

DATA = Pattern(300_000, seed=7).read()


# Faults of the line --------------------------------------------------------------------------------------------------


def test_reset_gives_exactly_its_bytes_and_then_a_reset(origin):
    url = origin.serve("m", DATA, faults=[Reset(after=123_456)])
    assert body_before_error(url, ConnectionResetError) == DATA[:123_456]
    assert origin.sent("m") == 123_456


def test_early_close_ends_in_good_order_with_bytes_missing(origin):
    url = origin.serve("m", DATA, faults=[EarlyClose(after=1000)])
    assert body_before_error(url, http.client.IncompleteRead) == DATA[:1000]


def test_close_before_headers_says_nothing(origin):
    with pytest.raises(http.client.RemoteDisconnected):
        send_request(origin.serve("m", DATA, faults=[CloseBeforeHeaders()]))
    assert [one.status for one in origin.requests("m")] == [None]


@pytest.mark.parametrize(
    ("fault", "status_line"),
    [(NoHeaders(), b""), (StallAfterHeaders(), b"HTTP/1.1 200 OK"), (Stall(after=9), b"HTTP/1.1 200 OK")],
    ids=repr,
)
def test_a_stall_keeps_the_connection_open_and_sends_no_more(origin, fault, status_line):
    origin.serve("m", DATA, faults=[fault])
    after = fault.after if isinstance(fault, Stall) else 0
    with socket.create_connection(("127.0.0.1", origin.port)) as client:
        client.sendall(b"GET /m HTTP/1.1\r\n\r\n")
        origin.wait_for(lambda: origin.requests("m") and origin.sent("m") == after)
        client.shutdown(socket.SHUT_WR)  # for the origin the client has given up, and only this ends its answer
        received = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(status_line)
    assert (bool(head), body) == (bool(status_line), DATA[:after])


def test_hold_waits_for_the_test_and_then_continues(origin):
    event = threading.Event()
    url = origin.serve("m", DATA, faults=[Hold(event, after=500)])
    bodies: list[bytes] = []
    fetch = threading.Thread(target=lambda: bodies.append(send_request(url)[1]))
    fetch.start()
    origin.wait_for(lambda: origin.sent("m") == 500)
    event.set()
    fetch.join()
    assert bodies == [DATA]


def test_trickle_sends_little_by_little(origin):
    url = origin.serve("m", DATA, faults=[Trickle(bps=2000)])
    with open_connection(url) as connection:
        connection.request("GET", "/m")
        assert connection.getresponse().read(200) == DATA[:200]
        assert origin.sent("m") < 100_000


def test_slow_after_sends_the_front_as_fast_as_it_can(origin):
    url = origin.serve("m", DATA, faults=[SlowAfter(after=200_000, bps=2000)])
    with open_connection(url) as connection:
        connection.request("GET", "/m")
        assert connection.getresponse().read(200_100) == DATA[:200_100]
        assert origin.sent("m") < 250_000


def test_an_endless_head_never_ends_and_never_rests(origin):
    origin.serve("m", DATA, faults=[EndlessHead()])
    with socket.create_connection(("127.0.0.1", origin.port)) as client:
        client.sendall(b"GET /m HTTP/1.1\r\n\r\n")
        received = b""
        while len(received) < 60:
            received += client.recv(4096)
    assert received.startswith(b"HTTP/1.1 200 OK\r\nX-Endless: onon")
    assert b"\r\n\r\n" not in received


def test_flip_byte_changes_that_byte_alone_in_any_range(origin):
    url = origin.serve("m", DATA, faults=[FlipByte(at=1000)])
    wrong = DATA[:1000] + bytes([DATA[1000] ^ 255]) + DATA[1001:]
    assert send_request(url)[1] == wrong
    assert send_request(url, Range="bytes=990-1010")[1] == wrong[990:1011]
    assert send_request(url, Range="bytes=1001-1010")[1] == DATA[1001:1011]


# Faults of ranges and answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "content_range", "start", "end"),
    [
        (IgnoreRange(), 200, None, 0, 300_000),
        (ShiftedRange(by=3), 206, "bytes 103-202/300000", 103, 203),
        (ShiftedRange(by=-3), 206, "bytes 97-196/300000", 97, 197),
        (LongRange(by=5), 206, "bytes 100-204/300000", 100, 205),
        (ShortRange(by=5), 206, "bytes 100-194/300000", 100, 195),
        (CappedRange(40), 206, "bytes 100-139/300000", 100, 140),
        (WrongTotal(by=9), 206, "bytes 100-199/300009", 100, 200),
        (NoTotal(), 206, "bytes 100-199/*", 100, 200),
        (NoContentRange(), 206, None, 100, 200),
    ],
    ids=repr,
)
def test_a_fault_of_ranges_answers_another_range(origin, fault, status, content_range, start, end):
    response, body = send_request(origin.serve("m", DATA, faults=[fault]), Range="bytes=100-199")
    assert (response.status, response.headers["Content-Range"], body) == (status, content_range, DATA[start:end])


def test_multipart_wraps_the_range(origin):
    response, body = send_request(origin.serve("m", DATA, faults=[Multipart()]), Range="bytes=100-199")
    assert response.headers["Content-Type"].startswith("multipart/byteranges")
    assert body.startswith(b"--cut\r\nContent-Range: bytes 100-199/300000\r\n\r\n" + DATA[100:200])


def test_status_and_redirect_stand_in_for_the_answer(origin):
    busy = Status(429, {"Retry-After": "7"}, b"slow down").first(1)
    url = origin.serve("m", DATA, faults=[busy, Redirect(307, "/n").nth(2)])
    response, body = send_request(url)
    assert (response.status, response.headers["Retry-After"], body) == (429, "7", b"slow down")
    response, _ = send_request(url)
    assert (response.status, response.headers["Location"]) == (307, "/n")
    assert send_request(url)[1] == DATA


def test_a_login_page_is_html_with_200(origin):
    response, body = send_request(origin.serve("m", DATA, faults=[LoginPage()]), Range="bytes=0-9")
    assert (response.status, response.headers.get_content_type()) == (200, "text/html")
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", [NoLength(), NoLength(chunked=False)], ids=repr)
def test_no_length_sends_the_same_bytes_and_does_not_say_how_many(origin, fault):
    response, body = send_request(origin.serve("m", DATA, faults=[fault]))
    assert (response.headers["Content-Length"], body) == (None, DATA)
    assert origin.sent("m") == len(DATA)


def test_a_length_too_long_ends_in_missing_bytes_and_one_too_short_hides_some(origin):
    long = origin.serve("long", DATA, faults=[WrongLength(by=10)])
    assert body_before_error(long, http.client.IncompleteRead) == DATA
    short = origin.serve("short", DATA, faults=[WrongLength(by=-10)])
    assert send_request(short)[1] == DATA[:-10]


def test_an_endless_body_continues_past_the_file_without_a_length(origin):
    response, body = send_request(origin.serve("m", DATA, faults=[EndlessBody(more=7)]), Range="bytes=100-199")
    assert (response.status, response.headers["Content-Length"], body) == (200, None, DATA + bytes(7))


def test_gzip_compresses_an_answer_to_a_request_for_plain_bytes(origin):
    response, body = send_request(origin.serve("m", DATA, faults=[Gzip()]))
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == DATA


@pytest.mark.parametrize(
    ("fault", "etag"), [(WeakEtag(), 'W/"v"'), (NoEtag(), None), (ChangeEtag('"w"'), '"w"')], ids=repr
)
def test_a_fault_of_the_etag_shows_in_get_and_head(origin, fault, etag):
    url = origin.serve("m", DATA, etag='"v"', faults=[fault])
    assert send_request(url)[0].headers["ETag"] == etag
    assert send_request(url, "HEAD")[0].headers["ETag"] == etag


# When a fault strikes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "affected"),
    [
        (Status(503), [True, True, True, True]),
        (Status(503).once(), [True, False, False, False]),
        (Status(503).nth(3), [False, False, True, False]),
        (Status(503).first(2), [True, True, False, False]),
        (Status(503).covering(55), [False, True, False, True]),
        (Status(503).covering(55).once(), [False, True, False, False]),
        (Status(503).from_byte(50), [False, True, True, False]),
    ],
)
def test_a_fault_occurs_at_its_request(origin, fault: Fault, affected):
    url = origin.serve("m", DATA, faults=[fault])
    ranges = ["bytes=0-49", "bytes=50-99", "bytes=100-149", "bytes=0-99"]
    assert [send_request(url, Range=range_header)[0].status == 503 for range_header in ranges] == affected


def test_a_fault_of_the_body_is_not_spent_on_a_head(origin):
    url = origin.serve("m", DATA, faults=[EarlyClose(after=5).once()])
    send_request(url, "HEAD")
    with pytest.raises(http.client.IncompleteRead):
        send_request(url)
    assert send_request(url)[1] == DATA


def test_all_faults_lists_every_fault_once():
    def subclasses_of(kind: type[Fault]) -> set[type[Fault]]:
        return {kind}.union(*(subclasses_of(child) for child in kind.__subclasses__()))

    support_faults = {
        kind for kind in subclasses_of(Fault) if kind.__module__.startswith("support.")
    }  # a test may define its own fault
    assert set(ALL_FAULTS) == support_faults - {Fault, MovedRange}
    assert len(set(ALL_FAULTS)) == len(ALL_FAULTS)
