"""Looks again for jobs that wait for the disk, without an attempt at each: a night of looks leaves no trace."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowhub_jobs.errors import DiskFull, StoreOffline
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.needs import needs_in_order
from flowhub_jobs.jobs.parked import Parked, parked, wait_on
from flowhub_jobs.kinds import Reason
from flowhub_jobs.store.space import Room, check_room, room_at

LOOKS = 5  # in the time that a job waits: one that may go on is not kept for the whole of it


class Parking:
    def __init__(self, home: Home) -> None:
        self._home = home
        self._looked_at = float("-inf")

    def look(self) -> None:
        """Let wait on what would be parked anew; what may have room or a store by now starts at the end of its wait."""
        home, now = self._home, self._home.clock.awake()
        every = home.settings.look_again_s / LOOKS
        if now - self._looked_at < every:
            return
        self._looked_at = now
        now_us = home.clock.now_us()
        # Those whose wait ends before the look after the next, which may be late.
        found = parked(home.engine, home.node, now_us + int(2 * every * 1e6))
        if found and (texts := self._still_waiting(found)):
            wait_on(home.engine, texts, now_us + int(home.settings.look_again_s * 1e6))

    def _still_waiting(self, found: Sequence[Parked]) -> dict[Parked, str]:
        try:
            self._home.open_store()
        except StoreOffline as error:
            return {one: error.message for one in found if one.reason is Reason.STORE_OFFLINE}
        # What lies at its target may be what it wants, put there by hand: that needs no room.
        full = [one for one in found if one.reason is Reason.DISK and not os.path.lexists(one.target)]
        return self._without_room(full) if full else {}

    def _without_room(self, full: Sequence[Parked]) -> dict[Parked, str]:
        home = self._home
        running, queued = needs_in_order(home.engine, home.node)
        room = room_at(home.store.root, home.settings.disk_reserve)
        texts = no_room(room, running, queued, home.store.root)
        return {one: texts[one.job] for one in full if one.job in texts}


def no_room(room: Room, running: int, queued: Mapping[int, int], where: Path) -> dict[int, str]:
    """Return which queued jobs do not fit beside those that go first, with the words that say so. Pure."""
    taken, texts = running, {}
    for job, need in queued.items():
        try:
            check_room(room, need, taken, where)
            taken += need
        except DiskFull as full:
            texts[job] = full.message
    return texts
