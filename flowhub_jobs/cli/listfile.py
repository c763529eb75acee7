"""A list file (`-f`): one reference a line, followed by options of `enqueue` as typed."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import FlowhubError, UsageInvalid

# What may stand behind a reference: what is said of one job, not of the call.
_OF_A_JOB = {"at", "tonight", "priority", "group", "sha256", "force"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line that names a model: its number in the file, the reference, and the options typed behind it."""

    number: int
    ref: str
    options: dict[str, Any]


def read_lines(source: str) -> list[tuple[int, str]]:
    """Return the lines that say something, with their numbers from 1; `-` is stdin. Raises UsageInvalid."""
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).expanduser().read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageInvalid(f"The list {source} cannot be read: {why}.", hint="One reference a line.") from error
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def parse_line(number: int, text: str) -> Line:
    """Return what a line says. Raises UsageInvalid, which names its number."""
    if not any(character in text for character in " \t\"'\\"):
        return Line(number, text, {})  # ten thousand plain references need no parser
    try:
        words = shlex.split(text, comments=True)
        return _parsed(number, words)
    except FlowhubError as error:
        raise at_line(number, error) from error
    except ValueError as error:
        raise UsageInvalid(f"Line {number}: {error}: {text[:60]}.") from error


def at_line(number: int, error: FlowhubError) -> FlowhubError:
    """Return the same error, with the number of the line in its message."""
    named = type(error).__new__(type(error))
    FlowhubError.__init__(named, f"Line {number}: {error.message}", hint=error.hint)
    return named


def _parsed(number: int, words: list[str]) -> Line:
    import typer

    from flowhub_jobs.cli.app import app
    from flowhub_jobs.cli.usage import USAGE_ERROR, usage_invalid

    command = typer.main.get_command(app)
    verb = command.get_command(typer.Context(command), "enqueue")  # type: ignore[attr-defined]
    try:
        parameters = verb.make_context("enqueue", words).params
    except USAGE_ERROR as error:
        raise usage_invalid(error, hint="Behind a reference stand options of `enqueue`, as typed.") from error
    refs = parameters.pop("refs") or []
    given = {name: value for name, value in parameters.items() if value not in (None, False)}
    if len(refs) != 1 or not given.keys() <= _OF_A_JOB:
        wrong = ", ".join(sorted(given.keys() - _OF_A_JOB)) or f"{len(refs)} references"
        raise UsageInvalid(f"A line takes one reference and options of its job, not {wrong}.")
    return Line(number, refs[0], given)
