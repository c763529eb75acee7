"""Typer's usage errors, converted to UsageInvalid."""

import re
from typing import cast

import typer

from flowhub_jobs.errors import UsageInvalid

# Typer's words, and plain ones.
_PLAIN = (
    (re.compile(r"is not a valid int(eger)?( range)?"), "is not a whole number"),
    (re.compile(r"is not a valid float( range)?"), "is not a number"),
    (re.compile(r"is not in the range (\d+)<=x<=(\d+)"), r"is not between \1 and \2"),
    (re.compile(r"is not in the range x>=(\d+)"), r"is less than \1"),
)
# Typer exports no name for the base of its usage errors.
USAGE_ERROR = cast(type[Exception], typer.BadParameter.__mro__[1])


def usage_invalid(error: Exception, hint: str | None = None) -> UsageInvalid:
    """Return the error as one sentence, with a hint that names the verb."""
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if format_message else error).strip().rstrip(".")
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "flowhub"
    if text == "Missing command" and context is not None:
        text += f": one of {', '.join(context.command.list_commands(context))}"
    sentence = text if text.endswith("?") else f"{text}."
    return UsageInvalid(sentence, hint=hint or f"`{path} --help` shows how it is called.")
