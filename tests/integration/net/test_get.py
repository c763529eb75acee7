"""GETs of small documents: complete and within their limits, or an error; a token goes to its own origin alone."""

import gzip
import socket
import zlib

import pytest
from lib.origin.content import Pattern
from support.answer_faults import CookieWall, CustomChunks, Gzip, NoLength, Redirect, Status, UnlessAccepted
from support.connection_faults import CloseBeforeHeaders, CustomHead, EarlyClose, EndlessHead, Trickle
from support.origin import Origin
from support.range_faults import IgnoreRange, ShiftedRange

from flowhub_jobs.errors import (
    AddressRefused,
    ConnectionLost,
    NetworkDown,
    RedirectRefused,
    TlsUntrusted,
    TooLarge,
    TooSlow,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.net import get, tls_context
from flowhub_jobs.net.urls import origin as origin_of

DATA = Pattern(200_000, seed=3).read()
MAX_BYTES = 1_000_000


def test_a_document_has_its_status_headers_and_final_url(origin):
    url = origin.serve("d.json", DATA, etag='"v1"')
    document = get.get(url, max_bytes=MAX_BYTES)
    assert (document.status, document.body, document.url, document.headers["etag"]) == (200, DATA, url, '"v1"')
    assert get.get(origin.url("gone"), max_bytes=MAX_BYTES).status == 404


def test_headers_are_sent_and_a_304_has_no_body(origin):
    url = origin.serve("d.json", DATA, etag='"v1"')
    document = get.get(url, max_bytes=MAX_BYTES, headers={"If-None-Match": '"v1"'})
    assert (document.status, document.body) == (304, b"")


# Bounds --------------------------------------------------------------------------------------------------------------


def test_a_document_that_is_too_large_is_refused(origin):
    url = origin.serve("d.json", DATA)
    assert get.get(url, max_bytes=len(DATA)).body == DATA
    with pytest.raises(TooLarge, match=r"larger than 0\.2 MB"):
        get.get(url, max_bytes=len(DATA) - 1)


def test_only_the_beginning_of_an_errors_page_is_kept(origin):
    url = origin.serve("d.json", b"", faults=[Status(500, body=DATA)])
    assert get.get(url, max_bytes=100).body == DATA[:100]
    assert len(get.get(url, max_bytes=MAX_BYTES).body) == get.SHOWN_MAX


def test_a_compressed_document_is_counted_while_it_is_decompressed(origin):
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    url = origin.serve("bomb", bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(TooLarge):
        get.get(url, max_bytes=MAX_BYTES)
    compressed = origin.serve("d.json", DATA, faults=[Gzip()])
    assert get.get(compressed, max_bytes=MAX_BYTES).body == DATA


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"no gzip at all")])
def test_a_body_that_cannot_be_decompressed_is_refused(origin, encoding, body):
    url = origin.serve("d.json", body, headers={"Content-Encoding": encoding})
    with pytest.raises(WrongContent):
        get.get(url, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("raw", [False, True], ids=["zlib", "raw"])
def test_deflate_is_decompressed_in_both_its_forms(origin, raw):
    compressed = zlib.compress(DATA)[2:-4] if raw else zlib.compress(DATA)
    url = origin.serve("d.json", compressed, headers={"Content-Encoding": "deflate"})
    assert get.get(url, max_bytes=MAX_BYTES).body == DATA


def test_a_server_that_sends_brotli_is_asked_for_plain_bytes_alone(origin):
    url = origin.serve("d.json", DATA, faults=[UnlessAccepted(get.NOTHING_CODED, Gzip("br"))])
    assert get.get(url, max_bytes=MAX_BYTES).body == DATA


ODD_FRAMING = {
    "a line without a colon": CustomHead(lines=[b"Garbage line no colon"]),
    "an empty line before it": CustomHead(status=b"\r\nHTTP/1.1 200 OK"),
    "chunks with bare LFs": CustomChunks(size_end=b"\n", data_end=b"\n", last=b"0\n\n"),
    "no empty line after the last chunk": CustomChunks(last=b"0\r\n", keep_alive=False),
}


@pytest.mark.parametrize("fault", ODD_FRAMING.values(), ids=ODD_FRAMING)
def test_a_document_is_read_from_odd_framing(origin, fault):
    url = origin.serve("d.json", DATA, faults=[fault])
    assert get.get(url, max_bytes=MAX_BYTES).body == DATA


def test_a_cookie_wall_is_passed_and_its_cookie_goes_to_no_other_origin(origin):
    with Origin() as other:
        url = origin.serve("d.json", b"", faults=[CookieWall(location=other.serve("d.json", DATA))])
        walled = origin.serve("w.json", DATA, faults=[CookieWall()])
        assert get.get(walled, max_bytes=MAX_BYTES).body == DATA
        assert get.get(url, max_bytes=MAX_BYTES).body == DATA
        assert "cookie" not in other.requests()[0].headers


def test_a_compressed_document_that_ends_early_is_an_error(origin):
    url = origin.serve("d.json", gzip.compress(DATA)[:-9], headers={"Content-Encoding": "gzip"})
    with pytest.raises(ConnectionLost):
        get.get(url, max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    "fault", [EndlessHead(), Trickle(bps=100), NoLength(chunked=False)], ids=["head", "body", "no length"]
)
def test_a_slow_response_ends_when_the_time_is_over(origin, fault):
    faults = [fault] if not isinstance(fault, NoLength) else [fault, Trickle(bps=100)]
    url = origin.serve("d.json", DATA, faults=faults)
    with pytest.raises(TooSlow, match=r"took longer than 0\.3 s"):
        get.get(url, max_bytes=MAX_BYTES, total_s=0.3)


@pytest.mark.parametrize("fault", [EarlyClose(after=9), CloseBeforeHeaders()])
def test_a_dropped_connection_has_an_error_of_its_own(origin, fault):
    with pytest.raises(ConnectionLost):
        get.get(origin.serve("d.json", DATA, faults=[fault]), max_bytes=MAX_BYTES)


def test_a_host_that_does_not_listen_is_a_network_error():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkDown):
            get.get(f"http://127.0.0.1:{closed.getsockname()[1]}/d", max_bytes=MAX_BYTES)


def test_an_untrusted_certificate_has_an_error_of_its_own(monkeypatch, home):
    tls_context.ssl_context.cache_clear()
    with Origin(tls=True) as origin:
        url = origin.serve("d.json", DATA)
        with pytest.raises(TlsUntrusted):
            get.get(url, max_bytes=MAX_BYTES)
        monkeypatch.setenv("SSL_CERT_FILE", str(origin.ca_file))
        tls_context.ssl_context.cache_clear()
        assert get.get(url, max_bytes=MAX_BYTES).body == DATA
        with pytest.raises(TooSlow):
            get.get(origin.serve("t", DATA, faults=[Trickle(bps=100)]), max_bytes=MAX_BYTES, total_s=0.3)
    tls_context.ssl_context.cache_clear()


# Ranges --------------------------------------------------------------------------------------------------------------


def test_a_range_is_requested_without_compression(origin):
    url = origin.serve("d.bin", DATA)
    document = get.get(url, max_bytes=MAX_BYTES, byte_range=(10, 30))
    assert (document.status, document.body) == (206, DATA[10:30])
    [request] = origin.requests("d.bin")
    assert (request.range, request.headers["accept-encoding"]) == ("bytes=10-29", "identity")


def test_of_a_200_to_a_range_request_only_the_range_is_read(origin):
    url = origin.serve("d.bin", Pattern(200_000_000), faults=[IgnoreRange()])
    assert get.get(url, max_bytes=100, byte_range=(4, 30)).body == Pattern(200_000_000).read(4, 30)
    assert origin.sent("d.bin") < 100_000_000


def test_another_range_than_asked_is_refused(origin):
    url = origin.serve("d.bin", DATA, faults=[ShiftedRange()])
    with pytest.raises(WrongRange):
        get.get(url, max_bytes=MAX_BYTES, byte_range=(10, 30))


# Addresses and tokens ------------------------------------------------------------------------------------------------


def test_a_token_goes_to_its_own_origin_and_never_along_with_a_redirect(origin):
    with Origin() as other:
        target = other.serve("d.json", DATA)
        url = origin.serve("d.json", b"", faults=[Redirect(302, target)])
        assert get.get(url, max_bytes=MAX_BYTES, tokens={origin_of(url): "secret"}).body == DATA
        assert [request.headers.get("authorization") for request in origin.requests()] == ["Bearer secret"]
        assert [request.headers.get("authorization") for request in other.requests()] == [None]


def test_an_address_of_the_hub_is_requested_at_its_endpoint(origin):
    origin.serve("api/x", DATA)
    document = get.get("https://huggingface.co/api/x", max_bytes=MAX_BYTES, endpoint=origin.address)
    assert document.url == origin.url("api/x")


@pytest.mark.parametrize("url", ["http://elsewhere.example/d", "file:///etc/passwd", "https://u:p@h.example/d"])
def test_an_unsafe_address_is_not_requested(url):
    with pytest.raises(AddressRefused):
        get.get(url, max_bytes=MAX_BYTES)


def test_plain_http_elsewhere_is_requested_only_where_it_is_allowed():
    with pytest.raises(NetworkDown):
        get.get("http://nowhere.invalid/d", max_bytes=MAX_BYTES, pinned=True)
    with pytest.raises(AddressRefused):
        get.get("https://huggingface.co/x", max_bytes=MAX_BYTES, endpoint="http://mirror.example")


@pytest.mark.parametrize("target", ["http://elsewhere.example/d", "file:///etc/passwd", "http://[", "/d.json"])
def test_an_unsafe_or_endless_redirect_is_not_followed(origin, target):
    url = origin.serve("d.json", b"", faults=[Redirect(302, target)])
    with pytest.raises(RedirectRefused):
        get.get(url, max_bytes=MAX_BYTES)
