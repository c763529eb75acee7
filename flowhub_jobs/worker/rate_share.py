"""Sets the speed of one worker: its share of the limit of all jobs of the node, and never more than its own limit."""

import threading

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.rate_limits import running_jobs_by_worker
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.worker.gate_cache import GateCache

POLL_S, POLL_SHARED_S = 0.25, 1.0  # in a database of this machine; in one that machines share
# Before a share grows, the other workers must have had time to see that theirs is smaller.
SETTLED_S = 1.5


class RateShare:
    """Sets the bucket's rate by the table: how many jobs run here, and how many on the whole node. Thread-safe."""

    def __init__(self, home: Home, worker: str, bucket: TokenBucket, gates: GateCache) -> None:
        self._home, self._worker, self._bucket, self._gates = home, worker, bucket, gates
        self._lock = threading.Lock()
        self._every_s = POLL_SHARED_S if home.database.is_shared else POLL_S
        self._polled_at = float("-inf")
        self._share = 1.0
        self._may_grow_since: float | None = None
        self._rate = home.settings.limit_rate

    def update(self, *, job_began: bool = False) -> None:
        """Update the rate if it is time, or if a job of this worker has just begun."""
        awake_s = self._home.clock.awake()
        with self._lock:
            if job_began or awake_s - self._polled_at >= self._every_s:
                self._polled_at = awake_s
                self._set(awake_s, job_began=job_began)

    def _set(self, awake_s: float, *, job_began: bool) -> None:
        in_force = self._gates.limits(0.0 if job_began else self._every_s)
        rate = self._home.settings.limit_rate
        if in_force.rate_bps is not None:
            share = int(in_force.rate_bps * self._share_at(awake_s, job_began=job_began))
            rate = max(1, share if rate is None else min(rate, share))
        else:
            self._share, self._may_grow_since = 1.0, None
        if rate != self._rate:
            self._rate = rate
            self._bucket.set_rate(rate)

    def _share_at(self, awake_s: float, *, job_began: bool) -> float:
        """Return this worker's part of the limit. It shrinks at once, and grows when the others have made room."""
        counts = running_jobs_by_worker(self._home.database, self._home.node)
        own_jobs, total = counts[self._worker], counts.total()
        if own_jobs == total:
            fair, self._share = 1.0, 1.0
        else:
            fair = own_jobs / total
            if job_began and own_jobs == 1:
                self._share = 0.0  # an idle worker has no share to keep
        if fair <= self._share:
            self._share, self._may_grow_since = fair, None
        elif self._may_grow_since is None:
            self._may_grow_since = awake_s
        elif awake_s - self._may_grow_since >= SETTLED_S:
            self._share, self._may_grow_since = fair, None
        return self._share
