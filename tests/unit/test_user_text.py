"""Text that users write, in files and as tokens: read in every usual encoding and form."""

import pytest

from flowhub_jobs.values.pasted_text import decode_text, parse_token


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_a_text_is_read_in_every_encoding_that_editors_write(encoding):
    assert decode_text("jobs = 3 # gemütlich".encode(encoding)) == "jobs = 3 # gemütlich"


@pytest.mark.parametrize("raw", [b"\xff", b"\xe8", b"\xff\xfea", b"abc\xe8"])
def test_bytes_that_are_no_text_are_refused(raw):
    with pytest.raises(UnicodeDecodeError):
        decode_text(raw)


@pytest.mark.parametrize("raw", [b"", b"a", b"\0", b"\0\0"])
def test_the_shortest_files_are_read_as_they_are(raw):
    assert decode_text(raw) == raw.decode()


@pytest.mark.parametrize(
    "typed",
    [
        "hf_x",
        " hf_x\n",
        '"hf_x"',
        "'hf_x'",
        "\u201chf_x\u201d",
        "Bearer hf_x",
        "bearer  hf_x",
        '"Bearer hf_x"',
        "\ufeffhf_x",
    ],
)
def test_a_token_is_read_without_quotes_and_prefix(typed):
    assert parse_token(typed) == "hf_x"


def test_quotes_within_a_token_are_kept():
    assert parse_token('a"b') == 'a"b'
    assert parse_token('"') == '"'
    assert parse_token("") == ""
