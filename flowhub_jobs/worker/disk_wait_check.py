"""Checks again whether jobs that wait for the disk can run. A check is no attempt and records no event."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flowhub_jobs.errors import DiskFull, StoreOffline
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.disk_demand import needs_in_order
from flowhub_jobs.jobs.disk_wait_rows import DiskWait, end_wait, extend_wait, read_disk_waits
from flowhub_jobs.store.space import Room, check_room
from flowhub_jobs.values.enums import QueueOrder, Reason

CHECKS = 5  # within one wait: a job that can run does not wait for all of it


class DiskWaitCheck:
    """Starts jobs that wait for room, or for the store's disk, at the first check that finds it. One per worker."""

    def __init__(self, home: Callable[[], Home]) -> None:
        """`home` returns the home with the stores that are named now."""
        self._home = home
        self._checked_at = float("-inf")
        self._released: dict[int, int] = {}  # jobs, with the usable bytes when they were released
        self._store_back: set[int] = set()  # jobs that were released since their store was last found offline

    def release_if_due(self) -> bool:
        """Check, a few times within one wait; return whether a job can run now."""
        home = self._home()
        awake_s = home.clock.awake()
        if awake_s - self._checked_at < home.settings.look_again_s / CHECKS:
            return False
        self._checked_at = awake_s
        return self.release()

    def release(self) -> bool:
        """Start the jobs that can run now, and extend the wait of every other; return whether there was one."""
        home = self._home()
        waiting = read_disk_waits(home.engine, home.node)
        texts: dict[DiskWait, str] = {}
        free: list[DiskWait] = []
        for store in dict.fromkeys(job.store for job in waiting):
            blocked, ready = self._check_store(store, [job for job in waiting if job.store == store])
            texts |= blocked
            free += ready
        extend_wait(home.engine, texts, home.clock.now_us(), home.settings.look_again_s)
        end_wait(home.engine, free)
        return bool(free)

    def _check_store(self, store: str, waiting: Sequence[DiskWait]) -> tuple[dict[DiskWait, str], list[DiskWait]]:
        """Return the jobs of one store that still wait, each with the reason, and those that may start."""
        try:
            home = self._home().in_store(store)
        except StoreOffline as error:
            self._store_back -= {job.job for job in waiting}
            return _offline(waiting, error), []
        room = home.room()  # once: a store with a maximum is measured for it
        texts = self._still_waiting(home, waiting, room)
        ready = [job for job in waiting if job not in texts]
        full = [job for job in ready if job.reason is Reason.DISK]
        self._store_back -= {job.job for job in texts}
        return texts, self._startable(full, room) + self._store_is_back(ready)

    def _store_is_back(self, ready: Sequence[DiskWait]) -> list[DiskWait]:
        """Return the jobs whose store is back. A job that failed with StoreOffline again, although no check found its
        store offline, is not released early: it starts when its wait ends. Otherwise a draining worker would never
        exit.
        """
        returned = [job for job in ready if job.reason is Reason.STORE_OFFLINE and job.job not in self._store_back]
        self._store_back |= {job.job for job in returned}
        return returned

    def _startable(self, ready: Sequence[DiskWait], room: Room) -> list[DiskWait]:
        """Return the jobs for which there is more room than when they were last released, and failed again.

        A disk can be full although it has free bytes: a quota, inodes, a snapshot. Such a job starts at the end of its
        wait. Were it released at each check, a worker that drains would never exit.
        """
        roomier = [job for job in ready if room.usable > self._released.get(job.job, -1)]
        self._released.update({job.job: room.usable for job in roomier})
        return roomier

    def _still_waiting(self, home: Home, waiting: Sequence[DiskWait], room: Room) -> dict[DiskWait, str]:
        try:
            home.open_store()
        except StoreOffline as error:
            return _offline(waiting, error)
        except DiskFull as error:  # there is no room for the store's own folder, or no inode
            return dict.fromkeys(waiting, error.message)
        # A file at the job's target may be what it wants, put there by hand: that needs no room.
        full = [job for job in waiting if job.reason is Reason.DISK and not os.path.lexists(job.target)]
        return _without_room(home, full, room) if full else {}


def _offline(waiting: Sequence[DiskWait], error: StoreOffline) -> dict[DiskWait, str]:
    return {job: error.message for job in waiting if job.reason is Reason.STORE_OFFLINE}


def _without_room(home: Home, full: Sequence[DiskWait], own_room: Room) -> dict[DiskWait, str]:
    texts: dict[int, str] = {}
    for room, stores in home.rooms(own_room):
        running, queued = needs_in_order(home.engine, home.node, QueueOrder(home.settings.queue_order), stores)
        texts |= no_room(room, running, queued, home.store.root)
    return {job: texts[job.job] for job in full if job.job in texts}


def no_room(room: Room, running: int, queued: Mapping[int, int], store: Path) -> dict[int, str]:
    """Return which queued jobs do not fit with those that go first, each with the sentence that says so. Pure."""
    reserved, texts = running, {}
    for job, need in queued.items():
        try:
            check_room(room, need, reserved, store)
            reserved += need
        except DiskFull as full:
            texts[job] = full.message
    return texts
