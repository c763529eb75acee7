"""Width of text in a terminal's cells: a Chinese character and an emoji take two, a combining mark none.

Without wcwidth: `unicodedata` has the widths (Unicode Standard Annex 11), and the screens need only these few rules.
Ambiguous characters take one cell, as in terminals outside of East Asian locales.
"""

import textwrap
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_NO_CELL = ("Mn", "Me", "Cf")
_JAMO = range(0x1160, 0x1200)  # vowels and finals of Hangul, which join the consonant before them
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"


def width(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else sum(_widths(text))


def shorten(text: str, cells: int) -> str:
    """Return the text in at most `cells` cells; `…` marks a cut."""
    if width(text) <= cells:
        return text
    used, length = 1, 0
    for one in _widths(text):
        used += one
        if used > cells:
            break
        length += 1
    return text[: length if cells > 0 else 0] + "…"


def shorten_words(text: str, cells: int) -> str:
    """Return `text` shortened to `cells`, after a whole word if at least half of the cells stay filled."""
    short = shorten(text, cells)
    if short == text or text[len(short) - 1 : len(short)] == " ":
        return short
    whole_words = short[:-1].rpartition(" ")[0]
    return f"{whole_words}…" if 2 * width(whole_words) >= cells else short


def left(text: str, cells: int) -> str:
    """Return the text padded with spaces on the right."""
    return text + " " * (cells - width(text))


def right(text: str, cells: int) -> str:
    """Return the text padded with spaces on the left."""
    return " " * (cells - width(text)) + text


def wrap(text: str, cells: int, *, first: str = "", after: str = "", break_long: bool = True) -> list[str]:
    """Return the text in lines of at most `cells` cells. `first` and `after` are their indents.

    A word that is longer than a line is cut only with `break_long`; one of wide characters, which are written without
    spaces, always.
    """
    if width(text) == len(text):
        return textwrap.wrap(
            text,
            cells,
            initial_indent=first,
            subsequent_indent=after,
            break_long_words=break_long,
            break_on_hyphens=False,
        )
    lines: list[str] = []
    line, empty = first, True
    for word in _words(text, cells - max(len(first), len(after)), break_long):
        if not empty and width(line) + 1 + width(word) > cells:
            lines.append(line)
            line, empty = after, True
        line += word if empty else f" {word}"
        empty = False
    return lines if empty else [*lines, line]


def _words(text: str, cells: int, break_long: bool) -> Iterator[str]:
    for word in text.split(" "):
        rest = word
        while width(rest) > max(cells, 2) and (break_long or width(rest) > len(rest)):
            part = shorten(rest, max(cells, 2) + 1)[:-1]
            yield part
            rest = rest[len(part) :]
        if rest:
            yield rest


def _widths(text: str) -> Iterator[int]:
    """Yield the cells of each character in its context."""
    before = 0
    previous = ""
    for one in text:
        if previous == _JOINER or (before == 2 and ord(one) in _SKIN_TONES):
            cells = 0  # it changes the emoji before it
        elif one == _EMOJI_STYLE and before == 1:
            cells = 1  # the narrow symbol before it is drawn as a wide one
        else:
            cells = _width_of(one)
        yield cells
        before, previous = before if cells == 0 else cells, one


@lru_cache(maxsize=4096)
def _width_of(one: str) -> int:
    if unicodedata.category(one) in _NO_CELL or ord(one) in _JAMO:
        return 0
    return 2 if unicodedata.east_asian_width(one) in ("W", "F") else 1
