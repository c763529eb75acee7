"""Sizes, rates and durations as people read and type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.units import format_bytes, format_duration, format_rate, parse_rate, parse_size


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 KB"),
        (1000, "1.0 KB"),
        (999_949, "999.9 KB"),
        (999_950, "1.0 MB"),
        (491_400_032, "491.4 MB"),
        (4_683_073_536, "4.7 GB"),
        (10**15, "1.0 PB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_bytes_are_shown_in_decimal_units(count, words):
    assert format_bytes(count) == words


@given(st.integers(min_value=1000, max_value=10**17))
def test_no_amount_is_shown_as_a_thousand_of_its_unit(count):
    assert 1 <= float(format_bytes(count).split()[0]) < 1000


def test_a_rate_is_bytes_a_second():
    assert format_rate(22_900_000.4) == "22.9 MB/s"
    assert format_rate(0) == "0 B/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (-3, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (141, "2 min 21 s"),
        (3600, "1 h"),
        (3659, "1 h"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds, words):
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("500K", 500_000),
        ("5M", 5_000_000),
        ("5m", 5_000_000),
        ("1.5G", 1_500_000_000),
        ("1000", 1000),
        ("123456", 123_456),
        (" 1K ", 1000),
    ],
)
def test_a_rate_is_typed_in_decimal_units(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["off", "OFF", " off "])
def test_off_is_no_limit(text):
    assert parse_rate(text) is None


@pytest.mark.parametrize(
    "text", ["", "0", "0K", "0.4", "-5M", "5MB", "5T", "M", "1e6", "1_000", "٣", "9" * 400, "9999G", "∞"]
)
def test_an_invalid_rate_is_refused_with_a_hint(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_rate(text)
    assert "500K" in str(raised.value.hint)


@given(st.text(max_size=20))
def test_any_text_is_a_rate_or_refused(text):
    try:
        rate = parse_rate(text)
    except UsageInvalid:
        return
    assert rate is None or rate > 0


@pytest.mark.parametrize("text", ["5", "999", "1.5", " 42 "])
def test_a_rate_below_a_thousand_needs_a_unit(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_rate(text)
    assert f"{text.strip()}K, {text.strip()}M or {text.strip()}G" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10G", 10 * 10**9),
        ("10GB", 10 * 10**9),
        ("1.5 g", 1_500_000_000),
        ("500M", 500_000_000),
        ("8GiB", 8 * 2**30),
        ("2T", 2 * 10**12),
        ("1000", 1000),
        ("123456", 123_456),
        ("700k", 700_000),
        ("10B", 10),
    ],
)
def test_a_size_is_decimal_unless_it_says_otherwise(text, size):
    assert parse_size(text, option="--max-size") == size


@pytest.mark.parametrize("text", ["", "G", "0", "-1G", "ten", "1e9", "10X", "9" * 30, "999999999T9"])
def test_an_invalid_size_is_refused_with_an_example(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_size(text, option="--max-size")
    assert "10G" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["10", "999", "1.5", " 42 "])
def test_a_size_below_a_thousand_needs_a_unit(text):
    with pytest.raises(UsageInvalid) as raised:
        parse_size(text, option="--max-size")
    assert "has no unit" in raised.value.message
    assert f"{text.strip()}G" in (raised.value.hint or "")
