"""Claims jobs for a worker, renews their leases, and registers the worker."""

import logging
import platform
import secrets
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from flowhub_jobs import __version__
from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, reading, writing
from flowhub_jobs.database.tables import is_live, is_running, jobs, workers
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.jobs.attempt_writes import AttemptWrites, failure_event
from flowhub_jobs.jobs.claims import ClaimableJobs, claimed_job
from flowhub_jobs.jobs.node_registry import NodeRegistry
from flowhub_jobs.jobs.row_decoding import requested_of
from flowhub_jobs.jobs.run_values import LEASE_S, Claimed, Lease
from flowhub_jobs.jobs.shared_select_sql import DUE_JOBS
from flowhub_jobs.jobs.shared_update_sql import NOT_RUNNING
from flowhub_jobs.jobs.states import Gates
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import EventKind, QueueOrder, RequestedAction, State

log = logging.getLogger("flowhub.job")

OPEN = Gates()
_HAS_DUE_JOBS = sa.text(f"SELECT EXISTS ({DUE_JOBS})")


class LeaseStore(AttemptWrites):
    """Claims and writes the jobs that one worker process owns."""

    def __init__(
        self,
        engine: sa.Engine,
        node: str,
        worker: str,
        clock: Clock,
        order: QueueOrder = QueueOrder.OLDEST_FIRST,
        registry: NodeRegistry | None = None,
        any_node_room: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`order` is that in which it claims the jobs of one priority.

        `registry` is of a worker that registers its machine as a node; without one, only jobs are written.
        `any_node_room` returns how many bytes a job for any node may need here; None: this worker takes none.
        """
        super().__init__(engine, node, clock)
        self._worker, self._order = worker, order
        self._registry, self._any_node_room, self._registered = registry, any_node_room, False

    # Claim and renew -----------------------------------------------------------------------------------------------

    def claim(self, gates: Gates = OPEN, *, only: int | None = None) -> Claimed | None:
        """Take the best queued row that may start now, by one conditional UPDATE; None if there is none.

        `gates` is what `Controls.gates` says: while one of them is shut, nothing may start. `only` names the one job
        that is wanted. A row that cannot be decoded fails, and the next one is taken.
        """
        while not gates.holds(self._clock.now_us(), start_now=True) and self._may_find():
            claimed = self._claim(gates, only)
            if not isinstance(claimed, JobUnreadable):
                return claimed
        return None

    def _may_find(self) -> bool:
        """Return whether a claim is worth its transaction, which takes six messages and the node's lock."""
        if self._engine.dialect.name != "postgresql":
            return True
        with querying(self._engine) as tx:
            return bool(tx.execute(_HAS_DUE_JOBS, {"node": self._node, "now": self._clock.now_us()}).scalar())

    def _claim(self, gates: Gates, only: int | None) -> Claimed | JobUnreadable | None:
        token = secrets.token_hex(8)
        # Read before the UPDATE, which may wait for the write lock. So the deadline that the run keeps is never later
        # than the lease in the row, and the run stops writing before a rescuer may take the job.
        lease_until_awake_s = self._clock.awake() + LEASE_S
        any_node_room = self._any_node_room()
        with writing(self._engine) as tx:
            now_us = self._clock.now_us()  # under the write lock, so that times follow the order of the transactions
            queue = ClaimableJobs(tx, self._node, now_us, gates, self._order, any_node_room)
            # Other machines know a lease's end by the time at which its worker was seen, and by no other.
            with_it = (self._update_seen_at(tx),) if self._registry else ()
            row = queue.take(self._worker, token, lease_until_awake_s, only, with_it)
            if row is None:
                return None
            lease = Lease(row["id"], row["attempt"], token, lease_until_awake_s, self._clock.awake)
            try:
                return claimed_job(row, lease, queue.trial_of(row))
            except JobUnreadable as error:  # inside the transaction that claims it, so that no other run claims it
                changes = NOT_RUNNING | {"state": State.FAILED, "error": error.as_row()}
                self._end(tx, lease, changes, EventKind.FAILED, failure_event(error))
                log.warning("%s", error.message, extra={"job": lease.job})
                return error

    def due(self, gates: Gates = OPEN, *, at_most: int | None = None) -> int:
        """Return how many queued rows of this node may start now; it counts no further than `at_most`."""
        now_us = self._clock.now_us()
        if gates.holds(now_us, start_now=True) or at_most == 0:
            return 0
        any_node_room = self._any_node_room()
        with reading(self._engine) as tx:
            return ClaimableJobs(tx, self._node, now_us, gates, self._order, any_node_room).count(at_most)

    def any_node_job_is_due(self, gates: Gates = OPEN) -> bool:
        """Return whether a queued job for any node may start here now."""
        now_us, any_node_room = self._clock.now_us(), self._any_node_room()
        if any_node_room is None or gates.holds(now_us, start_now=True):
            return False
        with reading(self._engine) as tx:
            return ClaimableJobs(tx, self._node, now_us, gates, self._order, any_node_room).has_any_node_job()

    def renew(self, leases: Mapping[int, Lease]) -> None:
        """Renew all leases of this worker in one UPDATE; revoke a lease whose row has another owner.

        Raises NodeTaken, and renews none, if another machine works under this node's name by now.
        """
        lease_until_awake_s = self._clock.awake() + LEASE_S
        is_own = sa.and_(jobs.c.node == self._node, is_live, is_running, jobs.c.lease_worker == self._worker)
        with writing(self._engine) as tx:
            rows = tx.execute(
                sa.update(jobs)
                .where(is_own, jobs.c.lease_token.in_([lease.token for lease in leases.values()]))
                .values(lease_until=lease_until_awake_s)
                .returning(jobs.c.id)
            ).scalars()
            renewed = set(rows)
            tx.execute(self._update_seen_at(tx))
            if self._registry and self._registered:  # not a command that runs a job itself
                self._registry.seen(tx)
        for job, lease in leases.items():
            lease.extend(lease_until_awake_s) if job in renewed else lease.revoke()

    def _update_seen_at(self, tx: sa.Connection) -> sa.Update:
        """Return the statement that records that this worker is alive now."""
        now_us = shared_now_us(tx, self._clock.now_us())
        return sa.update(workers).where(workers.c.worker == self._worker).values(seen_at=now_us)

    def requested_actions(self) -> dict[str, RequestedAction | None]:
        """Return the requested action of each job that this worker runs, by token; a lost lease's is left out."""
        is_own = sa.and_(jobs.c.node == self._node, is_live, is_running, jobs.c.lease_worker == self._worker)
        with querying(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.lease_token, jobs.c.requested).where(is_own))
            return {row.lease_token: requested_of(row.requested) for row in rows}

    # This worker among the others ----------------------------------------------------------------------------------

    def register(self, pid: int, slots: int, store: str = "") -> str | None:
        """Register this worker, and its machine as the node; return the host that the node was on, if on another.

        Raises NodeTaken while a worker of another machine or home works under the node's name.
        """
        with writing(self._engine) as tx:
            former_host = self._registry.register(tx, platform.node(), store, __version__) if self._registry else None
            now_us = shared_now_us(tx, self._clock.now_us())
            tx.execute(
                workers.insert().values(
                    worker=self._worker, node=self._node, pid=pid, slots=slots, started_at=now_us, seen_at=now_us
                )
            )
        self._registered = True
        return former_host

    def unregister(self) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.delete(workers).where(workers.c.worker == self._worker))
            if self._registry:
                self._registry.release(tx)
