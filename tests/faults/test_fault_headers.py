"""The head of an answer: lines that are no fields, spaces before a colon, status lines, bytes that are not HTTP."""

import pytest
from support.fault_files import HALF, MODEL, host_of, serve_model
from support.faults import CappedRange, CustomHead, NoEtag
from support.run_fetch import quick, run_transfer

from flowhub_jobs.errors import AnswerMalformed
from flowhub_jobs.jobs.host_waits import is_hosts_fault

TOLERATED = {
    "a line without a colon": CustomHead(lines=[b"Garbage line no colon"]),
    "a line without a colon, and what continues it": CustomHead(lines=[b"Garbage", b" Content-Length: 3"]),
    "a line that continues none": CustomHead(lines=[b" X-Continued: yes"]),
    "a field over two lines": CustomHead(lines=[b"X-Long: one", b"\t two"]),
    "a space before the colon": CustomHead(lines=[b"X-Mark : 1", b"X-Tab\t:2"]),
    "a name with a space in it": CustomHead(lines=[b"X Mark: 1"]),
    "no name": CustomHead(lines=[b": 1"]),
    "a name in another alphabet": CustomHead(lines=["Größe: 1".encode()]),
    "a NUL and a CR in a value": CustomHead(lines=[b"X-Note: a\0b\rc"]),
    "two CRs at the end of a line": CustomHead(lines=[b"X-Note: a\r"]),
    "bare line feeds": CustomHead(end=b"\n", lines=[b"Garbage"]),
    "no reason": CustomHead(status=b"HTTP/1.1 206"),
    "small letters": CustomHead(status=b"http/1.1 206 ok"),
    "two spaces in the status line": CustomHead(status=b"HTTP/1.1  206  OK"),
    "no version": CustomHead(status=b"HTTP 206 OK"),
    "HTTP/2 in words": CustomHead(status=b"HTTP/2 206"),
    "SHOUTcast's own status line": CustomHead(status=b"ICY 206 OK"),
    "a NUL in the reason": CustomHead(status=b"HTTP/1.1 206 O\0K"),
    "empty lines before it": CustomHead(status=b"\r\n\r\nHTTP/1.1 206 OK"),
}


@pytest.mark.parametrize("fault", TOLERATED.values(), ids=TOLERATED)
def test_a_head_that_other_clients_tolerate_costs_nothing(origin, downloader, pin, fault):
    downloader.assert_succeeds_without_refetch(serve_model(origin, pin, fault), MODEL, origin)


def test_a_validator_with_a_space_before_its_colon_binds_the_parts(origin, tmp_path):
    faults = [NoEtag(), CappedRange(most=HALF), CustomHead(lines=[b'ETag : "q"'])]
    run_transfer(serve_model(origin, False, *faults), tmp_path, options=quick(connections_per_host=1))
    assert origin.requests()[1].headers["if-range"] == '"q"'


def test_a_connection_whose_head_was_malformed_serves_no_other_request(origin, tmp_path):
    parts = CappedRange(most=1 << 20)
    run_transfer(
        serve_model(origin, True, parts, CustomHead(lines=[b"Garbage"])),
        tmp_path,
        options=quick(connections_per_host=1),
    )
    assert origin.made_connections == len(origin.requests()) > 1


NOT_HTTP = {
    "an SSH banner": CustomHead(status=b"SSH-2.0-OpenSSH_9.6"),
    "a status of no number": CustomHead(status=b"HTTP/1.1 OK"),
    "a status of four digits": CustomHead(status=b"HTTP/1.1 2000 OK"),
    "binary": CustomHead(status=b"\x16\x03\x01\x02" + b"\xff" * 5000),
    "a body without a head, in which an address seems to end": CustomHead(status=b"GGUF" + b"\xfe/a?b=" * 40),
    "two lengths": CustomHead(lines=[b"Content-Length: 3"]),
}


@pytest.mark.parametrize("fault", NOT_HTTP.values(), ids=NOT_HTTP)
def test_an_answer_that_is_not_http_is_given_up_after_ten_tries(origin, downloader, fault):
    error = downloader.assert_fails(
        serve_model(origin, True, fault), AnswerMalformed, f"m.gguf: {host_of(origin)} sent an answer that is"
    )
    assert "bytearray" not in error["message"]
    assert len(error["message"]) < 250
    assert "10 times in a row" in error["hint"]
    assert len(origin.requests()) == 10


def test_an_answer_that_is_not_http_is_no_outage_of_the_host():
    assert not is_hosts_fault(AnswerMalformed("127.0.0.1 sent an answer that is not valid HTTP."))


def test_a_malformed_answer_that_comes_once_is_asked_for_again(origin, downloader):
    downloader.assert_succeeds(serve_model(origin, True, NOT_HTTP["an SSH banner"].once()), MODEL)
