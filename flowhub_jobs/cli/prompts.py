"""Questions on the terminal before a change."""

import sys

from flowhub_jobs.cli import output
from flowhub_jobs.errors import Interrupted, UsageInvalid

BEFORE = "it removes"
HINT = "Pass -y to remove, or --dry-run to see what would be removed."


def confirm(verb: str, question: str, *, before: str = BEFORE, hint: str = HINT) -> bool:
    """Ask on the terminal; no answer means no. Raises UsageInvalid without a terminal."""
    demand_terminal(verb, before=before, hint=hint)
    output.flush_result()  # above the question
    output.write_note(f"{question} [y/N] ")
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        output.write_note("\n")
        raise Interrupted("Nothing was done.", hint=hint) from None


def demand_terminal(verb: str, *, before: str = BEFORE, hint: str = HINT) -> None:
    """Raise UsageInvalid without a terminal. The message names the verb and `before`, the change that it asks about."""
    if output.chosen.json or not sys.stdin.isatty():
        raise UsageInvalid(f"{verb} asks before {before}, and this is not a terminal.", hint=hint)
