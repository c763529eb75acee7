"""Every second: mend the queue, take back what has no living owner, ring for what is due. And know when to go home."""

import logging
import sqlite3
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.worker.bells import Bells
from flowhub_jobs.worker.floor import Floor

log = logging.getLogger("flowhub.maintenance")

PERIOD_S = 1.0


class Maintenance(threading.Thread):
    """A thread of ours, not a Huey task: with all workers busy such a task waits its turn."""

    def __init__(
        self, floor: Floor, bells: Bells, may_go_home: Callable[[], bool], go_home: Callable[[], None]
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self._floor, self._bells = floor, bells
        self._may_go_home, self._go_home = may_go_home, go_home

    def run(self) -> None:
        while not self._floor.stopping.wait(PERIOD_S):
            try:
                self.look_after()
                if self._may_go_home():
                    self._go_home()
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                log.warning("Maintenance could not reach a database, and tries again: %s", error)

    def look_after(self) -> None:
        self._bells.mend()
        for job in self._floor.home.take_back_orphans():
            log.info("Job %d was taken back: its worker is gone.", job)
        missing = min(self._floor.leases.due(), self._floor.idle) - self._bells.waiting()
        if missing > 0:
            self._bells.ring(missing)
