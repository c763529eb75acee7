"""Finds by one query which upkeep of a node has anything to do.

Idle workers ask this again and again, and those of many nodes ask one server: a query for each kind of upkeep would
keep it busy. What is found here is read again, with its rows, by the module that does it.
"""

from dataclasses import dataclass

from flowhub_jobs.database.lazy import Database
from flowhub_jobs.jobs.shared_select_sql import DUE_JOBS, LIVE_OF_NODE
from flowhub_jobs.system import Clock, boot_id

# A row whose lease_until is no number, as damage may leave it, is not BETWEEN either.
_OWN_LEASE = (
    "lease_worker = :worker AND lease_boot = :boot AND lease_token IS NOT NULL AND lease_until BETWEEN :awake AND :far"
)
_QUERY = f"""
    SELECT
      EXISTS ({DUE_JOBS}) AS due_jobs,
      EXISTS (SELECT 1 FROM jobs WHERE {LIVE_OF_NODE} AND jobs.state = 'running' AND ({_OWN_LEASE}) IS NOT TRUE)
        OR EXISTS (SELECT 1 FROM workers WHERE node = :node AND worker <> :worker) AS other_workers,
      EXISTS (SELECT 1 FROM jobs WHERE {LIVE_OF_NODE} AND jobs.state = 'queued'
              AND jobs.wait_reason IN ('disk', 'store_offline')) AS disk_waits,
      EXISTS (SELECT 1 FROM host_waits WHERE node = :node) AS host_waits,
      EXISTS (SELECT 1 FROM placements WHERE node = :node AND state <> 'placed') AS placements,
      EXISTS (SELECT 1 FROM subscriptions WHERE node = :node AND (next_at <= :now OR checked_at > :now))
        AS subscriptions
"""  # noqa: S608, fixed text
_FAR_S = 1e6  # no lease lasts so long


@dataclass(frozen=True, slots=True)
class PendingUpkeep:
    """Whether there are rows of each kind.

    `due_jobs`: queued jobs of the node, or for any node, whose time has come. `other_workers`: workers, or running jobs
    with another lease than a valid one of this worker. `disk_waits`, `host_waits`: jobs or hosts that are waited for.
    `placements`: unfinished ones. `subscriptions`: those whose check is due.
    """

    due_jobs: bool
    other_workers: bool
    disk_waits: bool
    host_waits: bool
    placements: bool
    subscriptions: bool


def pending_upkeep(database: Database, node: str, worker: str, clock: Clock) -> PendingUpkeep:
    """Return what there is for a worker of the node."""
    awake = clock.awake()
    values = {"node": node, "worker": worker, "now": clock.now_us(), "boot": boot_id(), "awake": awake}
    [row] = database.query(_QUERY, **values, far=awake + _FAR_S)
    return PendingUpkeep(**{name: bool(value) for name, value in row.items()})
