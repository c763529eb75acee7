"""Runs a worker, and runs it again on the new file when its database was replaced."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.database.engine import rebuild_indices
from flowhub_jobs.errors import DatabaseReplaced, HomeUnusable
from flowhub_jobs.home import Home, opened
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.sqlite_url import sqlite_file
from flowhub_jobs.worker.process import run_worker
from flowhub_jobs.worker.subscription_checks import Checker

log = logging.getLogger("flowhub.worker")

SETTLE_S, SETTLE_MAX_S = 0.5, 30.0


def run_on_current_database(
    settings: Settings,
    *,
    drain: bool,
    until_us: int | None,
    patience_s: float,
    take_signals: Callable[[], None],
    checker_of: Callable[[Home], Checker],
) -> int:
    """Return the exit status of `run_worker`, which ends when its database is replaced and begins again on the new one.

    `take_signals` sets the handlers that hold between two workers, `checker_of` makes what checks the subscriptions of
    a home. Raises DatabaseDamaged, DatabaseNewer, HomeUnusable.
    """
    was_replaced = False
    while True:
        try:
            with opened(settings) as home:
                if was_replaced:
                    rebuild_indices(home.engine)
                return run_worker(
                    home,
                    slots=settings.jobs,
                    drain=drain,
                    until_us=until_us,
                    patience_s=patience_s,
                    checker=checker_of(home),
                )
        except DatabaseReplaced as error:
            was_replaced = True
            take_signals()
            log.warning("%s The worker dropped its leases and starts again on the file at that path.", error.message)
            if (path := sqlite_file(settings.database_url)) is not None:
                wait_for_new_file(settings.home, path)


def wait_for_new_file(home: Path, database: Path) -> None:
    """Return when the file that replaced the database is complete, as far as its size tells: a copy grows for a while.

    Raises HomeUnusable if the home folder was removed, too.
    """
    last_size, deadline = -1, time.monotonic() + SETTLE_MAX_S
    while (size := _size(database)) != last_size and time.monotonic() < deadline:
        last_size = size
        time.sleep(SETTLE_S)
    if not home.is_dir():
        raise HomeUnusable(
            f"The home folder {home} was removed while the worker ran.",
            hint="Start the worker again to begin with an empty home; models in another store stay.",
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
