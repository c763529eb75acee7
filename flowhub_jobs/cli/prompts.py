"""Asking on the terminal before something is changed."""

import sys

from flowhub_jobs.cli import output
from flowhub_jobs.errors import Interrupted, UsageInvalid

BEFORE = "it removes"
HINT = "Pass -y to remove, or --dry-run to see what would be removed."


def agreed(verb: str, question: str, *, before: str = BEFORE, hint: str = HINT) -> bool:
    """Ask on the terminal; no answer is a no. Raises UsageInvalid where there is no terminal."""
    demand_terminal(verb, before=before, hint=hint)
    sys.stdout.flush()  # what the question is about stands above it
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise Interrupted("Nothing was done.", hint=hint) from None


def demand_terminal(verb: str, *, before: str = BEFORE, hint: str = HINT) -> None:
    """Raise UsageInvalid where there is no terminal; `before` is what the verb asks about, `hint` what to do."""
    if output.chosen.json or not sys.stdin.isatty():
        raise UsageInvalid(f"{verb} asks before {before}, and this is not a terminal.", hint=hint)
