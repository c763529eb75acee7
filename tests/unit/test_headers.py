"""Response headers: their meaning, and the responses that are refused for them."""

from datetime import UTC, datetime

import pytest
from httpx import Headers

from flowhub_jobs.errors import WrongRange
from flowhub_jobs.net.retry_after import asked_wait
from flowhub_jobs.net.status_errors import unsatisfied_total
from flowhub_jobs.transfer.http.response_headers import parse_body_range, parse_hub_metadata, strong_date, strong_etag

NOW = datetime(2026, 11, 22, 23, 0, 0, tzinfo=UTC)
HEX64, HEX40 = "ab" * 32, "cd" * 20


def headers(**named):
    """Return headers as bytes, which need not be ASCII, as they arrive from a socket."""
    return Headers([(name.replace("_", "-").encode(), text.encode()) for name, text in named.items()])


def read(status=206, requested=(10, 20), **named):
    return parse_body_range(status, headers(**named), requested, "cdn.example")


# The body ------------------------------------------------------------------------------------------------------------


def test_a_206_of_the_requested_range_is_accepted():
    answer = read(content_range="bytes 10-19/100", content_length="10", etag='"v1"')
    assert (answer.start, answer.end, answer.total, answer.whole, answer.etag) == (10, 20, 100, False, '"v1"')


def test_a_206_may_be_shorter_than_the_requested_range():
    assert read(content_range="bytes 10-14/100").end == 15


def test_a_206_need_not_know_the_total():
    assert read(content_range="bytes 10-19/*").total is None


@pytest.mark.parametrize(
    ("content_range", "why"),
    [
        ("bytes 11-19/100", "requested bytes 10-19, and .* sent 11-19"),
        ("bytes 9-9/100", "sent 9-9"),
        ("bytes 10-9/100", "impossible range"),
        ("bytes 10-19/15", "impossible range"),
        ("bytes 10-", "without saying which"),
        ("bytes 10-19/100, bytes 20-29/100", "without saying which"),
        ("items 10-19/100", "without saying which"),
        ("bytes */100", "without saying which"),
        ("bytes 10-1e1/100", "without saying which"),
    ],
)
def test_a_206_of_another_range_is_refused(content_range, why):
    with pytest.raises(WrongRange, match=why) as raised:
        read(content_range=content_range)
    assert "cdn.example" in raised.value.message


@pytest.mark.parametrize(
    ("content_range", "span"),
    [
        ("bytes=10-19/100", (10, 20, 100)),
        ("bytes: 10-19/100", (10, 20, 100)),
        ("bytes:10-19/100", (10, 20, 100)),
        ("10-19/100", (10, 20, 100)),
        ("BYTES 10 - 19 / 100", (10, 20, 100)),
        (" bytes 10-19/100 ", (10, 20, 100)),
        ("bytes 10-19/*", (10, 20, None)),
        ("bytes 10-19", (10, 20, None)),
        ("bytes 10-19/", (10, 20, None)),
        ("bytes 10-/100", (10, 100, 100)),
        ("bytes 9-19/100", (9, 20, 100)),
        ("bytes 10-99/100", (10, 100, 100)),
        ("bytes 10-19/100, bytes 10-19/100", (10, 20, 100)),
    ],
)
def test_a_content_range_that_can_mean_one_thing_only_is_read(content_range, span):
    answer = read(content_range=content_range)
    assert (answer.start, answer.end, answer.total) == span


def test_a_content_range_without_an_end_ends_with_the_body():
    assert read(content_range="bytes 10-/100", content_length="5").end == 15
    with pytest.raises(WrongRange, match="in a body of 95 bytes"):
        read(content_range="bytes 10-/100", content_length="95")


def test_content_range_decides_whether_a_200_is_a_part():
    part = read(200, content_range="bytes 10-19/100", content_length="10")
    assert (part.start, part.end, part.total, part.whole) == (10, 20, 100, False)
    whole = read(200, content_range="bytes 10-19/100", content_length="100")
    assert (whole.start, whole.end, whole.total, whole.whole) == (0, 100, 100, True)
    with pytest.raises(WrongRange, match="in a body of 50 bytes"):
        read(200, content_range="bytes 10-19/100", content_length="50")


def test_a_206_without_content_range_is_the_whole_file_where_no_range_was_requested():
    answer = parse_body_range(206, headers(content_length="100"), (10, 100), "cdn.example", ranged=False)
    assert (answer.start, answer.end, answer.total, answer.whole) == (0, 100, 100, True)


def test_a_206_that_does_not_name_its_range_is_refused():
    with pytest.raises(WrongRange, match=r"Content-Range: none"):
        read(content_length="10")


def test_a_206_whose_length_contradicts_its_range_is_refused():
    with pytest.raises(WrongRange, match="in a body of 11 bytes"):
        read(content_range="bytes 10-19/100", content_length="11")


def test_a_multipart_206_is_refused():
    with pytest.raises(WrongRange, match="multipart"):
        read(content_type="Multipart/ByteRanges; boundary=x", content_range="bytes 10-19/100")


@pytest.mark.parametrize("status", [200, 206])
def test_a_body_in_another_coding_is_refused(status):
    with pytest.raises(WrongRange, match="gzip"):
        read(status, content_encoding="GZIP", content_range="bytes 10-19/100")
    assert read(status, content_encoding="identity", content_range="bytes 10-19/100")


NO_CODINGS = ["none", "binary", "utf-8", "aws-chunked", "identity,aws-chunked", "", "8bit", "chunked"]


@pytest.mark.parametrize("coding", NO_CODINGS)
def test_a_content_encoding_that_names_no_coding_is_ignored(coding):
    assert read(206, content_encoding=coding, content_range="bytes 10-19/100")


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "zstd", "deflate", "aws-chunked, gzip", "compress"])
def test_a_coding_is_refused_wherever_it_is_in_the_list(coding):
    with pytest.raises(WrongRange, match="requested plain bytes"):
        read(206, content_encoding=coding, content_range="bytes 10-19/100")


def test_a_coding_that_only_repeats_the_files_suffix_is_ignored():
    gzip_headers = headers(content_encoding="x-gzip", content_range="bytes 10-19/100")
    assert parse_body_range(206, gzip_headers, (10, 20), "cdn.example", path="a/b.tar.gz")
    with pytest.raises(WrongRange, match="x-gzip"):
        parse_body_range(206, gzip_headers, (10, 20), "cdn.example", path="a/b.zst")


def test_a_200_is_the_whole_file_whatever_was_requested():
    answer = read(200, content_length="100")
    assert (answer.start, answer.end, answer.total, answer.whole) == (0, 100, 100, True)


def test_a_200_without_a_length_has_an_unknown_end():
    assert (read(200).end, read(200).total) == (None, None)


def test_a_416_has_the_size():
    for form in ("bytes */100", "bytes=*/100", "*/100", "Bytes * / 100"):
        assert unsatisfied_total(headers(content_range=form)) == 100
    assert unsatisfied_total(headers(content_range="bytes 0-1/100")) is None
    assert unsatisfied_total(headers()) is None


# Validators ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "strong"),
    [
        *[('"v1"', '"v1"'), ('W/"v1"', None), ("v1", None), ('""', None), ("", None), (' "v1" ', '"v1"')],
        *[("0x8DCFA3E5B1C2D40", "0x8DCFA3E5B1C2D40"), ("W/0x8DCFA3E5B1C2D40", None), ('0x8DCFA3E"', None)],
    ],
)
def test_only_a_strong_etag_counts(tag, strong):
    assert strong_etag(headers(etag=tag)) == strong


DATE = "Sun, 22 Nov 2026 23:00:00 GMT"


@pytest.mark.parametrize(
    ("modified", "strong"),
    [
        ("Sun, 22 Nov 2026 22:59:59 GMT", True),
        ("Mon, 23 Nov 2015 10:00:00 GMT", True),
        ("Sunday, 22-Nov-26 22:00:00 GMT", True),
        (DATE, False),
        ("Sun, 22 Nov 2026 23:00:09 GMT", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_last_modified_is_strong_if_the_date_is_a_second_later(modified, strong):
    assert strong_date(headers(last_modified=modified, date=DATE)) == (modified if strong else None)


def test_a_last_modified_of_an_answer_without_date_is_compared_with_the_clock():
    assert strong_date(headers(last_modified="Sun, 22 Nov 2026 22:59:00 GMT"), NOW)
    assert strong_date(headers(last_modified="Sun, 22 Nov 2026 23:00:00 GMT"), NOW) is None


def test_a_weak_etag_adds_to_the_date_and_a_strong_one_does_not():
    old = "Mon, 23 Nov 2015 10:00:00 GMT"
    assert strong_date(headers(last_modified=old, date=DATE, etag='W/"a"')) == f'{old} ETag W/"a"'
    assert strong_date(headers(last_modified=old, date=DATE, etag='"a"')) == old


def test_the_hubs_headers_have_digest_size_and_commit():
    metadata = parse_hub_metadata(
        headers(x_repo_commit=HEX40, x_linked_etag=f'"{HEX64}"', x_linked_size="123", etag='"cdn"')
    )
    assert (metadata.commit, metadata.sha256, metadata.git_sha1, metadata.size) == (HEX40, HEX64, None, 123)


def test_the_hubs_headers_have_the_git_sha1_of_a_small_file():
    metadata = parse_hub_metadata(headers(x_repo_commit=HEX40, etag=f'W/"{HEX40.upper()}"'))
    assert (metadata.sha256, metadata.git_sha1, metadata.size) == (None, HEX40, None)


def test_an_etag_that_is_no_digest_is_ignored():
    metadata = parse_hub_metadata(headers(x_linked_etag='"abc"', x_linked_size="many"))
    assert (metadata.sha256, metadata.git_sha1, metadata.size) == (None, None, None)


def test_an_answer_without_the_hubs_headers_is_not_the_hubs():
    assert parse_hub_metadata(headers(etag=f'"{HEX64}"')) is None


# Waits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Sun, 22 Nov 2026 23:01:30 GMT", 90.0),
        ("Sunday, 22-Nov-26 23:01:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 22:59:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(text, seconds):
    assert asked_wait(headers(retry_after=text), NOW) == seconds


def test_a_date_in_retry_after_is_on_the_hosts_own_clock():
    late = {"retry_after": "Sun, 22 Nov 2026 23:50:02 GMT", "date": "Sun, 22 Nov 2026 23:50:00 GMT"}
    assert asked_wait(headers(**late), NOW) == 2.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('"api";r=0;t=55', 55.0),
        ('"resolvers"; r=0; t=55', 55.0),
        ('"api";r=12;t=55', None),
        ('"api"', None),
        ('"api";r=499;t=55, "resolvers";r=0;t=90', 90.0),
        ('"api";r=0;t=20, "resolvers";r=0;t=90, "pages";r=7;t=300', 90.0),
        ('"api";r=499;t=55, "resolvers";r=3;t=90', None),
        ("", None),
    ],
)
def test_the_hubs_rate_limit_is_waited_for_only_when_nothing_remains(text, seconds):
    assert asked_wait(headers(ratelimit=text), NOW) == seconds


def test_retry_after_comes_before_the_rate_limit():
    assert asked_wait(headers(retry_after="7", ratelimit='"api";r=0;t=55'), NOW) == 7.0


CODED = {"gzip": "gzip", "X-Gzip": "x-gzip", "deflate": "deflate"}


@pytest.mark.parametrize(("content_encoding", "coding"), CODED.items(), ids=CODED)
def test_a_whole_answer_to_a_request_without_range_is_decoded_and_its_length_is_not_the_files(content_encoding, coding):
    answer = parse_body_range(
        200, headers(content_encoding=content_encoding, content_length="50"), (0, 100), "cdn.example", ranged=False
    )
    assert (answer.start, answer.end, answer.total, answer.whole, answer.coding) == (0, None, None, True, coding)


NOT_DECODED = {
    "a range was asked for": (200, {"content_encoding": "gzip"}, True),
    "a part with status 206": (206, {"content_encoding": "gzip"}, False),
    "a part with status 200": (200, {"content_encoding": "gzip", "content_range": "bytes 0-9/10"}, False),
    "two codings": (200, {"content_encoding": "gzip, gzip"}, False),
    "brotli": (200, {"content_encoding": "br"}, False),
}


@pytest.mark.parametrize(("status", "coded_headers", "ranged"), NOT_DECODED.values(), ids=NOT_DECODED)
def test_no_other_coded_answer_is_decoded(status, coded_headers, ranged):
    with pytest.raises(WrongRange, match="requested plain bytes") as raised:
        parse_body_range(status, headers(**coded_headers, content_length="10"), (0, 10), "cdn.example", ranged=ranged)
    assert raised.value.coded == (coded_headers["content_encoding"] == "gzip"), (
        "in answer to a request for the whole file it may be decoded"
    )


@pytest.mark.parametrize("length", [0, 100], ids=["empty", "as long as the file"])
def test_a_coding_is_ignored_where_the_length_is_that_of_the_stored_file(length):
    gzip_headers = headers(content_encoding="gzip", content_length=str(length))
    answer = parse_body_range(200, gzip_headers, (0, 100), "cdn.example", ranged=False, size=100)
    assert (answer.total, answer.coding) == (length, None)
