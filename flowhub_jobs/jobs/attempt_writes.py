"""Writes the progress and the end of an attempt.

Every write of a run names its lease's token. If it changes no row, the lease is lost: LeaseLost is raised, and the run
stops and renames nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from flowhub_jobs.database.batches import execute_together
from flowhub_jobs.database.engine import querying, writing, writing_own_rows
from flowhub_jobs.database.tables import is_live, job_files, jobs
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.any_node import ROW_COLUMNS, offer_to_any_node
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.progress import (
    WRITE_BOTH_IN_ONE_STATEMENT,
    WRITE_FILE,
    WRITE_JOB,
    WRITE_JOB_IN_ONE_STATEMENT,
    file_values,
    job_values,
    values_in_one_statement,
)
from flowhub_jobs.jobs.row_decoding import artifact_of, intent_of, requested_of
from flowhub_jobs.jobs.run_values import Lease, LeaseLost, Progress
from flowhub_jobs.jobs.shared_update_sql import (
    DIGEST_PENDING,
    NO_LEASE,
    NOT_RUNNING,
    attempt_end_update,
    event_insert,
    write_event,
)
from flowhub_jobs.jobs.states import requested_state
from flowhub_jobs.system import Clock
from flowhub_jobs.values.artifacts import FileDigest
from flowhub_jobs.values.enums import DigestState, EventKind, Reason, RequestedAction, State
from flowhub_jobs.values.jobs import NewEvent

_ATTEMPT_NOT_COUNTED: dict[str, Any] = {"attempt": jobs.c.attempt - 1}


class AttemptWrites:
    """Writes the attempts of one node's jobs, each under its lease."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    def progress(self, lease: Lease, progress: Progress) -> None:
        """Write the progress, and that of the files in `progress.files`."""
        if (
            self._engine.dialect.name == "postgresql"
            and len(progress.files) <= 1
            and self._wrote_in_one_statement(lease, progress)
        ):
            return
        with writing_own_rows(self._engine) as tx:
            lease.check()
            self._fence(lease, tx.execute(WRITE_JOB, job_values(lease, progress)).rowcount)
            if progress.files:
                tx.execute(WRITE_FILE, [file_values(lease.job, file) for file in progress.files])

    def _wrote_in_one_statement(self, lease: Lease, progress: Progress) -> bool:
        """Write the progress by one message; return False if it changed no row: a transaction then finds out why."""
        statement = WRITE_BOTH_IN_ONE_STATEMENT if progress.files else WRITE_JOB_IN_ONE_STATEMENT
        lease.check()
        with querying(self._engine) as tx:
            return bool(tx.execute(statement, values_in_one_statement(lease, progress)).scalar())

    def record_intent(self, lease: Lease, intent: dict[str, Any]) -> RequestedAction | None:
        """Write ahead what the run is about to install. After a crash it tells whether the rename happened.

        If the user has requested an action since the claim, it is returned and nothing is written.
        """
        new_intent = sa.case((jobs.c.requested.is_(None), sa.literal(intent, jobs.c.intent.type)), else_=jobs.c.intent)
        with writing(self._engine) as tx:
            return requested_of(self._write(tx, lease, intent=new_intent))

    def name_owner_by_intent(self, name: str, *, except_job: int, store: str) -> str | None:
        """Return the owner of a name that another live job's install intent names: that job may already have installed
        its file.
        """
        in_store = sa.and_(jobs.c.node == self._node, jobs.c.store == store)
        with_intent = sa.and_(in_store, is_live, jobs.c.intent.is_not(None), jobs.c.id != except_job)
        with querying(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.id, jobs.c.intent, jobs.c.artifact).where(with_intent)).mappings().all()
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
        self._end(tx, lease, changes, EventKind.COMPLETED, NewEvent(EventKind.COMPLETED, text))

    def _without_secrets(self, tx: sa.Connection, job: int) -> dict[str, Any]:
        """Return the change that removes signatures from the addresses of a completed job's artifact."""
        stored = artifact_of(job, tx.execute(sa.select(jobs.c.artifact).where(jobs.c.id == job)).scalar_one())
        public = stored.without_secrets()
        return {"artifact": public.as_dict()} if public != stored else {}

    def fail(self, lease: Lease, error: FlowhubError, *, mismatch: bool = False) -> RequestedAction | None:
        """Fail the job, or cancel it if the user has requested that. Return the action that was carried out.

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
            self._end(tx, lease, changes, EventKind.FAILED, failure_event(error))
        return None

    def requeue_after(
        self,
        lease: Lease,
        until_us: int,
        reason: Reason,
        error: FlowhubError,
        *,
        faults: int,
        no_progress_s: float = 0.0,
        counts_as_attempt: bool,
    ) -> RequestedAction | None:
        """Queue the job again because of an error, to start at `until_us`. Return the action carried out instead.

        Without `counts_as_attempt` the next run continues the same attempt. `faults` tries in a row brought no byte,
        and took `no_progress_s`.
        """
        text = error.message
        wait_us = max(0, until_us - self._clock.now_us())
        changes: dict[str, Any] = {"not_before": until_us, "wait_us": wait_us, "wait_reason": reason, "wait_text": text}
        changes |= {"faults": faults, "fruitless_us": round(no_progress_s * 1e6)}
        event = NewEvent(EventKind.WAITS, text, error.code)
        return self._release(
            lease, changes | ({} if counts_as_attempt else _ATTEMPT_NOT_COUNTED), EventKind.WAITS, event
        )

    def offer_to_any_node(self, lease: Lease, error: FlowhubError) -> bool:
        """Queue a job for any node again for the other nodes, since it has no room here; return whether it was queued.
        It was not if the user requests an action, or another live job for any node brings the same artifact.
        """
        with writing(self._engine) as tx:
            if self._requested(tx, lease) is not None:
                return False
            row = tx.execute(sa.select(*ROW_COLUMNS).where(jobs.c.id == lease.job)).mappings().one()
            now_us, text = self._clock.now_us(), f"{error.message} Another node may take it."
            return offer_to_any_node(
                tx, dict(row), now_us, NewEvent(EventKind.WAITS, text, error.code), EventKind.WAITS
            )

    def requeue_held_by_host(
        self, lease: Lease, wait: HostWait, seconds: float, *, faults: int, no_progress_s: float
    ) -> RequestedAction | None:
        """Queue the job again, held with all others of its host. Return the action carried out instead.

        `seconds` is a backoff of its own, 0 for none. The attempt does not count, and an outage leaves one event.
        """
        wait_us = round(seconds * 1e6)
        changes: dict[str, Any] = {"faults": faults, "fruitless_us": round(no_progress_s * 1e6)}
        if wait_us:
            changes |= {"not_before": self._clock.now_us() + wait_us, "wait_us": wait_us}
            changes |= {"wait_reason": Reason.BACKOFF, "wait_text": wait.text}
        # The fault itself is in the history already, as the run met it.
        text = f"All jobs from {wait.host or wait.origin} wait until it answers."
        event = NewEvent(EventKind.WAITS, text, wait.code) if wait.tries == 1 else None
        return self._release(lease, changes | _ATTEMPT_NOT_COUNTED, EventKind.WAITS, event)

    def hand_back(
        self, lease: Lease, why: str = "The worker stopped", code: str | None = None
    ) -> RequestedAction | None:
        """Queue the job as it was before the claim: a graceful stop costs no attempt. Return the action done instead.

        `why` begins the sentence that the history keeps, as "The schedule's window closed"; `code` is the error's, if
        one is the cause.
        """
        event = NewEvent(EventKind.HANDED_BACK, f"{why}; the job was handed back.", code)
        return self._release(lease, _ATTEMPT_NOT_COUNTED, EventKind.HANDED_BACK, event)

    def release_as_requested(self, lease: Lease) -> RequestedAction | None:
        """Carry out the requested action and return it. It may be another than the one that stopped the run."""
        event = NewEvent(EventKind.HANDED_BACK, "The request was withdrawn; the job was handed back.")
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
        self, lease: Lease, changes: Mapping[str, Any], outcome: EventKind, event: NewEvent | None
    ) -> RequestedAction | None:
        """Queue the job again, or pause or cancel it if the user has requested that; return the action.

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
        event = NewEvent(EventKind(state), f"{state.capitalize()} by request.")
        self._end(tx, lease, NOT_RUNNING | {"state": state} | changes, event.kind, event)

    def _end(
        self, tx: sa.Connection, lease: Lease, changes: dict[str, Any], outcome: EventKind, event: NewEvent | None
    ) -> None:
        """Write how the attempt ended, and the event that the history keeps of it, if any."""
        now_us = self._clock.now_us()
        final = changes["state"] in (State.COMPLETED, State.FAILED, State.CANCELLED)
        if changes["state"] is State.COMPLETED:
            changes |= {"intent": None}  # until the library's row exists, the intent alone knows of an installed file
        self._write(tx, lease, **(DIGEST_PENDING | changes | NO_LEASE | {"finished_at": now_us if final else None}))
        written: list[sa.Insert | sa.Update] = [attempt_end_update(lease.job, lease.token, now_us, outcome)]
        if event is not None:
            written.append(event_insert(lease.job, now_us, event.kind, event.text, event.code))
        execute_together(tx, written)

    def _write(self, tx: sa.Connection, lease: Lease, **values: Any) -> str | None:
        """Write the job's row, and return what it has as the requested action. Raises LeaseLost."""
        lease.check()
        is_held = sa.and_(jobs.c.id == lease.job, jobs.c.lease_token == lease.token, jobs.c.state == State.RUNNING)
        requested = (
            tx.execute(sa.update(jobs).where(is_held).values(**values).returning(jobs.c.requested)).scalars().all()
        )
        self._fence(lease, len(requested))
        return cast("str | None", requested[0])

    def _fence(self, lease: Lease, written: int) -> None:
        """Raise LeaseLost if no row was written: another run owns the job now, or none."""
        if written != 1:
            lease.revoke()
            raise LeaseLost(lease.job)

    def record_event(self, lease: Lease, event: NewEvent) -> None:
        """Write an event of the run into the job's history, for `status JOB`, `logs` and `report`."""
        with writing(self._engine) as tx:
            self._write(tx, lease, lease_token=lease.token)  # changes nothing: only the fence
            write_event(tx, lease.job, self._clock.now_us(), event.kind, event.text, event.code)


def failure_event(error: FlowhubError) -> NewEvent:
    """Return the event of an attempt that failed."""
    return NewEvent(EventKind.FAILED, error.message, error.code)
