"""Properties of the header parsers: any headers are read as an answer to the request, or refused as WrongRange."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from httpx import Headers
from hypothesis import example, given
from hypothesis import strategies as st

from flowhub_jobs.errors import WrongRange
from flowhub_jobs.net.retry_after import asked_wait
from flowhub_jobs.net.status_errors import unsatisfied_total
from flowhub_jobs.transfer.http.response_headers import (
    LARGEST,
    parse_body_range,
    parse_hub_metadata,
    strong_etag,
    tells_end,
)

NOW = datetime(2026, 11, 22, 23, 0, 0, tzinfo=UTC)
HUGE = "9" * 5000
HEX64, HEX40 = "ab" * 32, "cd" * 20
WIRE_TEXT = st.text(st.characters(max_codepoint=255), max_size=30)  # any bytes that a header can hold
NUMBERS = st.integers(0, 40).map(str) | st.integers(0, 1 << 70).map(str) | st.sampled_from(["²", "-1", "1_0", HUGE, ""])
CONTENT_RANGES = st.tuples(NUMBERS, NUMBERS, NUMBERS | st.just("*")).map(lambda it: "bytes {}-{}/{}".format(*it))
TAGS = st.sampled_from(['"v1"', 'W/"v1"', '""', '"', '"a"b"', '"é"', f'"{HEX64}"', f'W/"{HEX40}"', HEX64.upper()])
PLAUSIBLE = {
    "content-range": CONTENT_RANGES | NUMBERS.map("bytes */{}".format),
    "content-length": NUMBERS,
    "content-encoding": st.sampled_from(["identity", "gzip", "", " Identity ", "br, gzip"]),
    "content-type": st.sampled_from(["multipart/byteranges; boundary=x", "application/octet-stream", "text/html"]),
    "etag": TAGS,
    "x-linked-etag": TAGS,
    "x-linked-size": NUMBERS,
    "x-repo-commit": st.just(HEX40),
    "retry-after": NUMBERS | st.just("Sun, 22 Nov 2026 23:01:30 GMT"),
    "ratelimit": st.tuples(NUMBERS, NUMBERS).map(lambda it: '"api";r={};t={}'.format(*it)),
}


@st.composite
def mutations(draw, texts):
    """Draw a text with one letter removed, inserted or doubled."""
    text = draw(texts)
    at, kind, letter = draw(st.integers(0, len(text))), draw(st.sampled_from("-+*")), draw(WIRE_TEXT)[:1]
    middle = {"-": "", "+": letter + text[at : at + 1], "*": text[at : at + 1] * 2}[kind]
    return text[:at] + middle + text[at + 1 :]


@st.composite
def received_headers(draw):
    """Draw headers that are valid, nearly valid or nonsense; some occur twice."""
    names = draw(st.lists(st.sampled_from(sorted(PLAUSIBLE)), max_size=6))
    pairs = [(name, draw(PLAUSIBLE[name] | mutations(PLAUSIBLE[name]) | WIRE_TEXT)) for name in names]
    return Headers([(name.encode(), text.encode("latin-1")) for name, text in pairs])


def headers(**fields):
    return Headers([(name.replace("_", "-").encode(), text.encode("latin-1")) for name, text in fields.items()])


STATUSES = st.sampled_from([200, 206, 416])
REQUESTED_RANGES = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda it: (it[0], it[0] + it[1]))


def check_answer(answer, status, requested):
    """Assert that the parser takes an answer for the whole file, or for a part with the first requested byte."""
    assert not answer.whole or status == 200
    if answer.whole:
        assert (answer.start, answer.end) == (0, answer.total)
    elif status == 416:
        assert answer.start == answer.end == requested[0]
    else:
        assert answer.start <= requested[0] < answer.end
        assert answer.total is None or answer.end <= answer.total < LARGEST


@given(STATUSES, received_headers(), REQUESTED_RANGES)
@example(200, headers(content_length="²"), (0, 5))
@example(206, headers(content_range=f"bytes 0-4/{HUGE}"), (0, 5))
@example(206, headers(content_range=f"bytes 0-{LARGEST}/*"), (0, 2 * LARGEST))
def test_an_answer_with_any_headers_has_the_first_requested_byte_or_is_refused(status, received, requested):
    try:
        answer = parse_body_range(status, received, requested, "cdn.example")
    except WrongRange:
        return
    check_answer(answer, status, requested)
    assert answer.etag == strong_etag(received)


@given(REQUESTED_RANGES, st.data())
def test_any_part_from_the_start_of_the_requested_range_is_accepted(requested, data):
    end = data.draw(st.integers(requested[0] + 1, requested[1]))
    total = data.draw(st.none() | st.integers(end, LARGEST - 1))
    received = headers(content_range=f"bytes {requested[0]}-{end - 1}/{'*' if total is None else total}")
    answer = parse_body_range(206, received, requested, "cdn.example")
    assert (answer.start, answer.end, answer.total) == (requested[0], end, total)


@given(REQUESTED_RANGES, st.integers(0, 45), st.integers(0, 45), st.integers(0, 45))
def test_a_part_without_the_first_requested_byte_is_refused(requested, start, last, total):
    """A part may begin earlier and end later: Content-Range gives the position of each byte."""
    received = headers(content_range=f"bytes {start}-{last}/{total}")
    if start <= requested[0] <= last < total:
        check_answer(parse_body_range(206, received, requested, "cdn.example"), 206, requested)
    else:
        with pytest.raises(WrongRange):
            parse_body_range(206, received, requested, "cdn.example")


@given(received_headers())
def test_a_416_gives_a_total_only_as_a_number(received):
    total = unsatisfied_total(received)
    assert total is None or total >= 0
    assert tells_end(416, received) == (total is not None)
    assert not tells_end(206, received)


# Validators ----------------------------------------------------------------------------------------------------------


@given(received_headers())
def test_no_tag_that_is_weak_or_cannot_be_sent_back_counts_as_strong(received):
    tag = strong_etag(received)
    if tag is not None:
        assert tag[0] == tag[-1] == '"' or not {'"', "/", ","} & set(tag)
        assert 2 < len(tag) < 1024
        assert all(" " <= letter <= "~" for letter in tag)
        assert tag in received["etag"]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"'), min_size=1))
def test_a_plain_tag_is_strong_and_one_with_the_prefix_w_is_weak(inner):
    assert strong_etag(headers(etag=f'"{inner}"')) == f'"{inner}"'
    assert strong_etag(headers(etag=f'W/"{inner}"')) is None


@given(received_headers())
def test_the_hubs_metadata_has_valid_digests_and_sizes_or_none(received):
    metadata = parse_hub_metadata(received)
    assert (metadata is None) == ("x-repo-commit" not in received and "x-linked-etag" not in received)
    if metadata is not None:
        assert metadata.sha256 is None or (len(metadata.sha256) == 64 and int(metadata.sha256, 16) >= 0)
        assert metadata.git_sha1 is None or (len(metadata.git_sha1) == 40 and int(metadata.git_sha1, 16) >= 0)
        assert metadata.size is None or 0 <= metadata.size < LARGEST


# Waits ---------------------------------------------------------------------------------------------------------------


@given(received_headers())
@example(headers(retry_after=HUGE))
@example(headers(ratelimit=f'"api";r={HUGE};t={HUGE}'))
@example(headers(ratelimit=f'"api";r=0;t={HUGE}'))
@example(headers(retry_after=f"Mon, 01 Jan {HUGE[:30]} 00:00:00 GMT"))
@example(headers(retry_after=f"Mon, 01 Jan 2026 00:00:00 +{HUGE[:30]}"))
@example(headers(retry_after="Mon, 01 Jan 0001 00:00:00 +2359"))
@example(headers(retry_after="Fri, 31 Dec 9999 23:59:59 -2359"))
def test_no_headers_make_the_parser_of_waits_fail_or_a_wait_negative(received):
    wait = asked_wait(received, NOW)
    assert wait is None or 0 <= wait < 1e12


@given(st.integers(0, 10**9))
def test_a_wait_in_seconds_is_that_many_seconds(seconds):
    assert asked_wait(headers(retry_after=str(seconds)), NOW) == seconds


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.integers(-(10**8), 10**8), ZONES)
def test_a_date_is_the_same_wait_in_any_zone_and_a_past_one_is_zero(seconds, zone):
    then = (NOW + timedelta(seconds=seconds)).astimezone(zone)
    text = then.strftime("%a, %d %b %Y %H:%M:%S %z")
    assert asked_wait(headers(retry_after=text), NOW) == max(0, seconds)


@given(st.integers(-(10**8), 10**8))
def test_a_date_is_the_same_wait_in_each_form_that_http_has(seconds):
    then = NOW + timedelta(seconds=seconds)
    forms = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
    assert {asked_wait(headers(retry_after=then.strftime(form)), NOW) for form in forms} == {max(0, seconds)}
