"""Errors on stderr: a few lines for a person, or one JSON object."""

import json
import sys

from flowhub_jobs.cli import output
from flowhub_jobs.errors import FlowhubError


def print_error(error: FlowhubError) -> int:
    """Print an error on stderr, as at most four lines or one JSON object. Return its exit status."""
    if output.chosen.json:
        text = json.dumps({"error": error.as_dict()})
    else:
        text = _folded(f"flowhub: {_one_line(error.message)}")
        text += "\n" + _folded(f"  {_one_line(error.hint)}") if error.hint else ""
    output.write_note(text + "\n")
    return error.exit_status


def _folded(line: str) -> str:
    """Return a line folded at words for a terminal; unchanged for a pipe or a file."""
    return output.fold(line.strip(), "  " if line.startswith(" ") else "", after="  ") if sys.stderr.isatty() else line


def _one_line(text: str) -> str:
    return output.clean(" ".join(text.split()))
