"""What an answer's headers are taken for, and which answers are not believed."""

from datetime import UTC, datetime

import pytest
from httpx import Headers

from flowhub_jobs.errors import WrongRange
from flowhub_jobs.refusal import asked_wait, unsatisfied_total
from flowhub_jobs.transfer.headers import hub_word, read_answer, strong_etag

NOW = datetime(2026, 11, 22, 23, 0, 0, tzinfo=UTC)
HEX64, HEX40 = "ab" * 32, "cd" * 20


def headers(**named):
    """Return headers as they come off the wire: bytes, which need not be ASCII."""
    return Headers([(name.replace("_", "-").encode(), text.encode()) for name, text in named.items()])


def read(status=206, asked=(10, 20), **named):
    return read_answer(status, headers(**named), asked, "cdn.example")


# The body ------------------------------------------------------------------------------------------------------------


def test_a_206_of_the_asked_range_is_believed():
    answer = read(content_range="bytes 10-19/100", content_length="10", etag='"v1"')
    assert (answer.start, answer.end, answer.total, answer.whole, answer.etag) == (10, 20, 100, False, '"v1"')


def test_a_206_may_be_shorter_than_what_was_asked():
    assert read(content_range="bytes 10-14/100").end == 15


def test_a_206_need_not_know_the_total():
    assert read(content_range="bytes 10-19/*").total is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("bytes 11-19/100", "was asked for bytes 10-19 and sent 11-19"),
        ("bytes 9-19/100", "sent 9-19"),
        ("bytes 10-20/100", "sent 10-20"),
        ("bytes 10-9/100", "impossible range"),
        ("bytes 10-19/15", "impossible range"),
        ("bytes 10-19", "without saying which"),
        ("items 10-19/100", "without saying which"),
        ("bytes */100", "without saying which"),
        ("bytes 10-1e1/100", "without saying which"),
    ],
)
def test_a_206_of_another_range_is_not_believed(said, why):
    with pytest.raises(WrongRange, match=why) as caught:
        read(content_range=said)
    assert "cdn.example" in caught.value.message


def test_a_206_that_does_not_say_which_part_it_is_is_not_believed():
    with pytest.raises(WrongRange, match=r"Content-Range: none"):
        read(content_length="10")


def test_a_206_whose_length_contradicts_its_range_is_not_believed():
    with pytest.raises(WrongRange, match="in a body of 11 bytes"):
        read(content_range="bytes 10-19/100", content_length="11")


def test_a_multipart_206_is_not_believed():
    with pytest.raises(WrongRange, match="multipart"):
        read(content_type="Multipart/ByteRanges; boundary=x", content_range="bytes 10-19/100")


@pytest.mark.parametrize("status", [200, 206])
def test_a_body_in_another_coding_is_not_believed(status):
    with pytest.raises(WrongRange, match="gzip"):
        read(status, content_encoding="GZIP", content_range="bytes 10-19/100")
    assert read(status, content_encoding="identity", content_range="bytes 10-19/100")


def test_a_200_is_the_whole_whatever_was_asked():
    answer = read(200, content_length="100")
    assert (answer.start, answer.end, answer.total, answer.whole) == (0, 100, 100, True)


def test_a_200_without_a_length_has_an_unknown_end():
    assert (read(200).end, read(200).total) == (None, None)


def test_a_416_tells_the_size():
    assert unsatisfied_total(headers(content_range="bytes */100")) == 100
    assert unsatisfied_total(headers(content_range="bytes 0-1/100")) is None
    assert unsatisfied_total(headers()) is None


# Validators ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "strong"), [('"v1"', '"v1"'), ('W/"v1"', None), ("v1", None), ('""', None), ("", None), (' "v1" ', '"v1"')]
)
def test_only_a_strong_etag_counts(tag, strong):
    assert strong_etag(headers(etag=tag)) == strong


def test_the_hub_says_digest_size_and_commit():
    word = hub_word(headers(x_repo_commit=HEX40, x_linked_etag=f'"{HEX64}"', x_linked_size="123", etag='"cdn"'))
    assert (word.commit, word.sha256, word.git_sha1, word.size) == (HEX40, HEX64, None, 123)


def test_the_hub_says_the_git_sha1_of_a_small_file():
    word = hub_word(headers(x_repo_commit=HEX40, etag=f'W/"{HEX40.upper()}"'))
    assert (word.sha256, word.git_sha1, word.size) == (None, HEX40, None)


def test_an_etag_that_is_no_digest_is_none():
    word = hub_word(headers(x_linked_etag='"abc"', x_linked_size="many"))
    assert (word.sha256, word.git_sha1, word.size) == (None, None, None)


def test_an_answer_without_the_hubs_headers_is_not_the_hubs():
    assert hub_word(headers(etag=f'"{HEX64}"')) is None


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('"api";r=0;t=55', 55.0),
        ('"resolvers"; r=0; t=55', 55.0),
        ('"api";r=12;t=55', None),
        ('"api"', None),
        ("", None),
    ],
)
def test_the_hubs_rate_limit_is_waited_for_only_when_nothing_remains(text, seconds):
    assert asked_wait(headers(ratelimit=text), NOW) == seconds


def test_retry_after_comes_before_the_rate_limit():
    assert asked_wait(headers(retry_after="7", ratelimit='"api";r=0;t=55'), NOW) == 7.0
