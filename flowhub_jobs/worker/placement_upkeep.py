"""Tries failed placements again when they are due, and finishes those of killed processes.

A thread of its own does it: a copy may take minutes.
"""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.net.redaction import driver_message

log = logging.getLogger("flowhub.placement")

RETRY_S = 60.0  # between two tries of a placement that cannot be finished


class PlacementUpkeep:
    """One per worker; called by the maintenance thread."""

    def __init__(self, home: Callable[[], Home]) -> None:
        """`home` returns the home with the stores that are named now."""
        self._home = home
        self._next_try = float("-inf")
        self._thread: threading.Thread | None = None

    def settle_if_due(self) -> None:
        """Begin to finish what is unfinished, if there is any."""
        home = self._home()
        awake_s = home.clock.awake()
        if self.busy or awake_s < self._next_try or not home.placement_rows.any_due(home.clock.now_us()):
            return
        self._next_try = awake_s + RETRY_S
        self._thread = threading.Thread(target=self._settle, name="placements", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def _settle(self) -> None:
        try:
            if [home.placements.place_pending(wait=False) for home in self._home().each_store()][-1]:
                self._next_try = float("-inf")
        except (SQLAlchemyError, FlowhubError, OSError) as error:
            log.warning("Placements could not be finished; the worker tries them again: %s", driver_message(error))
