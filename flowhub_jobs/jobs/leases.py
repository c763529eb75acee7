"""What a worker writes of its own jobs: claim, renew, progress, the ends of an attempt.

Every write of a run names its lease's token. No row changed means that the lease is gone: LeaseLost, and the run
stops and renames nothing.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import attempts, is_live, job_files, jobs, workers
from flowhub_jobs.errors import FlowhubError, InternalError
from flowhub_jobs.jobs.ledger import CALM, note
from flowhub_jobs.jobs.states import STAGE_NUMBER, rescued_state
from flowhub_jobs.records import Artifact, DigestState, FileDigest, Stage, State
from flowhub_jobs.system import Clock, boot_id

LEASE_S = 30.0
REVOKED = float("-inf")


class LeaseLost(InternalError):
    """Another worker owns the job now. Not a fault of the job's: the run stops without a word."""

    code = "lease_lost"

    def __init__(self, job: int) -> None:
        super().__init__(f"The lease of job {job} has ended; this worker writes nothing more.")


class Lease:
    """The right to run one job. `deadline` is on the awake clock; past it the runner writes nothing."""

    def __init__(self, job: int, attempt: int, token: str, deadline: float, awake: Callable[[], float]) -> None:
        self.job, self.attempt, self.token = job, attempt, token
        self._deadline, self._awake, self._lock = deadline, awake, threading.Lock()

    def extend(self, deadline: float) -> None:
        with self._lock:
            if self._deadline != REVOKED:
                self._deadline = max(self._deadline, deadline)

    def revoke(self) -> None:
        """Take the right away for good, as when a renewal found another owner."""
        with self._lock:
            self._deadline = REVOKED

    @property
    def held(self) -> bool:
        return self._awake() < self._deadline

    def check(self) -> None:
        """Raise LeaseLost past the deadline: to be asked before every write that outlives this process."""
        if not self.held:
            raise LeaseLost(self.job)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours to run, with what an attempt has to know of its past."""

    lease: Lease
    artifact: Artifact
    forced: bool
    fetched: int
    faults: int
    intent: dict[str, Any] | None  # what an earlier attempt was about to name


@dataclass(frozen=True, slots=True)
class FileProgress:
    number: int
    bytes: int | None
    done: int
    sha256: str | None
    validator: str | None
    sha256_state: DigestState


@dataclass(frozen=True, slots=True)
class Progress:
    """What the screens see of a running job. Bytes, and bytes a second."""

    stage: Stage
    total: int | None
    done: int
    fetched: int
    rate_bps: int | None
    sha256_state: DigestState
    files: tuple[FileProgress, ...] = ()


class Leases:
    """The owner's pen: one a worker process."""

    def __init__(self, engine: sa.Engine, node: str, worker: str, clock: Clock) -> None:
        self._engine, self._node, self._worker, self._clock = engine, node, worker, clock

    # Claim and renew -----------------------------------------------------------------------------------------------

    def claim(self) -> Claimed | None:
        """Take the best queued row that may start now, by one conditional UPDATE; None if there is none."""
        now, token = self._clock.now_us(), secrets.token_hex(8)
        until = self._clock.awake() + LEASE_S  # taken before the UPDATE: ours ends first, never the row's
        best = sa.select(jobs.c.id).where(*self._may_start(now)).order_by(jobs.c.priority.desc(), jobs.c.id).limit(1)
        take = (
            sa.update(jobs)
            .where(jobs.c.id == best.scalar_subquery(), jobs.c.state == State.QUEUED)
            .values(
                **(CALM | {"state": State.RUNNING, "stage": Stage.RESOLVE, "not_before": None}),
                attempt=jobs.c.attempt + 1,
                started_at=sa.func.coalesce(jobs.c.started_at, now),
                lease_token=token,
                lease_worker=self._worker,
                lease_boot=boot_id(),
                lease_until=until,
            )
            .returning(jobs)
        )
        with writing(self._engine) as tx:
            row = tx.execute(take).mappings().first()
            if row is None:
                return None
            tx.execute(
                attempts.insert().values(
                    job_id=row["id"], attempt=row["attempt"], worker=self._worker, token=token, started_at=now
                )
            )
            note(tx, row["id"], now, "claimed", f"Attempt {row['attempt']} began.")
        lease = Lease(row["id"], row["attempt"], token, until, self._clock.awake)
        return Claimed(
            lease,
            Artifact.from_dict(row["artifact"]),
            row["forced"],
            row["bytes_fetched"],
            row["faults"],
            row["intent"],
        )

    def due(self) -> int:
        """Return how many queued rows of this node may start now."""
        with reading(self._engine) as tx:
            count = sa.select(sa.func.count()).select_from(jobs).where(*self._may_start(self._clock.now_us()))
            return int(tx.execute(count).scalar_one())

    def _may_start(self, now: int) -> tuple[sa.ColumnElement[bool], ...]:
        due = sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now)
        return jobs.c.node == self._node, jobs.c.state == State.QUEUED, due

    def renew(self, leases: Mapping[int, Lease]) -> None:
        """Renew all leases of this worker at once; a lease whose row is no longer ours is revoked."""
        until = self._clock.awake() + LEASE_S
        mine = sa.and_(jobs.c.lease_worker == self._worker, jobs.c.state == State.RUNNING, jobs.c.node == self._node)
        with writing(self._engine) as tx:
            rows = tx.execute(
                sa.update(jobs)
                .where(mine, jobs.c.lease_token.in_([lease.token for lease in leases.values()]))
                .values(lease_until=until)
                .returning(jobs.c.id)
            ).scalars()
            renewed = set(rows)
            self._seen(tx)
        for job, lease in leases.items():
            lease.extend(until) if job in renewed else lease.revoke()

    def _seen(self, tx: sa.Connection) -> None:
        tx.execute(sa.update(workers).where(workers.c.worker == self._worker).values(seen_at=self._clock.now_us()))

    def wishes(self) -> dict[str, str | None]:
        """Return the wish of every job that this worker runs, by token: what is not there is no longer ours."""
        mine = sa.and_(jobs.c.lease_worker == self._worker, jobs.c.state == State.RUNNING, jobs.c.node == self._node)
        with reading(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.lease_token, jobs.c.wish).where(mine))
            return {row.lease_token: row.wish for row in rows}

    # Progress and the ends of an attempt ---------------------------------------------------------------------------

    def progress(self, lease: Lease, seen: Progress) -> None:
        """Write what the screens show. What a rescue forgives by: new bytes, or a stage never reached before."""
        number = STAGE_NUMBER[seen.stage]
        further = sa.or_(jobs.c.bytes_fetched < seen.fetched, jobs.c.furthest < number)
        with writing(self._engine) as tx:
            self._write(
                tx,
                lease,
                stage=seen.stage,
                bytes_total=seen.total,
                bytes_done=seen.done,
                bytes_fetched=seen.fetched,
                rate_bps=seen.rate_bps,
                sha256_state=seen.sha256_state,
                progressed=sa.or_(jobs.c.progressed, further),
                furthest=sa.case((jobs.c.furthest < number, number), else_=jobs.c.furthest),
            )
            for file in seen.files:
                self._write_file(tx, lease.job, file)

    def _write_file(self, tx: sa.Connection, job: int, file: FileProgress) -> None:
        where = sa.and_(job_files.c.job_id == job, job_files.c.number == file.number)
        values = {"bytes": file.bytes, "bytes_done": file.done, "validator": file.validator}
        values |= {"sha256": file.sha256, "sha256_state": file.sha256_state}
        tx.execute(sa.update(job_files).where(where).values(**values))

    def intend(self, lease: Lease, intent: dict[str, Any]) -> None:
        """Write down what is about to be named: after a crash it tells whether that happened."""
        with writing(self._engine) as tx:
            self._write(tx, lease, intent=intent)

    def intended(self, name: str, *, but: int) -> str | None:
        """Return the claim of another live job that was about to give this name, and may have done so; else None."""
        running = sa.and_(jobs.c.node == self._node, is_live, jobs.c.intent.is_not(None), jobs.c.id != but)
        with reading(self._engine) as tx:
            rows = tx.execute(sa.select(jobs.c.intent, jobs.c.artifact).where(running)).all()
        return next(
            (Artifact.from_dict(row.artifact).claim for row in rows if (row.intent or {}).get("name") == name), None
        )

    def complete(self, tx: sa.Connection, lease: Lease, target: str, files: Sequence[FileDigest], text: str) -> None:
        """End the job well, inside the transaction that also writes the library's index."""
        total = sum(file.bytes for file in files)
        pinned = all(file.pinned for file in files)
        changes = CALM | {"state": State.COMPLETED, "target": target, "faults": 0, "error": None}
        changes |= {"bytes_total": total, "bytes_done": total}
        changes["sha256_state"] = DigestState.VERIFIED if pinned else DigestState.UNPINNED
        for number, file in enumerate(files):
            where = sa.and_(job_files.c.job_id == lease.job, job_files.c.number == number)
            state = DigestState.VERIFIED if file.pinned else DigestState.UNPINNED
            values = {"bytes": file.bytes, "bytes_done": file.bytes, "sha256_state": state}
            tx.execute(sa.update(job_files).where(where).values(**values))
        self._end(tx, lease, changes, "completed", text)

    def fail(self, lease: Lease, error: FlowhubError, *, mismatch: bool = False) -> None:
        changes = CALM | {"state": State.FAILED, "error": error.as_dict()}
        if mismatch:
            changes["sha256_state"] = DigestState.MISMATCH
        with writing(self._engine) as tx:
            self._end(tx, lease, changes, "failed", error.message)

    def wait(self, lease: Lease, until: int, reason: str, text: str, *, faults: int, cost: bool) -> str | None:
        """Queue the job again for a later time; `cost` says whether the attempt counts. Return the wish it obeyed."""
        changes = {"not_before": until, "wait_reason": reason, "wait_text": text, "faults": faults}
        if not cost:
            changes["attempt"] = jobs.c.attempt - 1
        return self._let_go(lease, changes, "waits", text)

    def hand_back(self, lease: Lease) -> str | None:
        """Give the job back as it was before the claim: a graceful stop costs no attempt. Return the wish it obeyed."""
        changes = {"attempt": jobs.c.attempt - 1}
        return self._let_go(lease, changes, "handed_back", "The worker stopped; the job was handed back.")

    def obey(self, lease: Lease) -> str | None:
        """Do what the person wishes now; return that. It may be another wish than the one that stopped the run."""
        return self._let_go(lease, {}, "handed_back", "The wish was taken back; the job was handed back.")

    def wish(self, lease: Lease) -> str | None:
        """Return what the person wishes of a job that is still ours."""
        with writing(self._engine) as tx:
            self._write(tx, lease, lease_token=lease.token)  # nothing new: only the fence
            return tx.execute(sa.select(jobs.c.wish).where(jobs.c.id == lease.job)).scalar()

    def _let_go(self, lease: Lease, changes: dict[str, Any], outcome: str, text: str) -> str | None:
        """Queue the job again, or pause or cancel it if that is wished by now; return the wish."""
        with writing(self._engine) as tx:
            wish = tx.execute(sa.select(jobs.c.wish).where(jobs.c.id == lease.job)).scalar()
            if wish is not None:
                state = rescued_state(wish, 0, progressed=True)
                given_back = {"attempt": changes["attempt"]} if "attempt" in changes else {}
                given_back |= {"bytes_done": 0} if wish == "purge" else {}
                self._end(tx, lease, CALM | {"state": state} | given_back, state, f"{state.capitalize()} by request.")
            else:
                self._end(tx, lease, CALM | {"state": State.QUEUED} | changes, outcome, text)
        return wish

    def _end(self, tx: sa.Connection, lease: Lease, changes: dict[str, Any], outcome: str, text: str) -> None:
        now = self._clock.now_us()
        final = changes["state"] in (State.COMPLETED, State.FAILED, State.CANCELLED)
        changes |= {"intent": None}  # it speaks of a run that was cut short; this one was not
        self._write(tx, lease, **(UNTOLD | changes | FREE | {"finished_at": now if final else None}))
        tx.execute(sa.update(attempts).where(attempts.c.token == lease.token).values(finished_at=now, outcome=outcome))
        note(tx, lease.job, now, outcome, text)

    def _write(self, tx: sa.Connection, lease: Lease, **values: Any) -> None:
        lease.check()
        mine = sa.and_(jobs.c.id == lease.job, jobs.c.lease_token == lease.token, jobs.c.state == State.RUNNING)
        if tx.execute(sa.update(jobs).where(mine).values(**values)).rowcount != 1:
            lease.revoke()
            raise LeaseLost(lease.job)

    def say(self, lease: Lease, kind: str, text: str) -> None:
        """Write an event of the run: what healed by itself, for `status JOB` and the morning."""
        with writing(self._engine) as tx:
            self._write(tx, lease, lease_token=lease.token)  # nothing new: only the fence
            note(tx, lease.job, self._clock.now_us(), kind, text)

    # This worker among the others ----------------------------------------------------------------------------------

    def register(self, pid: int, slots: int) -> None:
        now = self._clock.now_us()
        with writing(self._engine) as tx:
            tx.execute(
                workers.insert().values(
                    worker=self._worker, node=self._node, pid=pid, slots=slots, started_at=now, seen_at=now
                )
            )

    def unregister(self) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.delete(workers).where(workers.c.worker == self._worker))


FREE: dict[str, Any] = {"lease_token": None, "lease_worker": None, "lease_boot": None, "lease_until": None}
# What an attempt that did not complete leaves of the digest: the next one tells.
UNTOLD: dict[str, Any] = {"sha256_state": DigestState.PENDING}
