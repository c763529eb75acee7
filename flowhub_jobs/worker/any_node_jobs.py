"""Limits the jobs for any node that this worker takes, and takes back the jobs of nodes that are gone."""

import logging

from flowhub_jobs.errors import DiskFull, FlowhubError, StoreOffline
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.any_node import take_from_gone_nodes
from flowhub_jobs.store.space import room_at

log = logging.getLogger("flowhub.worker")

EVERY_S = 10.0  # a node is gone when it was not seen for as long as a lease lasts


class AnyNodeJobs:
    """One per worker. Without a database that machines share there are no such jobs."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._refused_until = self._polled_at = float("-inf")

    def room(self) -> int | None:
        """Return how many bytes such a job may need here; None: this worker takes none now."""
        home = self._home
        if not home.database.is_shared or home.clock.awake() < self._refused_until:
            return None
        try:
            room = room_at(home.store.root, home.settings.disk_reserve)
        except (OSError, FlowhubError):
            return None
        return room.free - room.reserve - home.bytes_promised()

    def refuse(self, error: DiskFull | StoreOffline) -> None:
        """Take no such job for a while: the disk of one was full or missing, whatever its free bytes say."""
        log.warning("For a while this node takes no jobs queued with --on any: %s", error.message)
        self._refused_until = self._home.clock.awake() + self._home.settings.look_again_s

    def rescue_if_due(self) -> list[int]:
        """Give the jobs of nodes that are gone to all nodes again; return them."""
        home, awake_s = self._home, self._home.clock.awake()
        if not home.database.is_shared or awake_s - self._polled_at < EVERY_S:
            return []
        self._polled_at = awake_s
        return take_from_gone_nodes(home.engine, home.node, home.clock)
