"""Limits how many nodes of a database download a file at one time, so that it spreads from node to node.

While no node that shares has the file, one node downloads it from its origin. Then `readers` nodes copy it from there,
and each of these is a copy afterwards. A node that shares nothing is no reason for others to wait.
"""

from typing import Any, cast

import sqlalchemy as sa

from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, writing_own_rows
from flowhub_jobs.database.postgresql import lock_key
from flowhub_jobs.database.tables import artifact_files, artifacts, is_live, is_running, job_files, jobs, nodes, workers
from flowhub_jobs.jobs.node_shares import is_reachable
from flowhub_jobs.jobs.run_values import LEASE_S, Lease, LeaseLost
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import Stage, State

SHARES_READ_EVERY_S = 10.0  # a run that waits asks again and again; a new copy counts at once, a new share by then
_LEASE_US = round(LEASE_S * 1_000_000)
# With the words written out, so that PostgreSQL uses the index of the live jobs.
_DOWNLOADS = (
    is_live,
    is_running,
    jobs.c.stage.in_([sa.literal_column(f"'{stage}'") for stage in ("download", "verify", "install")]),
)


def has_room(downloads: int, copies: int, readers: int) -> bool:
    """Return whether one more node may download a file, while `downloads` are under way. Pure.

    `downloads`: without a copy, the downloads of this file; else the downloads of every file on the nodes that have a
    copy. With many copies half of their slots stay free, because a node tries only COPIES_MAX of them and goes to the
    origin if those are busy.
    """
    return downloads < (max(readers, readers * copies // 2) if copies else 1)


class NodeDownloadLimit:
    """The limit as one node sees it. `readers` is how many nodes a copy serves at a time."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock, readers: int) -> None:
        self._engine, self._node, self._clock, self._readers = engine, node, clock, readers
        self._shares: list[str] = []
        self._shares_read_at = float("-inf")

    def begin_or_find_downloader(self, lease: Lease, sha256: str, hostname: str) -> str | None:
        """Begin the download and return None, or return the node whose copy to wait for.

        Raises LeaseLost.
        """
        # Without a lock, which would hold up the node's other writes, and without a transaction: a run that waits asks
        # often, and what would end the wait is read again below.
        with querying(self._engine) as tx:
            sharing = self._sharing(tx, hostname)
            if not sharing:
                return None
            if (waits_for := self._waits_for(tx, sharing, sha256)) is not None:
                return waits_for
        with writing_own_rows(self._engine) as tx:  # while it waits, the node's other writes do not
            if tx.dialect.name == "postgresql":  # of two nodes, one decides first
                tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock_key('node download limit')})")
            waits_for = self._waits_for(tx, sharing, sha256)
            if waits_for is None:
                is_held = (jobs.c.id == lease.job, jobs.c.lease_token == lease.token, jobs.c.state == State.RUNNING)
                if not tx.execute(sa.update(jobs).where(*is_held).values(stage=Stage.DOWNLOAD)).rowcount:
                    raise LeaseLost(lease.job)
            return waits_for

    def _sharing(self, tx: sa.Connection, hostname: str) -> list[str]:
        """Return the other nodes whose shares this one reaches, as they were a few seconds ago, or later."""
        if (awake_s := self._clock.awake()) - self._shares_read_at < SHARES_READ_EVERY_S and self._shares:
            return self._shares
        shares = sa.select(nodes.c.node, nodes.c.share_url, nodes.c.hostname).where(
            nodes.c.share_url.is_not(None), nodes.c.node != self._node
        )
        names = [row.node for row in tx.execute(shares) if is_reachable(row.share_url, row.hostname, hostname)]
        self._shares, self._shares_read_at = names, awake_s
        return names

    def _waits_for(self, tx: sa.Connection, sharing: list[str], sha256: str) -> str | None:
        """Return a node for whose copy to wait, or None, by one query: a run that waits asks again and again."""
        with_file = sa.select(artifacts.c.node).join(artifact_files).where(artifact_files.c.sha256 == sha256)
        holders = with_file.where(artifacts.c.node.in_(sharing)).distinct().cte("holders")
        copies = sa.select(sa.func.count()).select_from(holders).scalar_subquery()
        # Used twice, so that PostgreSQL reads these few jobs first, and not the files of all jobs that have ended.
        downloads = self._downloading(tx).cte("downloads")
        files = sa.select(downloads).join(job_files, job_files.c.job_id == downloads.c.id)
        same = files.where(job_files.c.sha256 == sha256, downloads.c.node.in_(sharing), copies == 0)
        held = sa.select(artifact_files.c.sha256).join(artifacts).where(artifacts.c.node.in_(sa.select(holders.c.node)))
        reads = files.where(job_files.c.sha256.in_(held), copies > 0).with_only_columns(downloads.c.id).distinct()
        row = tx.execute(
            sa.select(
                copies.label("copies"),
                sa.select(sa.func.min(holders.c.node)).scalar_subquery().label("holder"),
                same.with_only_columns(downloads.c.node).limit(1).scalar_subquery().label("downloader"),
                sa.select(sa.func.count()).select_from(reads.subquery()).scalar_subquery().label("reads"),
            )
        ).one()
        if not row.copies:
            return cast("str | None", row.downloader)
        return None if has_room(row.reads, row.copies, self._readers) else str(row.holder)

    def _downloading(self, tx: sa.Connection) -> "sa.Select[Any]":
        """Return the query for the downloads that are under way, with their nodes; their workers are alive."""
        alive = workers.c.seen_at > shared_now_us(tx, self._clock.now_us()) - _LEASE_US
        joined = jobs.join(workers, workers.c.worker == jobs.c.lease_worker)
        return sa.select(jobs.c.id, jobs.c.node).select_from(joined).where(*_DOWNLOADS, alive)
