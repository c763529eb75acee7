"""The meaning and the remedy of every error code, for `flowhub help errors` and `flowhub help CODE`.

`remedy` is for a user of the command line, `in_call` for a program that called `download()`, which has no commands, no
jobs and no worker. An error that is not listed has its class's docstring and hint.
"""

from dataclasses import dataclass

from flowhub_jobs.errors import ERRORS, FlowhubError
from flowhub_jobs.errors.guide_texts import TEXTS
from flowhub_jobs.errors.hint_placeholders import for_call, for_command_line, names_command


@dataclass(frozen=True, slots=True)
class Guide:
    """`exit_status` of the command, whether the error is `retryable`, and the texts."""

    code: str
    exit_status: int
    retryable: bool
    meaning: str
    remedy: str
    in_call: str


def guide(code: str) -> Guide:
    """Return the guide of a code. Raises KeyError."""
    kind = ERRORS[code]
    meaning, template, *others = TEXTS.get(code, (_first_line(kind), kind.default_hint or ""))
    remedy = for_command_line(template)
    in_call = others[0] if others else _without_command(template)
    return Guide(code, kind.exit_status, kind.retryable, meaning, remedy, in_call)


def guides() -> list[Guide]:
    """Return all codes, by exit status and name."""
    return sorted((guide(code) for code in ERRORS), key=lambda one: (one.exit_status, one.code))


def hint_in_call(error: FlowhubError) -> str | None:
    """Return an error's hint for a program that called `download()`.

    A hint that is specific to this error stays, such as how often it was tried. A default hint, and one that names a
    command of the command line, is replaced by the guide's.
    """
    template = error.hint_template
    if template and template != error.default_hint and (hint := _without_command(template)):
        return hint
    return guide(error.code).in_call or None


def _without_command(template: str) -> str:
    """Return a hint filled for a program; "" where it names a command."""
    hint = for_call(template)
    return "" if names_command(hint) else hint[:1].upper() + hint[1:]


def _first_line(kind: type[FlowhubError]) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]
