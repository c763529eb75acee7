"""What a person asks of jobs: enqueue, cancel, pause, resume, retry. Every write here is a conditional UPDATE.

A job without an owner changes at once; of a running one only `wish` is written, which its owner obeys.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import events, job_files, jobs
from flowhub_jobs.errors import Busy, FlowhubError, NotFound, WrongState
from flowhub_jobs.jobs.states import LIVE
from flowhub_jobs.records import Artifact, DigestState, State
from flowhub_jobs.system import Clock


@dataclass(frozen=True, slots=True)
class Request:
    """An artifact that somebody wants. Where it is here, `installed_by` is the job that installed it, if known."""

    artifact: Artifact
    target: str
    installed: bool = False
    installed_by: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How the jobs of one `enqueue` are queued."""

    priority: int = 0
    group: str | None = None
    not_before: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a request: the job that answers it, and whether it was made for it."""

    job: int
    new: bool


class Ledger:
    """The person's pen: moves jobs of one node."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    # Enqueue -------------------------------------------------------------------------------------------------------

    def enqueue(self, requests: Sequence[Request], terms: Terms) -> list[Enqueued]:
        """Return the job of each request, in order; all are committed together, or none.

        A live job for the same artifact answers as it is; an installed one answers with the job that installed it.
        """
        with writing(self._engine) as tx:
            live = self._live_jobs(tx)
            return [self._enqueue_one(tx, request, terms, live) for request in requests]

    def _live_jobs(self, tx: sa.Connection) -> dict[str, int]:
        rows = tx.execute(
            sa.select(jobs.c.artifact_key, jobs.c.id).where(jobs.c.node == self._node, jobs.c.state.in_(LIVE))
        )
        return {row.artifact_key: row.id for row in rows}

    def _enqueue_one(self, tx: sa.Connection, request: Request, terms: Terms, live: dict[str, int]) -> Enqueued:
        key = request.artifact.key
        if key in live:
            return Enqueued(live[key], new=False)
        here = request.installed and not terms.force
        if here and request.installed_by is not None:
            return Enqueued(request.installed_by, new=False)
        number = self._insert(tx, request, terms, State.COMPLETED if here else State.QUEUED)
        if not here:
            live[key] = number
        return Enqueued(number, new=not here)

    def _insert(self, tx: sa.Connection, request: Request, terms: Terms, state: State) -> int:
        artifact, now, here = request.artifact, self._clock.now_us(), state is State.COMPLETED
        values: dict[str, Any] = {
            "node": self._node,
            "ref": artifact.ref,
            "model": artifact.model,
            "option": artifact.option,
            "format": artifact.format,
            "artifact_key": artifact.key,
            "artifact": artifact.as_dict(),
            "target": request.target,
            "state": state,
            "priority": terms.priority,
            "group": terms.group,
            "forced": terms.force,
            "bytes_total": artifact.size,
            "bytes_done": (artifact.size or 0) if here else 0,
            "not_before": None if here else terms.not_before,
            "wait_reason": "at" if terms.not_before and not here else None,
            "sha256_state": _digest_state(artifact) if here else DigestState.PENDING,
            "created_at": now,
            "finished_at": now if here else None,
        }
        number = int(tx.execute(jobs.insert().values(values).returning(jobs.c.id)).scalar_one())
        tx.execute(
            job_files.insert(),
            [
                {
                    "job_id": number,
                    "number": place,
                    "path": file.path,
                    "bytes": file.size,
                    "bytes_done": (file.size or 0) if here else 0,
                    "sha256": file.sha256,
                }
                for place, file in enumerate(artifact.files)
            ],
        )
        note(tx, number, now, "installed" if here else "queued", "It is installed already." if here else "Queued.")
        return number

    # Cancel, pause, resume, retry ----------------------------------------------------------------------------------

    def cancel(self, job: int, *, purge: bool = False) -> State:
        """Cancel a job; return its state now: still `running` means that its owner will obey within a second.

        Raises WrongState for a job that has ended otherwise, NotFound for none.
        """
        wish = "purge" if purge else "cancel"
        changes = {"state": State.CANCELLED, "finished_at": self._clock.now_us(), **CALM}
        return self._ask(job, (State.QUEUED, State.PAUSED), changes, wish, already=State.CANCELLED, verb="cancelled")

    def pause(self, job: int) -> State:
        """Pause a job; return its state now, as `cancel` does."""
        changes = {"state": State.PAUSED, "stage": None, "rate_bps": None}
        return self._ask(job, (State.QUEUED,), changes, "pause", already=State.PAUSED, verb="paused")

    def resume(self, job: int) -> State:
        """Queue a paused job again; a time still ahead stays. A wish to pause that nobody obeyed yet is dropped."""
        with writing(self._engine) as tx:
            where = sa.and_(jobs.c.id == job, jobs.c.state == State.RUNNING, jobs.c.wish == "pause")
            tx.execute(sa.update(jobs).where(where).values(wish=None))
            if self._move(tx, job, (State.PAUSED,), {"state": State.QUEUED}):
                note(tx, job, self._clock.now_us(), "resumed", "Resumed.")
            return self._settled(tx, job, {State.QUEUED, State.RUNNING}, "resumed")

    def retry(self, job: int) -> State:
        """Queue a failed or cancelled job again: the same files, a fresh budget. Raises Busy, WrongState, NotFound."""
        fresh: dict[str, Any] = {"state": State.QUEUED, "finished_at": None, "error": None, "faults": 0, "rescues": 0}
        fresh |= {"sha256_state": DigestState.PENDING, "wait_reason": None, "wait_text": None}
        with writing(self._engine) as tx:
            self._refuse_a_second(tx, job)
            if self._move(tx, job, (State.FAILED, State.CANCELLED), fresh):
                past = sa.and_(jobs.c.id == job, jobs.c.not_before <= self._clock.now_us())
                tx.execute(sa.update(jobs).where(past).values(not_before=None))
                note(tx, job, self._clock.now_us(), "retried", "Queued again by `retry`.")
            return self._settled(tx, job, {State.QUEUED, State.RUNNING, State.PAUSED}, "retried")

    def _ask(
        self, job: int, idle: Iterable[State], changes: Mapping[str, Any], wish: str, *, already: State, verb: str
    ) -> State:
        with writing(self._engine) as tx:
            if self._move(tx, job, idle, changes):
                note(tx, job, self._clock.now_us(), verb, f"{verb.capitalize()} by request.")
            running = sa.and_(jobs.c.id == job, jobs.c.state == State.RUNNING)
            tx.execute(sa.update(jobs).where(running).values(wish=wish))
            return self._settled(tx, job, {already, State.RUNNING}, verb)

    def _move(self, tx: sa.Connection, job: int, old: Iterable[State], changes: Mapping[str, Any]) -> bool:
        where = sa.and_(jobs.c.id == job, jobs.c.node == self._node, jobs.c.state.in_(list(old)))
        return tx.execute(sa.update(jobs).where(where).values(**changes)).rowcount == 1

    def _settled(self, tx: sa.Connection, job: int, fine: set[State], verb: str) -> State:
        found = tx.execute(sa.select(jobs.c.state).where(jobs.c.id == job)).scalar()
        if found is None:
            raise no_such_job(tx, job)
        if State(found) not in fine:
            raise WrongState(f"Job {job} is {found}: it cannot be {verb}.", hint=_NEXT.get(State(found)))
        return State(found)

    def _refuse_a_second(self, tx: sa.Connection, job: int) -> None:
        mine = sa.select(jobs.c.artifact_key).where(jobs.c.id == job).scalar_subquery()
        where = sa.and_(
            jobs.c.node == self._node, jobs.c.artifact_key == mine, jobs.c.state.in_(LIVE), jobs.c.id != job
        )
        other = tx.execute(sa.select(jobs.c.id).where(where)).scalar()
        if other is not None:
            raise Busy(
                f"Job {job} cannot be retried: job {other} is at work on the same files.",
                hint=f"See `flowhub status {other}`.",
            )


CALM: dict[str, Any] = {"stage": None, "rate_bps": None, "wish": None, "wait_reason": None, "wait_text": None}

_NEXT = {
    State.COMPLETED: "It is done; `flowhub list` shows the model.",
    State.FAILED: "`flowhub retry` queues it again.",
    State.CANCELLED: "`flowhub retry` queues it again.",
    State.QUEUED: "It is queued already.",
    State.PAUSED: "`flowhub resume` lets it go on.",
}


def note(tx: sa.Connection, job: int | None, now: int, kind: str, text: str) -> None:
    """Write an event. The text is for a person, and holds no secret."""
    tx.execute(events.insert().values(job_id=job, at=now, kind=kind, text=text))


def no_such_job(tx: sa.Connection, job: int) -> FlowhubError:
    last = tx.execute(sa.select(sa.func.max(jobs.c.id))).scalar()
    hint = f"The last job is {last}; `flowhub status --all` lists every one." if last else "No job was queued yet."
    return NotFound(f"There is no job {job}.", hint=hint)


def _digest_state(artifact: Artifact) -> DigestState:
    pinned = all(file.sha256 or file.git_sha1 for file in artifact.files)
    return DigestState.VERIFIED if pinned else DigestState.UNPINNED
