"""Asking on the terminal before something is taken away."""

import sys

from flowhub_jobs.errors import UsageInvalid


def agreed(verb: str, question: str, *, as_json: bool) -> bool:
    """Ask on the terminal; no answer is a no. Raises UsageInvalid where nobody can answer."""
    demand_terminal(verb, as_json=as_json)
    sys.stdout.flush()  # what the question is about stands above it
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def demand_terminal(verb: str, *, as_json: bool) -> None:
    """Raise UsageInvalid where nobody can be asked."""
    if as_json or not sys.stdin.isatty():
        hint = "Add -y to remove, or --dry-run to see what would go."
        raise UsageInvalid(f"{verb} asks before it removes, and nobody is there to ask.", hint=hint)
