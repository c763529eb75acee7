"""Claims jobs, renews their leases, and writes their progress and the ends of their attempts.

Every write of a run names its lease's token. If it changes no row, the lease is lost: LeaseLost is raised, and the run
stops and renames nothing.
"""

import logging
import platform
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from flowhub_jobs import __version__
from flowhub_jobs.database.batches import execute_together
from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, reading, writing, writing_own_rows
from flowhub_jobs.database.tables import is_live, is_running, job_files, jobs, workers
from flowhub_jobs.errors import FlowhubError, JobUnreadable
from flowhub_jobs.jobs.any_node import ROW_COLUMNS, give_to_any
from flowhub_jobs.jobs.claims import ClaimableJobs, claimed_job
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.node_registry import NodeRegistry
from flowhub_jobs.jobs.progress import (
    WRITE_BOTH_AT_ONCE,
    WRITE_FILE,
    WRITE_JOB,
    WRITE_JOB_AT_ONCE,
    file_values,
    job_values,
    values_at_once,
)
from flowhub_jobs.jobs.row_decoding import artifact_of, intent_of, requested_of
from flowhub_jobs.jobs.run_values import LEASE_S, Claimed, Lease, LeaseLost, Progress
from flowhub_jobs.jobs.shared_select_sql import DUE_JOBS
from flowhub_jobs.jobs.shared_update_sql import DIGEST_PENDING, NO_LEASE, NOT_RUNNING, ended_attempt, new_event, note
from flowhub_jobs.jobs.states import Gates, requested_state
from flowhub_jobs.system import Clock
from flowhub_jobs.values.artifacts import FileDigest
from flowhub_jobs.values.enums import DigestState, EventKind, QueueOrder, Reason, RequestedAction, State
from flowhub_jobs.values.jobs import Note

log = logging.getLogger("flowhub.job")

OPEN = Gates()
_ANY_DUE = sa.text(f"SELECT EXISTS ({DUE_JOBS})")
_GIVEN_BACK: dict[str, Any] = {"attempt": jobs.c.attempt - 1}


class LeaseStore:
    """Writes the jobs that one worker process owns."""

    def __init__(
        self,
        engine: sa.Engine,
        node: str,
        worker: str,
        clock: Clock,
        order: QueueOrder = QueueOrder.OLDEST_FIRST,
        registry: NodeRegistry | None = None,
        any_room: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`order` is that in which it claims the jobs of one priority.

        `registry` is of a worker that registers its machine as a node; without one, only jobs are written.
        `any_room` returns how many bytes a job for any node may need here; None: this worker takes none.
        """
        self._engine, self._node, self._worker, self._clock, self._order = engine, node, worker, clock, order
        self._registry, self._any_room, self._registered = registry, any_room, False

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
            return bool(tx.execute(_ANY_DUE, {"node": self._node, "now": self._clock.now_us()}).scalar())

    def _claim(self, gates: Gates, only: int | None) -> Claimed | JobUnreadable | None:
        token = secrets.token_hex(8)
        # Read before the UPDATE, which may wait for the write lock. So the deadline that the run keeps is never later
        # than the lease in the row, and the run stops writing before a rescuer may take the job.
        until = self._clock.awake() + LEASE_S
        any_room = self._any_room()
        with writing(self._engine) as tx:
            now = self._clock.now_us()  # under the write lock, so that times follow the order of the transactions
            queue = ClaimableJobs(tx, self._node, now, gates, self._order, any_room)
            # Other machines know a lease's end by the time at which its worker was seen, and by no other.
            with_it = (self._seen(tx),) if self._registry else ()
            row = queue.take(self._worker, token, until, only, with_it)
            if row is None:
                return None
            lease = Lease(row["id"], row["attempt"], token, until, self._clock.awake)
            try:
                return claimed_job(row, lease, queue.probed_by(row))
            except JobUnreadable as error:  # inside the transaction that claims it, so that no other run claims it
                changes = NOT_RUNNING | {"state": State.FAILED, "error": error.as_row()}
                self._end(tx, lease, changes, EventKind.FAILED, _failed(error))
                log.warning("%s", error.message, extra={"job": lease.job})
                return error

    def due(self, gates: Gates = OPEN, *, at_most: int | None = None) -> int:
        """Return how many queued rows of this node may start now; it counts no further than `at_most`."""
        now = self._clock.now_us()
        if gates.holds(now, start_now=True) or at_most == 0:
            return 0
        any_room = self._any_room()
        with reading(self._engine) as tx:
            return ClaimableJobs(tx, self._node, now, gates, self._order, any_room).count(at_most)

    def due_for_any(self, gates: Gates = OPEN) -> bool:
        """Return whether a queued job for any node may start here now."""
        now, any_room = self._clock.now_us(), self._any_room()
        if any_room is None or gates.holds(now, start_now=True):
            return False
        with reading(self._engine) as tx:
            return ClaimableJobs(tx, self._node, now, gates, self._order, any_room).has_any()

    def renew(self, leases: Mapping[int, Lease]) -> None:
        """Renew all leases of this worker in one UPDATE; revoke a lease whose row has another owner.

        Raises NodeTaken, and renews none, if another machine works under this node's name by now.
        """
        until = self._clock.awake() + LEASE_S
        mine = sa.and_(jobs.c.node == self._node, is_live, is_running, jobs.c.lease_worker == self._worker)
        with writing(self._engine) as tx:
            rows = tx.execute(
                sa.update(jobs)
                .where(mine, jobs.c.lease_token.in_([lease.token for lease in leases.values()]))
                .values(lease_until=until)
                .returning(jobs.c.id)
            ).scalars()
            renewed = set(rows)
            tx.execute(self._seen(tx))
            if self._registry and self._registered:  # not a command that runs a job itself
                self._registry.seen(tx)
        for job, lease in leases.items():
            lease.extend(until) if job in renewed else lease.revoke()

    def _seen(self, tx: sa.Connection) -> sa.Update:
        """Return the statement that writes that this worker works now."""
        now = shared_now_us(tx, self._clock.now_us())
        return sa.update(workers).where(workers.c.worker == self._worker).values(seen_at=now)

    def requested_actions(self) -> dict[str, RequestedAction | None]:
        """Return the requested action of each job that this worker runs, by token; a lost lease's is left out."""
        mine = sa.and_(jobs.c.node == self._node, is_live, is_running, jobs.c.lease_worker == self._worker)
        with querying(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.lease_token, jobs.c.requested).where(mine))
            return {row.lease_token: requested_of(row.requested) for row in rows}

    # Progress and the ends of an attempt ---------------------------------------------------------------------------

    def progress(self, lease: Lease, seen: Progress) -> None:
        """Write the progress, and that of the files in `seen.files`."""
        if self._engine.dialect.name == "postgresql" and len(seen.files) <= 1 and self._wrote_at_once(lease, seen):
            return
        with writing_own_rows(self._engine) as tx:
            lease.check()
            self._fence(lease, tx.execute(WRITE_JOB, job_values(lease, seen)).rowcount)
            if seen.files:
                tx.execute(WRITE_FILE, [file_values(lease.job, file) for file in seen.files])

    def _wrote_at_once(self, lease: Lease, seen: Progress) -> bool:
        """Write the progress by one message; return False if it changed no row, which a transaction explains."""
        statement = WRITE_BOTH_AT_ONCE if seen.files else WRITE_JOB_AT_ONCE
        lease.check()
        with querying(self._engine) as tx:
            return bool(tx.execute(statement, values_at_once(lease, seen)).scalar())

    def record_intent(self, lease: Lease, intent: dict[str, Any]) -> RequestedAction | None:
        """Write ahead what the run is about to install. After a crash it tells whether the rename happened.

        If the user has requested an action by now, nothing is written, and the action is returned.
        """
        kept = sa.case((jobs.c.requested.is_(None), sa.literal(intent, jobs.c.intent.type)), else_=jobs.c.intent)
        with writing(self._engine) as tx:
            return requested_of(self._write(tx, lease, intent=kept))

    def claimed_by(self, name: str, *, but: int, store: str) -> str | None:
        """Return the claim of another live job of the store whose intent has this name: it may have installed it."""
        mine = sa.and_(jobs.c.node == self._node, jobs.c.store == store)
        running = sa.and_(mine, is_live, jobs.c.intent.is_not(None), jobs.c.id != but)
        with querying(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.id, jobs.c.intent, jobs.c.artifact).where(running)).mappings().all()
        claiming = [row for row in rows if (intent_of(row) or {}).get("name") == name]
        return artifact_of(claiming[0]["id"], claiming[0]["artifact"]).claim if claiming else None

    def complete(self, tx: sa.Connection, lease: Lease, target: str, files: Sequence[FileDigest], text: str) -> None:
        """Complete the job, inside the transaction that also writes the library's row."""
        total = sum(file.bytes for file in files)
        pinned = all(file.pinned for file in files)
        changes = NOT_RUNNING | {"state": State.COMPLETED, "target": target, "faults": 0, "error": None}
        changes |= {"bytes_total": total, "bytes_done": total}
        changes["sha256_state"] = DigestState.VERIFIED if pinned else DigestState.UNPINNED
        for number, file in enumerate(files):
            where = sa.and_(job_files.c.job_id == lease.job, job_files.c.number == number)
            state = DigestState.VERIFIED if file.pinned else DigestState.UNPINNED
            values = {"bytes": file.bytes, "bytes_done": file.bytes, "sha256_state": state}
            tx.execute(sa.update(job_files).where(where).values(**values))
        changes |= self._without_secrets(tx, lease.job)
        self._end(tx, lease, changes, EventKind.COMPLETED, Note(EventKind.COMPLETED, text))

    def _without_secrets(self, tx: sa.Connection, job: int) -> dict[str, Any]:
        """Return the change that removes signatures from the addresses of a completed job's artifact."""
        stored = artifact_of(job, tx.execute(sa.select(jobs.c.artifact).where(jobs.c.id == job)).scalar_one())
        kept = stored.without_secrets()
        return {"artifact": kept.as_dict()} if kept != stored else {}

    def fail(self, lease: Lease, error: FlowhubError, *, mismatch: bool = False) -> RequestedAction | None:
        """Fail the job, or cancel it if the user has requested that by now. Return the action that was carried out.

        A requested pause does not hide the error: the next run would only meet it again.
        """
        changes = NOT_RUNNING | {"state": State.FAILED, "error": error.as_row()}
        if mismatch:
            changes["sha256_state"] = DigestState.MISMATCH
        with writing(self._engine) as tx:
            requested = self._requested(tx, lease)
            if requested is not None and requested is not RequestedAction.PAUSE:
                self._end_as_requested(tx, lease, requested)
                return requested
            self._end(tx, lease, changes, EventKind.FAILED, _failed(error))
        return None

    def wait(
        self,
        lease: Lease,
        until: int,
        reason: Reason,
        error: FlowhubError,
        *,
        faults: int,
        fruitless_s: float = 0.0,
        cost: bool,
    ) -> RequestedAction | None:
        """Queue the job again because of an error, to start at that microsecond. Return the action carried out instead.

        `cost`: whether the attempt counts. `faults` tries in a row brought no byte, and took `fruitless_s`.
        """
        text = error.message
        wait_us = max(0, until - self._clock.now_us())
        changes: dict[str, Any] = {"not_before": until, "wait_us": wait_us, "wait_reason": reason, "wait_text": text}
        changes |= {"faults": faults, "fruitless_us": round(fruitless_s * 1e6)}
        event = Note(EventKind.WAITS, text, error.code)
        return self._release(lease, changes | ({} if cost else _GIVEN_BACK), EventKind.WAITS, event)

    def give_to_any(self, lease: Lease, error: FlowhubError) -> bool:
        """Queue a job for any node for the others, since it has no room here; return whether that was done.

        It is not if the user requests an action, or another live job for any node brings the same artifact.
        """
        with writing(self._engine) as tx:
            if self._requested(tx, lease) is not None:
                return False
            row = tx.execute(sa.select(*ROW_COLUMNS).where(jobs.c.id == lease.job)).mappings().one()
            now, text = self._clock.now_us(), f"{error.message} Another node may take it."
            return give_to_any(tx, dict(row), now, Note(EventKind.WAITS, text, error.code), EventKind.WAITS)

    def wait_for_host(
        self, lease: Lease, wait: HostWait, seconds: float, *, faults: int, fruitless_s: float
    ) -> RequestedAction | None:
        """Queue the job again, held with all others of its host. Return the action carried out instead.

        `seconds` is a backoff of its own, 0 for none. The attempt does not count, and an outage leaves one event.
        """
        wait_us = round(seconds * 1e6)
        changes: dict[str, Any] = {"faults": faults, "fruitless_us": round(fruitless_s * 1e6)}
        if wait_us:
            changes |= {"not_before": self._clock.now_us() + wait_us, "wait_us": wait_us}
            changes |= {"wait_reason": Reason.BACKOFF, "wait_text": wait.text}
        # The fault itself is in the history already, as the run met it.
        text = f"All jobs from {wait.host or wait.origin} wait until it answers."
        event = Note(EventKind.WAITS, text, wait.code) if wait.tries == 1 else None
        return self._release(lease, changes | _GIVEN_BACK, EventKind.WAITS, event)

    def hand_back(
        self, lease: Lease, why: str = "The worker stopped", code: str | None = None
    ) -> RequestedAction | None:
        """Queue the job as it was before the claim: a graceful stop costs no attempt. Return the action done instead.

        `why` begins the sentence that the history keeps, as "The schedule's window closed"; `code` is the error's, if
        one is the cause.
        """
        event = Note(EventKind.HANDED_BACK, f"{why}; the job was handed back.", code)
        return self._release(lease, _GIVEN_BACK, EventKind.HANDED_BACK, event)

    def release_as_requested(self, lease: Lease) -> RequestedAction | None:
        """Carry out the requested action and return it. It may be another than the one that stopped the run."""
        event = Note(EventKind.HANDED_BACK, "The request was withdrawn; the job was handed back.")
        return self._release(lease, {}, EventKind.HANDED_BACK, event)

    def check_owner(self, tx: sa.Connection, lease: Lease) -> None:
        """Raise LeaseLost, and so undo the transaction, unless the lease is still the job's."""
        self._write(tx, lease, lease_token=lease.token)  # changes nothing: only the fence

    def requested_action(self, lease: Lease) -> RequestedAction | None:
        """Return what the user requests of a job whose lease is held."""
        with writing(self._engine) as tx:
            return self._requested(tx, lease)

    def _requested(self, tx: sa.Connection, lease: Lease) -> RequestedAction | None:
        return requested_of(self._write(tx, lease, lease_token=lease.token))  # changes nothing: only the fence

    def _release(
        self, lease: Lease, changes: Mapping[str, Any], outcome: EventKind, event: Note | None
    ) -> RequestedAction | None:
        """Queue the job again, or pause or cancel it if the user has requested that by now; return the action.

        The request is read in the transaction that ends the attempt: one that is written a moment later finds a job
        without an owner, and `JobCommands` changes its state at once. So no request falls between the two.
        """
        with writing(self._engine) as tx:
            requested = self._requested(tx, lease)
            if requested is not None:
                given_back = {"attempt": changes["attempt"]} if "attempt" in changes else {}
                self._end_as_requested(tx, lease, requested, **given_back)
            else:
                self._end(tx, lease, NOT_RUNNING | {"state": State.QUEUED} | dict(changes), outcome, event)
        return requested

    def _end_as_requested(self, tx: sa.Connection, lease: Lease, requested: RequestedAction, **changes: Any) -> None:
        state = requested_state(requested)
        changes |= {"bytes_done": 0} if requested is RequestedAction.PURGE else {}
        event = Note(EventKind(state), f"{state.capitalize()} by request.")
        self._end(tx, lease, NOT_RUNNING | {"state": state} | changes, event.kind, event)

    def _end(
        self, tx: sa.Connection, lease: Lease, changes: dict[str, Any], outcome: EventKind, event: Note | None
    ) -> None:
        """Write how the attempt ended, and the event that the history keeps of it, if any."""
        now = self._clock.now_us()
        final = changes["state"] in (State.COMPLETED, State.FAILED, State.CANCELLED)
        if changes["state"] is State.COMPLETED:
            changes |= {"intent": None}  # until the library's row exists, the intent alone knows of an installed file
        self._write(tx, lease, **(DIGEST_PENDING | changes | NO_LEASE | {"finished_at": now if final else None}))
        written: list[sa.Insert | sa.Update] = [ended_attempt(lease.job, lease.token, now, outcome)]
        if event is not None:
            written.append(new_event(lease.job, now, event.kind, event.text, event.code))
        execute_together(tx, written)

    def _write(self, tx: sa.Connection, lease: Lease, **values: Any) -> str | None:
        """Write the job's row, and return what it has as the requested action. Raises LeaseLost."""
        lease.check()
        mine = sa.and_(jobs.c.id == lease.job, jobs.c.lease_token == lease.token, jobs.c.state == State.RUNNING)
        requested = tx.execute(sa.update(jobs).where(mine).values(**values).returning(jobs.c.requested)).scalars().all()
        self._fence(lease, len(requested))
        return cast("str | None", requested[0])

    def _fence(self, lease: Lease, written: int) -> None:
        """Raise LeaseLost if no row was written: the row has another token by now."""
        if written != 1:
            lease.revoke()
            raise LeaseLost(lease.job)

    def record_event(self, lease: Lease, event: Note) -> None:
        """Write an event of the run into the job's history, for `status JOB`, `logs` and `report`."""
        with writing(self._engine) as tx:
            self._write(tx, lease, lease_token=lease.token)  # changes nothing: only the fence
            note(tx, lease.job, self._clock.now_us(), event.kind, event.text, event.code)

    # This worker among the others ----------------------------------------------------------------------------------

    def register(self, pid: int, slots: int, store: str = "") -> str | None:
        """Register this worker, and its machine as the node; return the host that the node was on, if on another.

        Raises NodeTaken while a worker of another machine or home works under the node's name.
        """
        with writing(self._engine) as tx:
            before = self._registry.register(tx, platform.node(), store, __version__) if self._registry else None
            now = shared_now_us(tx, self._clock.now_us())
            tx.execute(
                workers.insert().values(
                    worker=self._worker, node=self._node, pid=pid, slots=slots, started_at=now, seen_at=now
                )
            )
        self._registered = True
        return before

    def unregister(self) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.delete(workers).where(workers.c.worker == self._worker))
            if self._registry:
                self._registry.release(tx)


def _failed(error: FlowhubError) -> Note:
    return Note(EventKind.FAILED, error.message, error.code)
