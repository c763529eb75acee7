"""What a person asks of jobs: enqueue, cancel, pause, resume, retry. Every write here is a conditional UPDATE.

A job without an owner changes at once; of a running one only `wish` is written, which its owner obeys.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import events, is_live, job_files, jobs
from flowhub_jobs.errors import Busy, FlowhubError, NotFound, WrongState
from flowhub_jobs.records import Artifact, DigestState, Reason, State
from flowhub_jobs.system import Clock


@dataclass(frozen=True, slots=True)
class Terms:
    """How the jobs of one `enqueue` are queued."""

    priority: int = 0
    group: str | None = None
    not_before: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """An artifact that somebody wants. Where it is here, `installed_by` is the job that installed it, if known."""

    artifact: Artifact
    target: str
    terms: Terms = field(default_factory=Terms)
    installed: bool = False
    installed_by: int | None = None

    @property
    def settled(self) -> bool:
        """Return whether nothing needs to be fetched for it."""
        return self.installed and not self.terms.force


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

    def enqueue(self, requests: Sequence[Request]) -> list[Enqueued]:
        """Return the job of each request, in order; all are committed together, or none.

        A live job for the same artifact answers as it is; an installed one answers with the job that installed it.
        """
        with writing(self._engine) as tx:
            known = self._live_jobs(tx)
            fresh = _without_job(requests, known)
            known |= self._insert(tx, list(fresh.values()))
        return [_answer(request, known, fresh) for request in requests]

    def live_jobs(self) -> dict[str, int]:
        """Return the live job of each artifact key."""
        with reading(self._engine) as tx:
            return self._live_jobs(tx)

    def artifact(self, job: int) -> Artifact:
        """Return what a job fetches. Raises NotFound."""
        with reading(self._engine) as tx:
            found = tx.execute(sa.select(jobs.c.artifact).where(jobs.c.id == job)).scalar()
            if found is None:
                raise no_such_job(tx, job)
        return Artifact.from_dict(found)

    def purged(self, job: int) -> None:
        """Note that nothing is kept of an ended job any more."""
        ended = sa.and_(jobs.c.id == job, jobs.c.state.in_((State.CANCELLED, State.FAILED)))
        with writing(self._engine) as tx:
            if tx.execute(sa.update(jobs).where(ended).values(bytes_done=0)).rowcount:
                tx.execute(sa.update(job_files).where(job_files.c.job_id == job).values(bytes_done=0))

    def _live_jobs(self, tx: sa.Connection) -> dict[str, int]:
        rows = tx.execute(sa.select(jobs.c.artifact_key, jobs.c.id).where(jobs.c.node == self._node, is_live))
        return {row.artifact_key: row.id for row in rows}

    def _insert(self, tx: sa.Connection, requests: Sequence[Request]) -> dict[str, int]:
        """Write a job for each request; return their numbers by artifact key.

        In one statement a table: ten thousand written one by one would keep every other writer waiting for seconds.
        """
        if not requests:
            return {}
        rows = [self._row(request) for request in requests]
        written = tx.execute(jobs.insert().returning(jobs.c.id, sort_by_parameter_order=True), rows)
        numbers = written.scalars().all()
        made = list(zip(numbers, requests, strict=True))
        tx.execute(job_files.insert(), [row for number, request in made for row in _file_rows(number, request)])
        tx.execute(events.insert(), [self._first_event(number, request) for number, request in made])
        return {request.artifact.key: number for number, request in made}

    def _row(self, request: Request) -> dict[str, Any]:
        artifact, terms, now, here = request.artifact, request.terms, self._clock.now_us(), request.settled
        return {
            "node": self._node,
            "ref": artifact.ref,
            "model": artifact.model,
            "option": artifact.option,
            "format": artifact.format,
            "artifact_key": artifact.key,
            "artifact": artifact.as_dict(),
            "target": request.target,
            "state": State.COMPLETED if here else State.QUEUED,
            "priority": terms.priority,
            "group": terms.group,
            "forced": terms.force,
            "bytes_total": artifact.size,
            "bytes_done": (artifact.size or 0) if here else 0,
            "not_before": None if here else terms.not_before,
            "wait_reason": Reason.AT if terms.not_before and not here else None,
            "sha256_state": _digest_state(artifact) if here else DigestState.PENDING,
            "created_at": now,
            "finished_at": now if here else None,
        }

    def _first_event(self, number: int, request: Request) -> dict[str, Any]:
        kind, text = ("installed", "It is installed already.") if request.settled else ("queued", "Queued.")
        return {"job_id": number, "at": self._clock.now_us(), "kind": kind, "text": text}

    # Cancel, pause, resume, retry ----------------------------------------------------------------------------------

    def cancel(self, job: int, *, purge: bool = False) -> State:
        """Cancel a job; return its state now: still `running` means that its owner will obey within a second.

        Raises WrongState for a job that has ended otherwise, NotFound for none.
        """
        wish = "purge" if purge else "cancel"
        changes = {"state": State.CANCELLED, "finished_at": self._clock.now_us(), "wait_text": None}
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
        # The person's own time stays while it is ahead; what earlier attempts waited for is over.
        own = sa.and_(jobs.c.wait_reason == Reason.AT, jobs.c.not_before > self._clock.now_us())
        fresh: dict[str, Any] = {
            "intent": None,
            "state": State.QUEUED,
            "finished_at": None,
            "error": None,
            "faults": 0,
            "rescues": 0,
        }
        fresh |= {"sha256_state": DigestState.PENDING, "not_before": sa.case((own, jobs.c.not_before), else_=None)}
        fresh |= {"wait_reason": sa.case((own, Reason.AT), else_=None), "wait_text": None}
        with writing(self._engine) as tx:
            self._refuse_a_second(tx, job)
            if self._move(tx, job, (State.FAILED, State.CANCELLED), fresh):
                note(tx, job, self._clock.now_us(), "retried", "Queued again by `retry`.")
            return self._settled(tx, job, {State.QUEUED, State.RUNNING, State.PAUSED}, "retried")

    def _ask(
        self, job: int, idle: Iterable[State], changes: Mapping[str, Any], wish: str, *, already: State, verb: str
    ) -> State:
        with writing(self._engine) as tx:
            if self._move(tx, job, idle, changes):
                note(tx, job, self._clock.now_us(), verb, f"{verb.capitalize()} by request.")
            running = sa.and_(jobs.c.id == job, jobs.c.node == self._node, jobs.c.state == State.RUNNING)
            if wish == "pause":  # it does not take back a cancel
                running = sa.and_(running, jobs.c.wish.is_(None))
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
        where = sa.and_(jobs.c.node == self._node, jobs.c.artifact_key == mine, is_live, jobs.c.id != job)
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


def _without_job(requests: Iterable[Request], live: Mapping[str, int]) -> dict[str, Request]:
    """Return the requests that need a job of their own, by artifact key; one that fetches speaks for all of its key."""
    fresh: dict[str, Request] = {}
    for request in requests:
        key = request.artifact.key
        answered = key in live or (request.settled and request.installed_by is not None)
        if not answered and (key not in fresh or (fresh[key].settled and not request.settled)):
            fresh[key] = request
    return fresh


def _answer(request: Request, known: Mapping[str, int], fresh: dict[str, Request]) -> Enqueued:
    """Return the job that answers a request. What was made counts as new once: it is taken out of `fresh`."""
    key = request.artifact.key
    number = known.get(key, request.installed_by)
    assert number is not None
    made = fresh.get(key) is request
    if made:
        del fresh[key]
    return Enqueued(number, new=made and not request.settled)


def _file_rows(number: int, request: Request) -> list[dict[str, Any]]:
    return [
        {
            "job_id": number,
            "number": place,
            "path": file.path,
            "bytes": file.size,
            "bytes_done": (file.size or 0) if request.settled else 0,
            "sha256": file.sha256,
        }
        for place, file in enumerate(request.artifact.files)
    ]


def _digest_state(artifact: Artifact) -> DigestState:
    pinned = all(file.sha256 or file.git_sha1 for file in artifact.files)
    return DigestState.VERIFIED if pinned else DigestState.UNPINNED
