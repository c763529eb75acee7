"""Finds the jobs of a node that may start now, and claims the best of them by a conditional UPDATE.

A job may start when its time has come, all jobs that it waits for have ended, the schedule's window is open or `start`
skipped it, no host wait holds it, and, if it fetches, the cap is not reached. Of the jobs that a host wait holds, one
at a time tries the host.

A job for any node is claimed by the first node that has a slot and room: the same UPDATE gives it that node.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.batches import execute_together
from flowhub_jobs.database.lazy import snapshot_of
from flowhub_jobs.database.tables import attempts, is_live, is_queued, is_running, jobs
from flowhub_jobs.jobs.any_node import any_node_jobs, take_any_node_job
from flowhub_jobs.jobs.held_hosts import HeldHosts, held_hosts
from flowhub_jobs.jobs.host_waits import record_trial
from flowhub_jobs.jobs.queue_order_sql import sort_columns
from flowhub_jobs.jobs.row_decoding import artifact_of, check_row, intent_of, sources_of, task_of
from flowhub_jobs.jobs.run_values import Claimed, Lease
from flowhub_jobs.jobs.shared_update_sql import NOT_RUNNING, ended_all_earlier, event_insert
from flowhub_jobs.jobs.states import Gates
from flowhub_jobs.system import boot_id
from flowhub_jobs.values.enums import EventKind, JobKind, QueueOrder, Stage, State


class ClaimableJobs:
    """The claimable jobs as one transaction sees them."""

    def __init__(
        self,
        tx: sa.Connection,
        node: str,
        now_us: int,
        gates: Gates,
        order: QueueOrder = QueueOrder.OLDEST_FIRST,
        any_node_room: int | None = None,
    ) -> None:
        """`any_node_room` is how many bytes a job for any node may need here; None: this worker takes none."""
        self._tx, self._node, self._now_us, self._order, self._any_node_room = tx, node, now_us, order, any_node_room
        self._hosts = held_hosts(snapshot_of(tx), node)
        self._due_for_trial = self._hosts.due_for_trial(now_us)
        allowed: list[sa.ColumnElement[bool]] = [jobs.c.start_now] if gates.window_shut(now_us) else []
        if gates.cap_reached(now_us):
            allowed.append(jobs.c.kind != JobKind.FETCH)
        self._jobs_max = gates.jobs_max
        self._may_start = sa.and_(is_live, is_queued, has_come(now_us), ended_all_earlier, *allowed)
        self._startable = sa.and_(jobs.c.node == node, self._may_start)

    def count(self, at_most: int | None) -> int:
        """Count the jobs that a claim would find, one for each host that is to be tried, up to `at_most`."""
        if (slots := self._slots_left()) is not None:
            return min(slots, self._count(slots if at_most is None else min(slots, at_most))) if slots else 0
        return self._count(at_most)

    def _slots_left(self) -> int | None:
        """Return how many more jobs may run on the node; None: as many as its workers have slots."""
        if self._jobs_max is None:
            return None
        running = sa.select(sa.func.count()).where(jobs.c.node == self._node, is_live, is_running)
        return max(0, self._jobs_max - int(self._tx.execute(running).scalar_one()))

    def _count(self, at_most: int | None) -> int:
        startable = sa.select(jobs.c.id).where(self._startable)
        claimable = startable.where(*_not_held(self._hosts)).limit(at_most).subquery()
        count = int(self._tx.execute(sa.select(sa.func.count()).select_from(claimable)).scalar_one())
        if self._due_for_trial:
            trials = startable.where(jobs.c.source_origin.in_(self._due_for_trial)).limit(1)
            count += self._tx.execute(trials).first() is not None
        if self._any_node_room is not None:
            count += len(self._tx.execute(self._any_node_candidates().limit(at_most)).all())
        return count

    def has_any_node_job(self) -> bool:
        """Return whether a claim would find a job for any node."""
        return (
            self._any_node_room is not None
            and self._tx.execute(self._any_node_candidates().limit(1)).first() is not None
        )

    def take(
        self, worker: str, token: str, lease_until_awake_s: float, only: int | None, with_it: Sequence[sa.Update] = ()
    ) -> sa.RowMapping | None:
        """Take the best job for a worker, or the one job `only`, under a lease; return its row, None if there is none.

        `with_it` is executed if a job is taken.
        """
        if self._slots_left() == 0:
            return None
        claimed = {
            **(NOT_RUNNING | {"state": State.RUNNING, "stage": Stage.RESOLVE, "not_before": None}),
            "attempt": jobs.c.attempt + 1,
            "started_at": sa.func.coalesce(jobs.c.started_at, self._now_us),
            "lease_token": token,
            "lease_worker": worker,
            "lease_boot": boot_id(),
            "lease_until": lease_until_awake_s,
        }
        row = self._take_any_node_job(claimed) if self._any_node_room is not None and only is None else None
        candidates = iter(()) if row is not None else self._candidates(only)
        for candidate in candidates:
            # Its node, too: `nodes remove` of another machine may have taken the job from it.
            best = (jobs.c.id == candidate.scalar_subquery(), jobs.c.state == State.QUEUED, jobs.c.node == self._node)
            update = sa.update(jobs).where(*best).values(**claimed).returning(jobs)
            if (row := self._tx.execute(update).mappings().first()) is not None:
                break
        if row is not None:
            execute_together(self._tx, [*with_it, *self._records(row, worker, token)])
        return row

    def _any_node_candidates(self) -> "sa.Select[Any]":
        assert self._any_node_room is not None
        waiting = sa.and_(self._may_start, *_not_held(self._hosts))
        return any_node_jobs(self._node, waiting, self._any_node_room, self._order)

    def _take_any_node_job(self, claimed: dict[str, Any]) -> sa.RowMapping | None:
        own_jobs = sa.and_(self._startable, *_not_held(self._hosts))
        return take_any_node_job(self._tx, self._node, self._any_node_candidates(), own_jobs, self._order, claimed)

    def trial_of(self, row: sa.RowMapping) -> str | None:
        """Return the origin of the host that a taken job tries for all others, or None."""
        origin = row["source_origin"]
        return origin if origin in self._hosts.waits else None

    def _candidates(self, only: int | None) -> "Iterator[sa.Select[Any]]":
        """Yield the queries for the job to take, each to be run if the one before found none.

        A host that is waited for is tried first, by the job of it that failed least: one file that its host always
        answers with an error must not keep the host's other jobs from it.
        """
        best = sa.select(jobs.c.id).order_by(*sort_columns(self._order)).limit(1)
        if only is not None:
            yield best.where(self._startable, jobs.c.id == only)
            return
        if self._due_for_trial:
            least_failed = sa.select(jobs.c.id).order_by(jobs.c.faults, jobs.c.priority.desc(), jobs.c.id).limit(1)
            yield least_failed.where(self._startable, jobs.c.source_origin.in_(self._due_for_trial))
        yield best.where(self._startable, *_not_held(self._hosts))

    def _records(self, row: sa.RowMapping, worker: str, token: str) -> "Iterator[sa.Insert | sa.Update]":
        """Yield the statements that record the attempt."""
        origin_in_trial = self.trial_of(row)
        if origin_in_trial is not None:
            record_trial(self._tx, self._node, origin_in_trial, token)
        attempt = {"job_id": row["id"], "attempt": row["attempt"], "worker": worker, "token": token}
        yield attempts.insert().values(**attempt, started_at=self._now_us)
        if origin_in_trial is None:  # the tries of a long outage would hide every other event
            # After a graceful stop the next claim continues the same attempt.
            same = (attempts.c.job_id == row["id"], attempts.c.attempt == row["attempt"])
            given_back = sa.exists().where(*same, attempts.c.outcome == "handed_back")
            claim = f"Attempt {row['attempt']}"
            text = sa.case((given_back, f"{claim} continued."), else_=f"{claim} began.")
            yield event_insert(row["id"], self._now_us, EventKind.CLAIMED, text)


def has_come(now_us: int) -> sa.ColumnElement[bool]:
    """Return the condition on a row of `jobs` that its time has come."""
    return sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now_us)


def _not_held(hosts: HeldHosts) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition on a row of `jobs` that none of these hosts holds it."""
    if not hosts.waits:
        return ()
    origin = jobs.c.source_origin
    return (sa.or_(origin.is_(None), origin.not_in(list(hosts.waits))),)


def claimed_job(row: sa.RowMapping, lease: Lease, trial_of_origin: str | None) -> Claimed:
    """Return a claimed row as the run needs it. Raises JobUnreadable."""
    check_row(row)
    return Claimed(
        lease,
        artifact_of(row["id"], row["artifact"]),
        row["forced"],
        row["bytes_fetched"],
        row["faults"],
        row["fruitless_us"] / 1e6,
        intent_of(row),
        task_of(row),
        row["source_origin"],
        trial_of_origin,
        row["limit_bps"],
        row["start_now"],
        sources_of(row),
        row["any_node"],
        row["store"],
    )
