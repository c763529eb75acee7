"""Tests of the origin that other tests rely on: contents, ranges, counts and rates, over http.client."""

import hashlib
import http.client
import ssl
import threading
import time

import pytest
from support.faults import (
    Hold,
    NoHeaders,
    Stall,
    Trickle,
)
from support.http_client import open_connection, send_request, send_request_over
from support.origin import Origin, Pattern

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
DATA = Pattern(300_000, seed=7).read()


# Contents ------------------------------------------------------------------------------------------------------------


def test_a_pattern_is_the_same_bytes_whichever_way_it_is_read():
    pattern = Pattern(3 * MIB + 17, seed=3)
    whole = pattern.read()
    assert len(whole) == pattern.size
    assert pattern.read(MIB - 5, 2 * MIB + 9) == whole[MIB - 5 : 2 * MIB + 9]
    assert pattern.sha256() == hashlib.sha256(whole).hexdigest()
    assert Pattern(3 * MIB + 17, seed=3).read() == whole
    assert Pattern(3 * MIB + 17, seed=4).read() != whole


def test_no_two_blocks_of_a_pattern_are_alike():
    pattern = Pattern(64 * MIB)
    assert len({pattern.read(at, at + 64) for at in range(0, pattern.size, MIB)}) == 64


def test_the_last_bytes_of_a_huge_pattern_are_served_without_making_the_rest(origin):
    pattern = Pattern(400 * GIB, seed=1)
    response, body = send_request(origin.serve("huge.gguf", pattern), Range="bytes=-10")
    assert response.headers["Content-Range"] == f"bytes {400 * GIB - 10}-{400 * GIB - 1}/{400 * GIB}"
    assert body == pattern.read(400 * GIB - 10)


def test_a_file_on_the_disk_is_served_as_it_is_at_the_moment(origin, tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(DATA)
    url = origin.serve("m.gguf", file)
    first, body = send_request(url)
    file.write_bytes(DATA[:100])
    second, shorter_body = send_request(url)
    assert (body, shorter_body) == (DATA, DATA[:100])
    assert first.headers["ETag"] != second.headers["ETag"]


# Correct answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("range_header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=299990-999999", 299_990, 300_000),
        ("bytes=-5", 299_995, 300_000),
        ("bytes=-999999", 0, 300_000),
    ],
)
def test_a_range_is_answered_with_just_those_bytes(origin, range_header, start, end):
    response, body = send_request(origin.serve("m", DATA), Range=range_header)
    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/300000"
    assert response.headers["Content-Length"] == str(end - start)
    assert body == DATA[start:end]


@pytest.mark.parametrize("range_header", ["bytes=9-3", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=x-2"])
def test_a_range_that_is_none_gets_the_whole(origin, range_header):
    response, body = send_request(origin.serve("m", DATA), Range=range_header)
    assert (response.status, body) == (200, DATA)


@pytest.mark.parametrize("range_header", ["bytes=300000-", "bytes=400000-500000", "bytes=-0"])
def test_a_range_past_the_end_is_416_and_names_the_size(origin, range_header):
    response, body = send_request(origin.serve("m", DATA), Range=range_header)
    assert (response.status, response.headers["Content-Range"], body) == (416, "bytes */300000", b"")


def test_a_head_has_the_headers_and_no_body(origin):
    url = origin.serve("m", DATA)
    response, body = send_request(url, "HEAD")
    assert (response.status, response.headers["Content-Length"], body) == (200, "300000", b"")
    assert response.headers["Accept-Ranges"] == "bytes"
    assert origin.sent("m") == 0


def test_if_range_keeps_the_range_only_for_the_same_strong_etag(origin):
    url = origin.serve("m", DATA, etag='"v1"')
    assert send_request(url, Range="bytes=5-9", If_Range='"v1"')[0].status == 206
    assert send_request(url, Range="bytes=5-9", If_Range='"v2"')[0].status == 200
    origin.serve("m", DATA, etag='W/"v1"')
    assert send_request(url, Range="bytes=5-9", If_Range='W/"v1"')[0].status == 200


def test_if_none_match_of_the_same_content_is_304(origin):
    url = origin.serve("m", DATA)
    etag = send_request(url, "HEAD")[0].headers["ETag"]
    assert send_request(url, If_None_Match=etag)[0].status == 304
    origin.serve("m", DATA[1:])
    assert send_request(url, If_None_Match=etag)[0].status == 200


def test_content_can_be_replaced_and_removed_under_its_url(origin):
    url = origin.serve("m", b"one")
    origin.serve("m", b"two")
    assert send_request(url)[1] == b"two"
    origin.remove("m")
    assert send_request(url)[0].status == 404


def test_a_connection_serves_many_requests(origin):
    url = origin.serve("m", DATA)
    with open_connection(url) as connection:
        for start in (0, 1000, 2000):
            _, body = send_request_over(connection, url, Range=f"bytes={start}-{start + 9}")
            assert body == DATA[start : start + 10]
    assert origin.peak_connections == 1


# Counts --------------------------------------------------------------------------------------------------------------


def test_every_body_byte_is_counted_by_path_and_by_request(origin):
    url, other = origin.serve("m", DATA), origin.serve("other", b"abc")
    send_request(url, "HEAD")
    send_request(url, Range="bytes=10-19")
    send_request(url)
    send_request(other)
    assert (origin.sent("m"), origin.sent("/other"), origin.sent()) == (300_010, 3, 300_013)
    counted_requests = [(one.method, one.range, one.status, one.bytes_sent) for one in origin.requests("m")]
    assert counted_requests == [("HEAD", None, 200, 0), ("GET", "bytes=10-19", 206, 10), ("GET", None, 200, 300_000)]


def test_open_connections_are_counted_while_they_are_open(origin):
    url = origin.serve("m", DATA)
    with open_connection(url) as one, open_connection(url) as two:
        send_request_over(one, url)
        send_request_over(two, url)
        assert origin.open_connections == 2
    origin.wait_for(lambda: origin.open_connections == 0)
    assert origin.peak_connections == 2


def test_a_wait_that_is_in_vain_says_what_was_counted(origin):
    send_request(origin.serve("m", b"abc"))
    with pytest.raises(TimeoutError, match="'/m': 3"):
        origin.wait_for(lambda: False, timeout=0)


def test_what_a_client_leaves_unread_is_not_counted_without_end(origin):
    """The count stops at the size of the buffers of both sides, far below the size of the file."""
    url = origin.serve("big", Pattern(GIB))
    origin.limit(per_connection_bps=1e9)
    with open_connection(url) as connection:
        connection.connect()
        connection.request("GET", "/big")
        origin.wait_for(lambda: origin.sent("big") > 0)
    origin.wait_for(lambda: origin.open_connections == 0)
    assert origin.sent("big") < GIB // 4


# Rates ---------------------------------------------------------------------------------------------------------------


def seconds_to_fetch_concurrently(urls: list[str]) -> float:
    """Fetch all URLs concurrently, and return the seconds that it took."""
    started_at = time.monotonic()
    threads = [threading.Thread(target=send_request, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - started_at


def test_a_total_limit_holds_over_all_connections(origin):
    """The origin sends no more bytes than the rate allows in the elapsed time."""
    urls = [origin.serve(name, Pattern(MIB)) for name in "abcd"]
    origin.limit(total_bps=8 * MIB)
    elapsed_s = seconds_to_fetch_concurrently(urls)
    assert origin.sent() == 4 * MIB
    assert origin.sent() <= 8 * MIB * (elapsed_s + 0.2) + 128 * KIB


def test_a_limit_for_each_connection_leaves_the_others_alone(origin):
    urls = [origin.serve(name, Pattern(2 * MIB)) for name in "ab"]
    origin.limit(per_connection_bps=4 * MIB)
    elapsed_s = seconds_to_fetch_concurrently(urls)
    assert origin.sent() <= 2 * (4 * MIB * (elapsed_s + 0.2) + 128 * KIB)


def test_a_limit_taken_off_lets_a_waiting_connection_go(origin):
    """At 1 KiB/s the file would take a quarter of an hour."""
    url = origin.serve("m", Pattern(MIB))
    origin.limit(total_bps=KIB)
    fetch = threading.Thread(target=send_request, args=(url,))
    fetch.start()
    origin.wait_for(lambda: origin.sent("m") > 0)
    origin.limit()
    fetch.join()
    assert origin.sent("m") == MIB


# Coming and going ----------------------------------------------------------------------------------------------------


def test_an_origin_that_refuses_can_listen_again_on_its_port(origin):
    url = origin.serve("m", DATA)
    with open_connection(url) as connection:
        send_request_over(connection, url)
        origin.refuse()
        with pytest.raises(ConnectionRefusedError):
            send_request(url)
        assert send_request_over(connection, url)[1] == DATA  # open connections stay open
    origin.listen_again()
    assert send_request(url)[1] == DATA


def test_dropped_connections_are_reset(origin):
    url = origin.serve("m", DATA)
    with open_connection(url) as connection:
        send_request_over(connection, url)
        origin.drop_connections()
        origin.wait_for(lambda: origin.open_connections == 0)
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            send_request_over(connection, url)


@pytest.mark.parametrize("fault", [Stall(after=10), NoHeaders(), Hold(), Trickle(bps=1)], ids=repr)
def test_an_origin_closes_with_a_transfer_under_way_and_leaves_no_thread(fault):
    before = set(threading.enumerate())
    with Origin() as origin:
        url = origin.serve("m", DATA, faults=[fault])
        with open_connection(url) as connection:
            connection.request("GET", "/m")
            origin.wait_for(lambda: origin.requests("m"))
            origin.close()
    assert set(threading.enumerate()) <= before  # a thread of an earlier test may end during this one


def test_a_tls_origin_is_trusted_by_its_own_certificate_and_by_no_other():
    with Origin(tls=True) as origin:
        url = origin.serve("m", DATA)
        trusting = ssl.create_default_context(cafile=str(origin.ca_file))
        with open_connection(url, trusting) as connection:
            assert send_request_over(connection, url)[1] == DATA
        with (
            open_connection(url, ssl.create_default_context()) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            send_request_over(connection, url)
        assert origin.sent("m") == len(DATA)
