"""Removes a node: its row, controls, host waits and subscriptions. Its jobs go to any other node, or end.

Its library and the identities of its stores stay: if it comes back, its models are listed again, and the mount point of
a disk that is away is not taken for its store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import controls, host_waits, jobs, nodes
from flowhub_jobs.errors import Busy, UsageInvalid
from flowhub_jobs.jobs.any_node import live_rows, offer_to_any_node
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.jobs.shared_update_sql import DIGEST_PENDING, NO_LEASE, NOT_RUNNING, end_attempt, write_event
from flowhub_jobs.jobs.subscriptions.subscription_rows import remove_of_node
from flowhub_jobs.system import Clock
from flowhub_jobs.units import counted
from flowhub_jobs.values.enums import EventKind, JobKind, State
from flowhub_jobs.values.jobs import NewEvent

REQUEUE, CANCEL = "requeue", "cancel"


@dataclass(slots=True)
class Removed:
    """A removed node, and what became of its live jobs, by number."""

    node: str
    requeued: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)


def remove(engine: sa.Engine, node: NodeStatus, clock: Clock, action: str | None, *, force: bool) -> Removed:
    """Remove a node. A job that only this node can do (verify, export, import) is cancelled, too.

    Raises Busy while it is alive unless `force`, UsageInvalid where it has live jobs and no `action`.
    """
    if node.alive and not force:
        raise Busy(
            f"The node {node.node} is alive: a worker runs on {node.hostname}.",
            hint="Stop its worker first, or add --force: its worker stops within seconds.",
        )
    removed, now_us = Removed(node.node), clock.now_us()
    with writing(engine) as tx:
        # First: `enqueue --on` holds this row until its jobs are there (JobCommands), so that none comes to a node
        # that is gone.
        tx.execute(sa.select(nodes.c.node).where(nodes.c.node == node.node).with_for_update())
        rows = live_rows(tx, node.node)
        if rows and action is None:
            live = counted(len(rows), "unfinished job", "unfinished jobs")
            hint = f"`flowhub nodes remove {node.node} --requeue` gives them to other nodes, --cancel ends them."
            raise UsageInvalid(f"The node {node.node} has {live}.", hint=hint)
        for row in rows:
            moved = action == REQUEUE and row["kind"] == JobKind.FETCH
            event = NewEvent(EventKind.RESCUED, f"Its node {node.node} was removed; any node may take it.")
            if moved and offer_to_any_node(tx, row, now_us, event):
                removed.requeued.append(row["id"])
            else:
                _cancel(tx, row, now_us, node.node)
                removed.cancelled.append(row["id"])
        for table in (nodes, controls, host_waits):
            tx.execute(sa.delete(table).where(table.c.node == node.node))
        remove_of_node(tx, node.node)
    return removed


def _cancel(tx: sa.Connection, row: Mapping[str, Any], now_us: int, node: str) -> None:
    changes = NOT_RUNNING | NO_LEASE | DIGEST_PENDING | {"state": State.CANCELLED, "finished_at": now_us}
    tx.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(**changes))
    if row["lease_token"] is not None:
        end_attempt(tx, row["id"], row["lease_token"], now_us, EventKind.CANCELLED)
    write_event(tx, row["id"], now_us, EventKind.CANCELLED, f"Cancelled: its node {node} was removed.")
