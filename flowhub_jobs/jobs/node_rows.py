"""Reads the nodes of a database, in plain SQL. A node is alive while one of its workers renews its leases."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowhub_jobs.database.decode_row_values import json_of
from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.times import known_moment
from flowhub_jobs.values.enums import LIVE_STATES, State

# Compared on the database's clock, by which each worker says when it renewed its leases, and when it took one.
LIVING = "workers.seen_at >= {now} - " + str(round(LEASE_S * 1_000_000))
# A command that opens the store writes the row of its machine, too (store/library.py): it has no version.
_NODES = (
    "SELECT node, hostname, store, seen_at, disk_free, ram, gpus, share_url, version, "
    "(SELECT count(*) FROM workers WHERE workers.node = nodes.node AND {living}) AS workers, "
    "(SELECT coalesce(sum(slots), 0) FROM workers WHERE workers.node = nodes.node AND {living}) AS slots "
    "FROM nodes WHERE version IS NOT NULL ORDER BY node"
)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A registered node, in the order of `flowhub/nodes/1`. Bytes; None: unknown. `slots` are of its living workers.

    `gpus` are objects with name, vendor and vram_total_bytes.
    """

    node: str
    hostname: str
    state: str  # alive or gone
    seen_at: datetime
    workers: int
    slots: int
    store: str
    disk_free: int | None
    ram: int | None
    gpus: tuple[dict[str, Any], ...]
    share_url: str | None
    version: str | None = None

    @property
    def alive(self) -> bool:
        return self.state == "alive"

    @property
    def vram(self) -> int:
        """Return the memory of all its GPUs together, as far as it is known."""
        return sum(gpu.get("vram_total_bytes") or 0 for gpu in self.gpus)


def nodes_in(snapshot: Snapshot, now_us: int) -> list[NodeStatus]:
    """Return the registered nodes by name. PostgreSQL uses its own clock instead of `now_us`."""
    query = _NODES.format(living=LIVING.format(now=snapshot.now_sql))
    return [_node(row) for row in snapshot.rows(query, now=now_us)]


def node_names(snapshot: Snapshot) -> list[str]:
    """Return the nodes that a worker has registered."""
    return [row["node"] for row in snapshot.rows("SELECT node FROM nodes WHERE version IS NOT NULL ORDER BY node")]


def live_jobs_by_node(snapshot: Snapshot) -> dict[tuple[str, State], int]:
    """Return the number of live jobs by node and state; ANY_NODE stands for those that no node has taken yet."""
    query = "SELECT node, state, count(*) AS jobs FROM jobs WHERE state IN :live GROUP BY node, state"
    return {(row["node"], State(row["state"])): row["jobs"] for row in snapshot.rows(query, live=[*LIVE_STATES])}


def is_living(snapshot: Snapshot, worker: str, now_us: int) -> bool:
    """Return whether a worker, of any machine, has renewed its leases within the length of a lease."""
    query = f"SELECT 1 FROM workers WHERE worker = :worker AND {LIVING.format(now=snapshot.now_sql)}"  # noqa: S608, fixed text
    return bool(snapshot.rows(query, worker=worker, now=now_us))


def slots_taken_everywhere(snapshot: Snapshot, now_us: int) -> bool:
    """Return whether workers live, and each of their slots runs a job."""
    living = LIVING.format(now=snapshot.now_sql)
    running = "(SELECT count(*) FROM jobs WHERE state = 'running' AND lease_worker = workers.worker)"
    query = f"SELECT coalesce(sum(slots), 0) AS slots, sum({running}) AS running FROM workers WHERE {living}"  # noqa: S608, fixed text
    [row] = snapshot.rows(query, now=now_us)
    return bool(row["slots"]) and row["running"] >= row["slots"]


def _node(row: Row) -> NodeStatus:
    values = {name: row[name] for name in ("node", "hostname", "store", "disk_free", "ram", "share_url", "version")}
    gpus = json_of(row["gpus"])
    return NodeStatus(
        **values,
        state="alive" if row["workers"] else "gone",
        seen_at=known_moment(row["seen_at"]),
        workers=int(row["workers"]),
        slots=int(row["slots"]),
        gpus=tuple(gpu for gpu in gpus if isinstance(gpu, dict)) if isinstance(gpus, list) else (),
    )
