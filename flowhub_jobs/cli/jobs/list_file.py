"""A list file (`-f`): one reference a line, followed by options of `enqueue` as typed."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flowhub_jobs.cli.usage_errors import USAGE_ERROR, usage_invalid
from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.enqueue import same_kind
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.pasted_text import decode_text, undecorated

# Options that a line may have: those of one job, not of the whole command.
_OF_A_JOB = {"at", "tonight", "after", "priority", "group", "rate", "place", "store"} | {
    "sha256",
    "name",
    "include",
    "exclude",
    "force",
}
# The part of a line before a `#` that begins a word outside of quotes. A URL's fragment is not a comment.
_BEFORE_COMMENT = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\]|\s+(?![\s#]))*""")
_QUOTED = re.compile(r"""[\\"'#]""")
BYTES_MAX = 32_000_000  # a hundred thousand long addresses with options
LINES_MAX = 100_000
LINE_MAX = 16_384  # characters; the longest address that servers take has 8,000
_HINT = "A list has one reference a line; options of `enqueue` may follow it."


@dataclass(frozen=True, slots=True)
class ListLine:
    """A line: its number in the file, the reference, and the options that follow it."""

    number: int
    ref: str
    options: dict[str, Any]


def read_lines(source: str) -> list[tuple[int, str]]:
    """Return the lines with a reference, with their numbers from 1; `-` is stdin. Raises UsageInvalid."""
    name = "on stdin" if source == "-" else source
    try:
        raw = sys.stdin.buffer.read(BYTES_MAX + 1) if source == "-" else _first_bytes(Path(source).expanduser())
        if len(raw) > BYTES_MAX:
            hint = "Split it into several lists."
            raise UsageInvalid(f"The list {name} is larger than {format_bytes(BYTES_MAX)}.", hint=hint)
        text = decode_text(raw)
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        hint = "Save it as UTF-8; in an editor: Save as, Encoding."
        raise UsageInvalid(f"The list {name} is not UTF-8 text: see line {number}.", hint=hint) from error
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: an unknown ~user
        why = getattr(error, "strerror", None) or str(error)
        hint = "Check the path; `-f -` reads the list from stdin."
        raise UsageInvalid(f"The list {name} cannot be read: {why}.", hint=hint) from error
    lines = [(number, line) for number, line in _lines(text) if line and not line.startswith("#")]
    _check_bounds(name, lines)
    return lines


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def _check_bounds(name: str, lines: list[tuple[int, str]]) -> None:
    if len(lines) > LINES_MAX:
        hint = "Split it into several lists."
        raise UsageInvalid(f"The list {name} has {len(lines):,} lines; {LINES_MAX:,} are allowed.", hint=hint)
    for number, line in lines:
        if len(line) > LINE_MAX:
            message = f"Line {number} of the list {name} has {len(line):,} characters; {LINE_MAX:,} are allowed."
            raise UsageInvalid(message, hint=_HINT)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines: it also parts at characters that no editor counts as the end of a line.
    normalized = text.replace("\r\n", "\n").replace("\r", "\n")
    return ((number, undecorated(line)) for number, line in enumerate(normalized.split("\n"), start=1))


def parse_line(number: int, text: str, enqueue: Any) -> ListLine:
    """Parse a line with `enqueue`, the verb's Typer command. Raises UsageInvalid, which names the line's number."""
    if text[:1] not in ("'", '"') and not re.search(r"[ \t\\]", text):
        return ListLine(number, text, {})  # ten thousand plain references need no parser; a quote in one is its own
    try:
        arguments = shlex.split(without_comment(text)) if _QUOTED.search(text) else text.split()
        return _parsed(number, arguments, enqueue)
    except FlowhubError as error:
        raise at_line(number, error) from error
    except ValueError as error:
        raise UsageInvalid(f"Line {number} cannot be read: {error}: {text[:60]}", hint=_HINT) from error


def without_comment(text: str) -> str:
    """Return a line without the comment at its end. A line with an unclosed quote is returned whole."""
    match = _BEFORE_COMMENT.match(text)
    without = match[0] if match else ""
    return without if text[len(without) :].lstrip().startswith("#") else text


def at_line(number: int, error: FlowhubError) -> FlowhubError:
    """Return the same error, with the number of the line in its message."""
    return same_kind(error, f"Line {number}: {error.message}", error.hint)


def _parsed(number: int, arguments: list[str], enqueue: Any) -> ListLine:
    if arguments and not arguments[0].startswith("-"):
        return ListLine(number, arguments[0], _ref_and_options(("REF", *arguments[1:]), enqueue)[1])
    return ListLine(number, *_ref_and_options(tuple(arguments), enqueue))


@lru_cache(maxsize=256)  # most lines of a long list have the same options
def _ref_and_options(arguments: tuple[str, ...], enqueue: Any) -> tuple[str, dict[str, Any]]:
    """Return the one reference of these words, and the options of its job."""
    if {"-h", "--help"} & set(arguments):
        raise UsageInvalid("--help is not an option of a job.", hint=_HINT)
    try:
        parameters = enqueue.make_context("enqueue", list(arguments)).params
    except USAGE_ERROR as error:
        raise usage_invalid(error, hint="Options of `enqueue` may follow a reference, as typed.") from error
    refs = parameters.pop("refs") or []
    options = {
        name: value for name, value in parameters.items() if not (value is None or value is False or value == ())
    }
    if len(refs) != 1 or not options.keys() <= _OF_A_JOB:
        wrong = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(options.keys() - _OF_A_JOB))
        wrong = wrong or ("two references" if len(refs) > 1 else "options alone")
        raise UsageInvalid(f"A line takes one reference and options of its job, not {wrong}.", hint=_HINT)
    return refs[0], options
