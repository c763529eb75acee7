"""Questions on the terminal before a change."""

import sys

from flowhub_jobs.cli import output
from flowhub_jobs.errors import Interrupted, UsageInvalid

HINT = "Pass -y to remove, or --dry-run to see what would be removed."


def confirm(verb: str, question: str, *, hint: str = HINT) -> bool:
    """Ask on the terminal; no answer means no. Raises UsageInvalid with --json, and without a terminal."""
    demand_terminal(verb, hint=hint)
    output.flush_result()  # above the question
    output.write_note(f"{question} [y/N] ")
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        output.write_note("\n")
        raise Interrupted("Nothing was done.", hint=hint) from None


def demand_terminal(verb: str, *, hint: str = HINT) -> None:
    """Raise UsageInvalid with --json, and without a terminal."""
    if output.chosen.json:
        raise UsageInvalid(f"`flowhub {verb} --json` cannot ask for confirmation.", hint=hint)
    if not sys.stdin.isatty():
        raise UsageInvalid(f"`flowhub {verb}` asks for confirmation, but stdin is not a terminal.", hint=hint)
