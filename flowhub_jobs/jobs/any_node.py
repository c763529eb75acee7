"""Jobs for any node: nodes take the best of them, and return those whose node is gone, removed or full.

A job that no node has taken has ANY_NODE in place of its node, and at most one such live job has an artifact.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import is_live, job_files, jobs, nodes, workers
from flowhub_jobs.jobs.queue_order_sql import goes_before, sort_columns
from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.jobs.shared_update_sql import DIGEST_PENDING, NO_LEASE, NOT_RUNNING, end_attempt, write_event
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import LIVE_STATES, EventKind, QueueOrder, Reason, State
from flowhub_jobs.values.jobs import ANY_NODE, NewEvent
from flowhub_jobs.values.store_settings import DEFAULT_STORE

_LEASE_US = round(LEASE_S * 1_000_000)
ROW_COLUMNS = (
    *(jobs.c.id, jobs.c.node, jobs.c.state, jobs.c.target, jobs.c.wait_reason, jobs.c.attempt),
    *(jobs.c.lease_token, jobs.c.lease_until),
)


def any_node_jobs(node: str, may_start: sa.ColumnElement[bool], room: int, order: QueueOrder) -> "sa.Select[Any]":
    """Return the query for the jobs for any node that this one may take, the best first; each needs at most `room`.

    A live job of this node for the same artifact is enough for it.
    """
    own_jobs = jobs.alias()
    same_artifact = (
        own_jobs.c.node == node,
        own_jobs.c.artifact_key == jobs.c.artifact_key,
        own_jobs.c.state.in_(LIVE_STATES),
    )
    fits = sa.func.coalesce(jobs.c.bytes_total, 0) <= room
    query = sa.select(jobs.c.id).where(jobs.c.node == ANY_NODE, may_start, fits, ~sa.exists().where(*same_artifact))
    return query.order_by(*sort_columns(order))


def take_any_node_job(
    tx: sa.Connection,
    node: str,
    waiting: "sa.Select[Any]",
    own: sa.ColumnElement[bool],
    order: QueueOrder,
    claimed: Mapping[str, Any],
) -> sa.RowMapping | None:
    """Take the best of the `waiting` jobs, unless one of the node's `own` goes first; return its row.

    `claimed` are the values of a claimed row. The row is locked while its rank is compared, so that of several nodes
    one claims it, and the others look at the next one.
    """
    locked = waiting.limit(1).with_for_update(of=jobs, skip_locked=True)
    if (best := tx.execute(locked).first()) is None:
        return None
    if tx.execute(sa.select(jobs.c.id).where(own, goes_before(best.id, order)).limit(1)).first() is not None:
        return None
    # Until now its target was a name: no node's store was known.
    folder = sa.select(nodes.c.store + "/").where(nodes.c.node == node).scalar_subquery()
    placed = {"node": node, "target": sa.func.coalesce(folder, "") + jobs.c.target}
    still = (jobs.c.id == best.id, jobs.c.node == ANY_NODE, jobs.c.state == State.QUEUED)
    try:
        with tx.begin_nested():
            update = sa.update(jobs).where(*still).values(**claimed, **placed).returning(jobs)
            return tx.execute(update).mappings().first()
    except IntegrityError:  # a command has queued the same artifact for this node a moment ago
        return None


def without_node(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that take a job from its node: what is kept of it there is of no use to another one.

    A start time of the user stays.
    """
    waits = {} if row["wait_reason"] == Reason.AT else {"not_before": None}
    changes: dict[str, Any] = {"node": ANY_NODE, "any_node": True, "target": PurePath(row["target"]).name}
    changes["store"] = DEFAULT_STORE  # the only name that every node has
    return NOT_RUNNING | NO_LEASE | DIGEST_PENDING | changes | {"bytes_done": 0, "intent": None} | waits


def offer_to_any_node(
    tx: sa.Connection, row: Mapping[str, Any], now_us: int, event: NewEvent, outcome: str = "rescued"
) -> bool:
    """Queue a job of `ROW_COLUMNS` for any node, inside a transaction that writes; a paused one stays paused.

    A run ends as `outcome`, at no cost.

    Returns False, and changes nothing, if the row is no longer as it was read, or another live job for any node brings
    the same artifact.
    """
    as_read = (jobs.c.id == row["id"], jobs.c.node == row["node"], jobs.c.state == row["state"])
    lease = [jobs.c[name].is_not_distinct_from(row[name]) for name in ("lease_token", "lease_until")]
    changes = without_node(row)
    if row["wait_reason"] == Reason.AT:
        changes["wait_reason"] = Reason.AT
    if row["state"] == State.RUNNING:
        changes |= {"state": State.QUEUED, "attempt": row["attempt"] - 1}
    try:
        with tx.begin_nested():
            if not tx.execute(sa.update(jobs).where(*as_read, *lease).values(**changes)).rowcount:
                return False
    except IntegrityError:
        return False
    tx.execute(sa.update(job_files).where(job_files.c.job_id == row["id"]).values(bytes_done=0))
    if row["lease_token"] is not None:
        end_attempt(tx, row["id"], row["lease_token"], now_us, outcome)
    write_event(tx, row["id"], now_us, event.kind, event.text, event.code)
    return True


def take_from_gone_nodes(engine: sa.Engine, node: str, clock: Clock) -> list[int]:
    """Give the queued and running jobs for any node whose node is gone to all nodes again; return them.

    A node is gone if it and all its workers were last seen longer ago than a lease lasts, by the database's clock. A
    worker says so with each claim and renewal, so each lease of it has ended by then, on its own clock too: it writes
    nothing any more.
    """
    with querying(engine) as tx:
        since = shared_now_us(tx, clock.now_us()) - _LEASE_US
        working = sa.select(workers.c.worker).where(workers.c.node == jobs.c.node, workers.c.seen_at >= since)
        living = sa.select(nodes.c.node).where(nodes.c.node == jobs.c.node, nodes.c.seen_at >= since)
        on_other_nodes = (jobs.c.any_node, is_live, jobs.c.node.not_in((node, ANY_NODE)))
        to_move = (jobs.c.state != State.PAUSED, ~sa.exists(working), ~sa.exists(living))
        rows = tx.execute(sa.select(*ROW_COLUMNS).where(*on_other_nodes, *to_move)).mappings().all()
    return [row["id"] for row in rows if _taken(engine, row, clock)]


def _taken(engine: sa.Engine, row: sa.RowMapping, clock: Clock) -> bool:
    with writing(engine) as tx:
        event = NewEvent(EventKind.RESCUED, f"Its node {row['node']} is gone; any node may take it.")
        return offer_to_any_node(tx, dict(row), clock.now_us(), event)


def live_rows(tx: sa.Connection, node: str) -> list[dict[str, Any]]:
    """Return the live jobs of a node for `offer_to_any_node`, with kind. Their rows are locked until the commit."""
    query = sa.select(*ROW_COLUMNS, jobs.c.kind).where(jobs.c.node == node, is_live).order_by(jobs.c.id)
    return [dict(row) for row in tx.execute(query.with_for_update()).mappings()]
