"""Printing: the result on stdout; hints, warnings and progress on stderr.

A result that cannot be written is an error. A stderr that is full or closed changes nothing but what is seen.
"""

import codecs
import contextlib
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from flowhub_jobs.cli import text_width
from flowhub_jobs.errors import FlowhubError

UNBOUNDED = 10_000  # columns of a pipe or a file: no line is cut
READABLE = 100  # columns of prose at most
_PLAIN = {"…": ".", "·": "."}
_NO_BREAK = "\xa0"
# Parts of a text that stay on one line: a command of at most 40 characters, a figure with its unit.
_WHOLE = re.compile(r"`[^`]{1,40}`|[0-9] (?:[KMGT]?B(?:/s)?|%|s|min|h|d)\b")
_BLOCKS = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Output:
    """How the command prints, chosen once at its start.

    `json`: stdout has one object, and stderr an error alone. `quiet`: stdout has bare numbers or names, and no hint
    is printed.
    """

    json: bool = False
    quiet: bool = False

    @property
    def hints(self) -> bool:
        """Whether hints and warnings are printed."""
        return not (self.json or self.quiet)


chosen = Output()


def choose(*, json: bool = False, quiet: bool = False) -> None:
    """Choose how the command prints from here on."""
    global chosen
    chosen = Output(json, quiet)


def prepare_streams() -> None:
    """Replace characters that a stream cannot encode: `█` by `#`, `…` by a dot, others by `?`."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="plain", encoding="ascii" if _is_ascii_terminal(stream) else None)


def _is_ascii_terminal(stream: TextIO) -> bool:
    """Return whether a terminal must get only ASCII: with LC_ALL=C Python writes UTF-8 all the same (PEP 540)."""
    c_locale = os.environ.get("LC_ALL") in ("C", "POSIX") and not os.environ.get("PYTHONIOENCODING")
    return c_locale and stream.isatty()


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join("#" if one in _BLOCKS else _PLAIN.get(one, "?") for one in lost), error.end


def discard(stream: TextIO) -> None:
    """Drop what the stream still holds and all further text: Python flushes again at exit, which would fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def writing_result() -> Iterator[None]:
    """Report a disk that is full behind stdout as an error. Raises BrokenPipeError where the reader has exited."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise FlowhubError(f"The result cannot be written: {error.strerror}.") from error


def flush_result() -> None:
    with writing_result():
        sys.stdout.flush()


def write_note(text: str) -> None:
    """Write to stderr at once; nothing more, once it takes no text."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def result(text: str) -> None:
    with writing_result():
        sys.stdout.write(_folded(text, sys.stdout) + "\n")


def print_raw(text: str) -> None:
    """Print a line without folding it, with the bytes of a path as they are: for copying, and for other programs."""
    with writing_result():
        if text.isascii() or not hasattr(sys.stdout, "buffer"):
            sys.stdout.write(text + "\n")
            return
        sys.stdout.flush()  # text that was written before stands before it
        sys.stdout.buffer.write(_bytes_of(text) + b"\n")


def _bytes_of(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # the locale's names are ASCII, and this one came from elsewhere
        return text.encode("utf-8", "surrogateescape")


def result_json(page: dict[str, Any]) -> None:
    # Escaped, so that a name that is no valid Unicode, or a terminal without UTF-8, changes nothing.
    with writing_result():
        json.dump(page, sys.stdout)
        sys.stdout.write("\n")


def hint(text: str) -> None:
    """Print a note that is not part of the result, unless the command prints JSON or is quiet."""
    if chosen.hints:
        flush_result()  # on one terminal, the result stands first
        write_note(_folded(text, sys.stderr) + "\n")


def _folded(text: str, stream: TextIO) -> str:
    """Return the text folded at words for a terminal; unchanged for a pipe or a file."""
    if not stream.isatty():
        return text
    width = columns()
    return "\n".join(_folded_line(line) if text_width.width(line) > width else line for line in text.split("\n"))


def _folded_line(line: str) -> str:
    if "\x1b" in line:  # painted: it is cut to the width already
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    return fold(line.strip(), indent, f"{indent}  ")


def shows_progress() -> bool:
    """Return whether progress is drawn: on a terminal, and not with --json."""
    return redraws(sys.stderr) and not chosen.json


def progress(line: str) -> None:
    """Overwrite the last line on stderr's terminal; an empty line clears it."""
    write_note(f"\r{shorten(line, columns() - 1)}\x1b[K")


def columns() -> int:
    """Return how wide a line may be: the terminal's width; a pipe has no end."""
    return shutil.get_terminal_size((UNBOUNDED, 24)).columns


def height() -> int:
    """Return how many lines the terminal shows."""
    return shutil.get_terminal_size((UNBOUNDED, 24)).lines


def is_terminal() -> bool:
    """Return whether stdout is a terminal that can overwrite lines; a dumb terminal, as in an editor, cannot."""
    return redraws(sys.stdout)


def redraws(stream: TextIO) -> bool:
    """Return whether a stream's terminal can overwrite earlier lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str) -> str:
    """Return the text in a colour (an ANSI code), if colours are on."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour_wanted(sys.stdout) else text


def bold(text: str) -> str:
    """Return a heading, bold if colours are on."""
    return paint(text, "1")


def dim(text: str) -> str:
    """Return text about finished work, dim if colours are on."""
    return paint(text, "2")


def colour_wanted(stream: TextIO) -> bool:
    """Return whether to write colours: on a terminal, unless a variable says otherwise.

    NO_COLOR (https://no-color.org) comes first; FORCE_COLOR and CLICOLOR_FORCE ask for colour in a pipe too, as in CI.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return redraws(stream) and os.environ.get("CLICOLOR") != "0"


def clean(text: str) -> str:
    """Return the text without control characters: file names in the store can contain any."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") else one for one in text)


def shorten(text: str, width: int) -> str:
    return text_width.shorten(text, width)


def fold(text: str, indent: str = "", after: str | None = None) -> str:
    """Return prose in lines that fit the terminal; `after` is the indent of all but the first.

    A command in backticks stays on one line, so that it can be copied; so does a figure with its unit.
    """
    lines = text_width.wrap(
        _WHOLE.sub(lambda match: match[0].replace(" ", _NO_BREAK), clean(text)),
        width if (width := columns()) == UNBOUNDED else min(width, READABLE),
        first=indent,
        after=indent if after is None else after,
        break_long=False,
    )
    return "\n".join(lines).replace(_NO_BREAK, " ")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), give: int = 0) -> str:
    """Return aligned columns, no wider than the terminal: column `give` is cut. `right` are set flush right."""
    lines, widths = _measured(head, rows, give)
    cut = [[text_width.shorten_words(cell, width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(_line(line, widths, right) for line in cut)


def folded_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return aligned columns, no wider than the terminal: the last column is folded, so that no text is cut."""
    last = len(head) - 1
    lines, widths = _measured(head, rows, last)
    folded = []
    for line in lines:
        parts = text_width.wrap(line[last], widths[last]) or [""]
        folded.append(_line([*line[:last], parts[0]], widths, right))
        folded += [_line([*[""] * last, part], widths, right) for part in parts[1:]]
    return "\n".join(folded)


def width_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide these columns are when nothing is cut."""
    lines = [head, *rows]
    return sum(max(text_width.width(line[column]) for line in lines) for column in range(len(head))) + 2 * (
        len(head) - 1
    )


def _measured(head: Sequence[str], rows: Sequence[Sequence[str]], give: int) -> tuple[list[list[str]], list[int]]:
    lines = [list(head), *[[clean(cell) for cell in row] for row in rows]]
    widths = [max(text_width.width(line[column]) for line in lines) for column in range(len(head))]
    over = sum(widths) + 2 * (len(widths) - 1) - columns()
    if over > 0:
        widths[give] = min(widths[give], max(len(head[give]), 12, widths[give] - over))
    return lines, widths


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    return "  ".join(
        text_width.right(text, width) if column in right else text_width.left(text, width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
