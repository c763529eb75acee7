"""Errors on stderr: a few lines for a person, or one JSON object."""

import contextlib
import json
import sys

from flowhub_jobs.cli import output
from flowhub_jobs.errors import DatabaseUnusable, FlowhubError, InternalError, UsageInvalid
from flowhub_jobs.net.urls import driver_words, scrub


def as_flowhub_error(error: Exception) -> FlowhubError:
    """Return an unexpected exception as an error with an exit status: of the database, the system, or a bug."""
    if type(error).__module__.partition(".")[0] in ("sqlite3", "sqlalchemy"):
        return DatabaseUnusable(f"The database does not answer: {driver_words(error)}.")
    if isinstance(error, UnicodeEncodeError):  # a typed name that no table can hold
        return UsageInvalid(f"{error.object[:200]!r} is not UTF-8 text.", hint="Write the name in UTF-8.")
    if isinstance(error, OSError):
        return FlowhubError(f"{scrub(str(error.filename or 'The system'))}: {error.strerror or error}.")
    hint = f"{InternalError.default_hint} FLOWHUB_DEBUG=1 shows where it happened."
    return InternalError(f"A fault of flowhub's own: {type(error).__name__}: {scrub(str(error))[:300]}", hint=hint)


def print_error(error: FlowhubError) -> int:
    """Print an error on stderr, as at most four lines or one JSON object. Return its exit status."""
    if output.chosen.json:
        text = json.dumps({"error": error.as_dict()})
    else:
        text = _shown(f"flowhub: {_one_line(error.message)}")
        text += "\n" + _shown(f"  {_one_line(error.hint)}") if error.hint else ""
    with contextlib.suppress(OSError):  # stderr is closed: the exit status remains
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    return error.exit_status


def _shown(line: str) -> str:
    """Return a line folded at words for a terminal; unchanged for a pipe or a file."""
    return output.fold(line.strip(), "  " if line.startswith(" ") else "", after="  ") if sys.stderr.isatty() else line


def _one_line(text: str) -> str:
    return output.clean(" ".join(text.split()))
