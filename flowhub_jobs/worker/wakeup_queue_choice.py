"""The queue of wake-ups that belongs to a home's database: a file next to SQLite's, or tables in PostgreSQL."""

from collections.abc import Callable
from typing import Any, Protocol

from flowhub_jobs.database.postgresql import connector, is_postgresql
from flowhub_jobs.home import Home


class Wakeups(Protocol):
    """A queue of wake-ups. A message means "read the table", nothing else."""

    huey: Any

    def wake(self, times: int = 1, *, node: str | None = None) -> None: ...
    def waiting(self) -> int: ...
    def reopen_if_damaged(self) -> bool: ...
    def hears_changes(self) -> bool: ...
    def stop_waiting(self) -> None: ...
    def close(self) -> None: ...


def worker_wakeups(
    home: Home, on_wakeup: Callable[[], None], slots: int, on_change: Callable[[], None] = lambda: None
) -> Wakeups:
    """Return the queue as a worker reads it: `on_wakeup` is called in the consumer for each message.

    `on_change` is called where the database notifies of a new control or requested action.
    """
    settings = home.settings
    listens = is_postgresql(settings.database_url) and settings.database_listen
    listen_with = connector(settings.database_url) if listens else None
    return _open_queue(home, on_wakeup, listen_with, slots, on_change)


def command_wakeups(home: Home) -> Wakeups:
    """Return the queue as a command writes to it."""
    return _open_queue(home)


def _open_queue(home: Home, on_wakeup: Callable[[], None] = lambda: None, *listening: Any) -> Wakeups:
    if not is_postgresql(home.settings.database_url):
        from flowhub_jobs.worker.wakeup_queue import WakeupQueue

        return WakeupQueue(home.settings.queue_path, on_wakeup)
    from flowhub_jobs.worker.wakeup_queue_postgresql import PostgresWakeupQueue

    return PostgresWakeupQueue(home.engine, home.node, on_wakeup, *listening)
