"""Widths in terminal cells: how wide a text is, and how it is cut, padded and wrapped."""

import pytest

from flowhub_jobs.cli import output, text_width

WIDTHS = {
    "qwen3-8b": 8,
    "通义千问-8B-量化": 4 * 2 + 4 + 2 * 2,
    "モデル": 6,
    "é": 1,
    "e\u0301": 1,  # the same, decomposed, as macOS names files
    "한국": 4,
    "\u1112\u1161\u11ab": 2,  # one syllable of Hangul, decomposed
    "नमस्ते": 4,
    "🦙": 2,
    "👍🏽": 2,
    "❤\ufe0f": 2,
    "👩\u200d💻": 2,
    "█▏·…": 4,
    "\udcff": 1,
}


@pytest.mark.parametrize("text", WIDTHS)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text):
    assert text_width.width(text) == WIDTHS[text]


@pytest.mark.parametrize("text", WIDTHS)
@pytest.mark.parametrize("room", range(1, 12))
def test_a_cut_text_fits_its_room_and_uses_it(text, room):
    cut = text_width.shorten(text, room)
    assert text_width.width(cut) <= room
    assert cut == text or (cut.endswith("…") and text_width.width(cut) >= room - 1)


def test_columns_are_aligned_whatever_is_before_them():
    rows = [[name, "1.0 GB"] for name in WIDTHS if "\udcff" not in name]
    lines = output.table(("NAME", "SIZE"), rows).splitlines()
    assert len({text_width.width(line[: line.rindex("1.0 GB")]) for line in lines[1:]}) == 1


def test_a_table_of_wide_names_is_no_wider_than_the_terminal(monkeypatch):
    monkeypatch.setattr(output, "columns", lambda: 40)
    text = output.table(("NAME", "SIZE"), [["通义千问" * 12, "1.0 GB"], ["a", "2 B"]])
    assert all(text_width.width(line) <= 40 for line in text.splitlines())


@pytest.mark.parametrize("text", ["通义千问-8B-量化 " * 8, "量" * 90, "a b 🦙 " * 20, "한국어 모델 " * 9])
def test_prose_of_wide_characters_is_folded_at_the_terminals_width(text):
    lines = text_width.wrap(text, 30, first="  ", after="    ", break_long=False)
    assert all(text_width.width(line) <= 30 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[0].startswith("  ")
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_long_word_that_may_be_a_command_is_not_cut():
    word = "https://" + "x" * 60
    assert text_width.wrap(f"see 量 {word} there", 30, break_long=False) == ["see 量", word, "there"]


def test_prose_is_cut_after_a_whole_word():
    text = "retry 23:05 (127.0.0.1:46881 unreachable)"
    assert text_width.shorten_words(text, 21) == "retry 23:05…"
    assert text_width.shorten_words(text, 80) == text
    assert text_width.shorten_words("qwen3-14b-instruct a", 10) == "qwen3-14b…"
