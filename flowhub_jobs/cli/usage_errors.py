"""Typer's usage errors, converted to UsageInvalid."""

from typing import cast

import typer

from flowhub_jobs.errors import UsageInvalid

# Typer exports no name for the base of its usage errors.
USAGE_ERROR = cast(type[Exception], typer.BadParameter.__mro__[1])
_WORDINGS = [
    ("is not a valid int range", "is not a whole number"),
    ("is not a valid int", "is not a whole number"),
    ("is not a valid float", "is not a number"),
]


def usage_invalid(error: Exception, hint: str | None = None) -> UsageInvalid:
    """Return the error as one sentence, with a hint that names the verb."""
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if format_message else error).strip().rstrip(".")
    for theirs, plain in _WORDINGS:
        text = text.replace(theirs, plain)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "flowhub"
    sentence = text if text.endswith("?") else f"{text}."
    return UsageInvalid(sentence, hint=hint or f"`{path} --help` shows how it is called.")
