"""List files: the meaning of their lines, lines that are skipped, and errors that name a bad line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.cli.app import command
from flowhub_jobs.cli.jobs import list_file
from flowhub_jobs.cli.jobs.list_file import ListLine, read_lines, without_comment
from flowhub_jobs.errors import FlowhubError, UsageInvalid


def parse_line(number: int, text: str) -> ListLine:
    return list_file.parse_line(number, text, command().commands["enqueue"])


def write_list(folder: Path, content: bytes) -> str:
    path = folder / "list"
    path.write_bytes(content)
    return str(path)


def test_comments_blank_lines_and_a_bom_are_skipped_and_the_numbers_are_those_of_an_editor(tmp_path):
    content = "\ufeff# tonight\n\none@q4\r\n   \n\t# not this\n  two  \nthree".encode()
    assert read_lines(write_list(tmp_path, content)) == [(3, "one@q4"), (6, "two"), (7, "three")]


def test_a_character_that_only_python_treats_as_a_line_end_ends_no_line(tmp_path):
    content = "one --group 'a\u2028b\x0cc'\ntwo\n".encode()
    assert [number for number, _ in read_lines(write_list(tmp_path, content))] == [1, 2]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_counts_the_same(tmp_path, end):
    assert read_lines(write_list(tmp_path, end.join([b"a", b"", b"b", b""]))) == [(1, "a"), (3, "b")]


def test_a_list_that_is_not_text_names_the_line(tmp_path):
    with pytest.raises(UsageInvalid, match="line 3"):
        read_lines(write_list(tmp_path, b"one\ntwo\n\xff\xfe\n"))


@pytest.mark.parametrize("name", ["none", ".", "a\0b", "~no-such-user-here/list"])
def test_a_list_that_cannot_be_read_is_a_usage_error(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageInvalid, match="cannot be read"):
        read_lines(name)


def test_options_stand_behind_a_reference_as_typed():
    line = parse_line(4, "qwen3-8b@q4_k_m --priority 5 --group 'for tonight' --at +3h --force")
    assert (line.number, line.ref) == (4, "qwen3-8b@q4_k_m")
    assert line.options == {"priority": 5, "group": "for tonight", "at": "+3h", "force": True}


def test_a_line_may_set_a_priority_of_0_and_name_the_jobs_that_it_waits_for():
    assert parse_line(1, "one --priority 0 --after 3 --after 4,7-9").options == {"priority": 0, "after": ("3", "4,7-9")}


@pytest.mark.parametrize("address", ["https://h.example/it's.gguf?a=1&b=2", 'https://h.example/a"b.gguf'])
def test_a_quote_in_an_address_without_options_is_part_of_it(address):
    assert parse_line(1, address).ref == address


def test_options_may_stand_before_the_reference_too():
    assert parse_line(1, "--priority=-5 one").options == {"priority": -5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one # it's for tonight", "one"),
        ("one --group 'a # b'  # c", "one --group 'a # b'"),
        ("https://h.example/f.gguf#frag --priority 1", "https://h.example/f.gguf#frag --priority 1"),
        ('one --group "a \\" # b"', 'one --group "a \\" # b"'),
        ("one", "one"),
        ("one --group 'open # quote", "one --group 'open # quote"),
    ],
)
def test_a_comment_at_a_lines_end_begins_a_word_outside_of_quotes(text, expected):
    assert without_comment(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("one --priority high", "'high'"),
        ("one --nonsense", "--nonsense"),
        ("one --wait", "--wait"),
        ("one --dry-run --json", "--dry-run"),
        ("one two", "two references"),
        ("--force --priority 1", "options alone"),
        ("one --group 'open", "quotation"),
        ("one --help", "--help"),
        ("one -f other", "--file"),
    ],
)
def test_a_bad_line_is_named_by_its_number(text, why):
    with pytest.raises(UsageInvalid, match=r"^Line 17[ :]") as raised:
        parse_line(17, text)
    assert why in raised.value.message
    assert raised.value.hint


@given(st.text(max_size=30))
def test_any_line_is_understood_or_refused_by_number(text):
    try:
        assert parse_line(3, text).number == 3
    except FlowhubError as error:
        assert error.message.startswith("Line 3")  # noqa: PT017


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_is_read_in_every_encoding_that_editors_write(tmp_path, encoding):
    assert read_lines(write_list(tmp_path, "one\r\n# gemütlich\r\ntwo\r\n".encode(encoding))) == [
        (1, "one"),
        (3, "two"),
    ]


def test_a_list_has_bounds_and_each_error_names_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(list_file, "BYTES_MAX", 1000)
    monkeypatch.setattr(list_file, "LINES_MAX", 20)
    monkeypatch.setattr(list_file, "LINE_MAX", 60)
    with pytest.raises(UsageInvalid, match=r"larger than 1\.0 KB"):
        read_lines(write_list(tmp_path, b"x" * 1001))
    with pytest.raises(UsageInvalid, match="has 21 lines; 20 are allowed"):
        read_lines(write_list(tmp_path, b"x\n" * 21))
    with pytest.raises(UsageInvalid, match=r"Line 2 of the list .* has 61 characters; 60 are allowed"):
        read_lines(write_list(tmp_path, b"x\n" + b"y" * 61))
    with pytest.raises(UsageInvalid, match="larger than"):
        read_lines("/dev/zero")


DECORATED = [
    "- https://h/m.gguf",
    "* https://h/m.gguf",
    "\u2022 https://h/m.gguf",
    "12. https://h/m.gguf",
    "3) https://h/m.gguf",
    "- [ ] https://h/m.gguf",
    "- [x] https://h/m.gguf",
    "[the model](https://h/m.gguf)",
    "- [the model](<https://h/m.gguf>)",
    '1. [the model](https://h/m.gguf "A title")',
    "https://h/m.gguf,",
    "https://h/m.gguf;",
    "https://h/m.gguf\u00a0",
    "\u3000https://h/m.gguf",
]


@pytest.mark.parametrize("line", DECORATED)
def test_a_line_of_notes_or_markdown_is_its_address(tmp_path, line):
    assert read_lines(write_list(tmp_path, line.encode())) == [(1, "https://h/m.gguf")]


def test_spaces_of_a_web_page_separate_words(tmp_path):
    [(number, text)] = read_lines(write_list(tmp_path, "one@q4\u00a0--priority\u20035".encode()))
    assert parse_line(number, text).options == {"priority": 5}


@pytest.mark.parametrize(
    "line", ["hf:a/b:Q4_K_M", "https://h/m-[1].gguf", "https://h/a,b.gguf", "3d-model", "--force one"]
)
def test_a_line_without_decoration_stays_as_it_is(tmp_path, line):
    assert read_lines(write_list(tmp_path, line.encode())) == [(1, line)]


def test_the_hint_for_an_unreadable_list_fits_its_cause(tmp_path):
    with pytest.raises(UsageInvalid) as missing:
        read_lines(str(tmp_path / "none"))
    with pytest.raises(UsageInvalid) as latin:
        read_lines(write_list(tmp_path, b"# mod\xe8les\n"))
    assert "path" in missing.value.hint
    assert "UTF-8" in latin.value.hint
