"""Notification settings: the `[notify]` table of `config.toml`.

Of that file alone, never of the environment or a flag: who can set a variable must not run a command by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowhub_jobs.errors import AddressRefused

FAILED, NEEDS_YOU, UPDATE, QUEUE_EMPTY = "failed", "needs_you", "update", "queue_empty"
NOTICES = (FAILED, NEEDS_YOU, UPDATE, QUEUE_EMPTY)
NOTIFY_HINT = 'Write command = ["program", "argument"] or webhook = "https://…", and on = ["failed"] if not all.'


@dataclass(frozen=True, slots=True)
class Notify:
    """The table read. The command gets the notice on stdin, the webhook as the body of a POST."""

    command: tuple[str, ...] = field(default=(), repr=False)
    webhook: str | None = field(default=None, repr=False)  # its knowledge allows posting there: it is never shown
    on: tuple[str, ...] = NOTICES
    every_s: float = 60.0  # at most one notice in this time

    def __bool__(self) -> bool:
        return bool((self.command or self.webhook) and self.on)

    def __str__(self) -> str:
        ways = [name for name, given in (("command", self.command), ("webhook", self.webhook)) if given]
        return f"{' and '.join(ways)}, on {', '.join(self.on)}" if self else "-"


def notify_from(table: Any) -> Notify:
    """Return the table's meaning. Raises ValueError, which never repeats a part of the webhook."""
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    if unknown := set(table) - {"command", "webhook", "on", "every_s"}:
        raise ValueError(f"{min(unknown)!r} is not a key of [notify]")
    command, notices = _texts(table, "command", ()), _texts(table, "on", NOTICES)
    if wrong := [name for name in notices if name not in NOTICES]:
        raise ValueError(f"on has {wrong[0]!r}, but there are only {', '.join(NOTICES)}")
    return Notify(command, _webhook(table), notices, _every(table))


def _texts(table: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = table.get(name, default)
    if isinstance(value, list | tuple) and all(isinstance(text, str) and "\0" not in text for text in value):
        return tuple(value)
    raise ValueError(f"{name} is not a list of strings")


def _webhook(table: Mapping[str, Any]) -> str | None:
    from flowhub_jobs.net.urls import check_address  # few have one

    url = table.get("webhook")
    try:
        if url is not None:
            check_address(url if isinstance(url, str) else "", pinned=False)
    except AddressRefused:
        raise ValueError("webhook is not an https address (http goes to this machine alone)") from None
    return url


def _every(table: Mapping[str, Any]) -> float:
    value = table.get("every_s", 60)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise ValueError("every_s is not a number of seconds")
    return float(value)
