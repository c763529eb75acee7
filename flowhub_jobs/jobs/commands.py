"""The commands of users on jobs: enqueue, cancel, pause, resume, start, retry. Every write is a conditional UPDATE.

A job without an owner changes at once; of a running one only `requested` is written, which its worker carries out.
A job is named by its number, whichever node has it. Its row is locked first: the lock of a node, which its own writers
share, does not keep the workers of another node from moving the job between two statements of a command.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.lazy import snapshot_of
from flowhub_jobs.database.notifications import notify_changed
from flowhub_jobs.database.tables import events, is_live, job_after, job_files, jobs, nodes
from flowhub_jobs.errors import Busy, JobUnreadable, NotFound, WrongState
from flowhub_jobs.jobs.enqueue_rows import (
    Enqueued,
    EnqueueRequest,
    LiveKey,
    after_rows,
    enqueued_for,
    file_rows,
    first_event,
    job_row,
    needing_job,
)
from flowhub_jobs.jobs.host_waits import make_try_due
from flowhub_jobs.jobs.row_decoding import artifact_of, intent_of
from flowhub_jobs.jobs.shared_select_sql import live_jobs, no_such_job
from flowhub_jobs.jobs.shared_update_sql import write_event
from flowhub_jobs.system import Clock
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import LIVE_STATES, DigestState, EventKind, JobKind, Reason, RequestedAction, State
from flowhub_jobs.values.jobs import ANY_NODE

ENQUEUE_TRIES = 5  # commands of several machines may queue the same artifact for one node at once

Alongside = Callable[[sa.Connection, Sequence[Enqueued]], None]


class JobCommands:
    """Changes jobs for the user, as the commands of one node."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    # Enqueue -------------------------------------------------------------------------------------------------------

    def enqueue(self, requests: Sequence[EnqueueRequest], alongside: Alongside | None = None) -> list[Enqueued]:
        """Return the job of each request, in order; all are committed together, or none.

        A live job for the same artifact on the same node is returned as it is; for an installed artifact, the job that
        installed it. A request for any node is answered by such a job of whichever node.
        `alongside` writes in the same transaction; if it raises, nothing is queued.
        Raises NotFound for an `after` that is no job, and for a node that is not registered.
        """
        for _ in range(ENQUEUE_TRIES - 1):
            with suppress(sa.exc.IntegrityError):  # another machine's command was first: its job is known by now
                return self._enqueue(requests, alongside)
        return self._enqueue(requests, alongside)

    def _enqueue(self, requests: Sequence[EnqueueRequest], alongside: Alongside | None) -> list[Enqueued]:
        requests = [request if request.node else replace(request, node=self._node) for request in requests]
        with writing(self._engine) as tx:
            _check_earlier(tx, requests)
            _hold_nodes(tx, {request.node for request in requests} - {self._node, ANY_NODE})
            known = live_jobs(snapshot_of(tx), [request.node for request in requests])
            fresh = needing_job(requests, known)
            self._add_programs(tx, requests, known)
            known |= self._insert(tx, list(fresh.values()))
            answers = [enqueued_for(request, known, fresh) for request in requests]
            if alongside is not None:
                alongside(tx, answers)
        return answers

    def artifact(self, job: int) -> Artifact:
        """Return what a job fetches. Raises NotFound."""
        with reading(self._engine) as tx:
            stored = tx.execute(sa.select(jobs.c.artifact).where(jobs.c.id == job)).scalar()
            if stored is None:
                raise no_such_job(snapshot_of(tx), job)
        return artifact_of(job, stored)

    def intent(self, job: int) -> dict[str, Any] | None:
        """Return the install intent of the job's last run, unless the library has the result already."""
        with reading(self._engine) as tx:
            row = tx.execute(sa.select(jobs.c.intent).where(jobs.c.id == job)).mappings().first()
        return intent_of(row) if row else None

    def kind(self, job: int) -> JobKind:
        """Return what a job does. Raises NotFound."""
        with reading(self._engine) as tx:
            stored = tx.execute(sa.select(jobs.c.kind).where(jobs.c.id == job)).scalar()
            if stored is None:
                raise no_such_job(snapshot_of(tx), job)
        if stored not in frozenset[str](JobKind):
            raise JobUnreadable(f"Job {job} cannot be read: its kind is {stored!r}, which this version does not know.")
        return JobKind(stored)

    def store(self, job: int) -> str:
        """Return the name of the store that a job writes to. Raises NotFound."""
        with reading(self._engine) as tx:
            name = tx.execute(sa.select(jobs.c.store).where(jobs.c.id == job)).scalar()
            if name is None:
                raise no_such_job(snapshot_of(tx), job)
        return str(name)

    def purged(self, job: int) -> None:
        """Record that no bytes of an ended job are kept any more."""
        ended = sa.and_(jobs.c.id == job, jobs.c.state.in_((State.CANCELLED, State.FAILED)))
        with writing(self._engine) as tx:
            if tx.execute(sa.update(jobs).where(ended).values(bytes_done=0)).rowcount:
                tx.execute(sa.update(job_files).where(job_files.c.job_id == job).values(bytes_done=0))

    def _insert(self, tx: sa.Connection, requests: Sequence[EnqueueRequest]) -> dict[LiveKey, int]:
        """Write a job for each request; return their numbers by node and artifact key.

        One statement per table: ten thousand single inserts would keep every other writer waiting for seconds.
        """
        if not requests:
            return {}
        now_us = self._clock.now_us()
        rows = [job_row(request, now_us) for request in requests]
        written = tx.execute(jobs.insert().returning(jobs.c.id, sort_by_parameter_order=True), rows)
        numbers = written.scalars().all()
        numbered = list(zip(numbers, requests, strict=True))
        tx.execute(job_files.insert(), [row for number, request in numbered for row in file_rows(number, request)])
        tx.execute(events.insert(), [first_event(number, request, now_us) for number, request in numbered])
        if waits := [row for number, request in numbered for row in after_rows(number, request)]:
            tx.execute(job_after.insert(), waits)
        return {request.live_key: number for number, request in numbered}

    def _add_programs(self, tx: sa.Connection, requests: Sequence[EnqueueRequest], live: Mapping[LiveKey, int]) -> None:
        """Have the live jobs of these requests place their models in the programs of the requests, too."""
        for request in requests:
            if request.terms.place and (job := live.get(request.live_key)) is not None:
                stored = tx.execute(sa.select(jobs.c.place).where(jobs.c.id == job).with_for_update()).scalar()
                programs_before = stored if isinstance(stored, list) else []
                programs = list(dict.fromkeys([*programs_before, *request.terms.place]))
                tx.execute(sa.update(jobs).where(jobs.c.id == job).values(place=programs))

    # Cancel, pause, resume, retry, set the priority -----------------------------------------------------------------

    def cancel(self, job: int, *, purge: bool = False) -> State:
        """Cancel a job; return its state now: still `running` means that its worker will stop it within a second.

        Raises WrongState for a job that has ended otherwise, NotFound for none.
        """
        action = RequestedAction.PURGE if purge else RequestedAction.CANCEL
        changes = {"state": State.CANCELLED, "finished_at": self._clock.now_us(), "wait_text": None}
        return self._change_or_request(
            job, (State.QUEUED, State.PAUSED), changes, action, already=State.CANCELLED, verb="cancelled"
        )

    def pause(self, job: int) -> State:
        """Pause a job; return its state now, as `cancel` does."""
        changes = {"state": State.PAUSED, "stage": None, "rate_bps": None}
        return self._change_or_request(
            job, (State.QUEUED,), changes, RequestedAction.PAUSE, already=State.PAUSED, verb="paused"
        )

    def resume(self, job: int) -> State:
        """Queue a paused job again; a start time still ahead stays. An unseen request to pause is withdrawn."""
        with self._locked(job) as tx:
            pausing = (jobs.c.id == job, jobs.c.state == State.RUNNING, jobs.c.requested == RequestedAction.PAUSE)
            tx.execute(sa.update(jobs).where(*pausing).values(requested=None))
            if self._move(tx, job, (State.PAUSED,), {"state": State.QUEUED}):
                write_event(tx, job, self._clock.now_us(), EventKind.RESUMED, "Resumed.")
            return self._checked_state(tx, job, {State.QUEUED, State.RUNNING}, "resumed")

    def start(self, job: int) -> State:
        """Let a queued or paused job begin now, whatever its own time or the schedule's window says.

        It still waits for the jobs of `after`, for room and for the network. Raises WrongState, NotFound.
        """
        now_us = self._clock.now_us()
        begin = {"state": State.QUEUED, "start_now": True, "not_before": None, "wait_reason": None, "wait_text": None}
        with self._locked(job) as tx:
            running = sa.and_(jobs.c.id == job, jobs.c.state == State.RUNNING)
            tx.execute(sa.update(jobs).where(running).values(start_now=True))
            if self._move(tx, job, (State.QUEUED, State.PAUSED), begin):
                text = "Started by `flowhub start`; --at and the schedule are ignored."
                write_event(tx, job, now_us, EventKind.STARTED, text)
                self._try_its_host(tx, job, now_us)
            return self._checked_state(tx, job, {State.QUEUED, State.RUNNING}, "started")

    def _try_its_host(self, tx: sa.Connection, job: int, now_us: int) -> None:
        """Let a held host be tried at once: the user may know that it is back."""
        node, origin = tx.execute(sa.select(jobs.c.node, jobs.c.source_origin).where(jobs.c.id == job)).one()
        make_try_due(tx, node, origin, now_us)

    def retry(self, job: int) -> State:
        """Queue a failed or cancelled job again: the same files, a fresh budget. Raises Busy, WrongState, NotFound."""
        # A start time of the user stays while it is ahead; the waits of earlier attempts end.
        starts_later = sa.and_(jobs.c.wait_reason == Reason.AT, jobs.c.not_before > self._clock.now_us())
        fresh: dict[str, Any] = {
            "state": State.QUEUED,
            "finished_at": None,
            "error": None,
            "faults": 0,
            "fruitless_us": 0,
            "wait_us": None,
            "rescues": 0,
            "start_now": False,
            "requested": None,
        }
        fresh |= {
            "sha256_state": DigestState.PENDING,
            "not_before": sa.case((starts_later, jobs.c.not_before), else_=None),
        }
        fresh |= {"wait_reason": sa.case((starts_later, Reason.AT), else_=None), "wait_text": None}
        with self._locked(job) as tx:
            self._refuse_a_second(tx, job)
            if self._move(tx, job, (State.FAILED, State.CANCELLED), fresh):
                write_event(tx, job, self._clock.now_us(), EventKind.RETRIED, "Queued again by `retry`.")
                self._try_its_host(tx, job, self._clock.now_us())
            return self._checked_state(tx, job, set(LIVE_STATES), "retried")

    def set_priority(self, job: int, priority: int) -> State:
        """Set the priority of a live job, for the next claim; return its state.

        Raises WrongState for a job that has ended, NotFound for none.
        """
        with self._locked(job) as tx:
            if not self._move(tx, job, LIVE_STATES, {"priority": priority}):
                self._checked_state(tx, job, set(), "given another priority")
            write_event(tx, job, self._clock.now_us(), EventKind.PRIORITY, f"Its priority is {priority} now.")
            return self._checked_state(tx, job, set(LIVE_STATES), "given another priority")

    def _change_or_request(
        self,
        job: int,
        idle: Iterable[State],
        changes: Mapping[str, Any],
        action: RequestedAction,
        *,
        already: State,
        verb: str,
    ) -> State:
        with self._locked(job) as tx:
            if self._move(tx, job, idle, changes):
                write_event(tx, job, self._clock.now_us(), EventKind(already), f"{verb.capitalize()} by request.")
            running = sa.and_(jobs.c.id == job, jobs.c.state == State.RUNNING)
            if action is RequestedAction.PAUSE:  # it does not take back a cancel
                running = sa.and_(running, jobs.c.requested.is_(None))
            request = sa.update(jobs).where(running).values(requested=action).returning(jobs.c.node)
            if (node := tx.execute(request).scalar()) is not None:
                notify_changed(tx, node)
            return self._checked_state(tx, job, {already, State.RUNNING}, verb)

    @contextmanager
    def _locked(self, job: int) -> Iterator[sa.Connection]:
        """Yield a transaction in which no worker, of whichever node, moves the job."""
        with writing(self._engine) as tx:
            tx.execute(sa.select(jobs.c.id).where(jobs.c.id == job).with_for_update())
            yield tx

    def _move(self, tx: sa.Connection, job: int, old: Iterable[State], changes: Mapping[str, Any]) -> bool:
        where = sa.and_(jobs.c.id == job, jobs.c.state.in_(list(old)))
        return tx.execute(sa.update(jobs).where(where).values(**changes)).rowcount == 1

    def _checked_state(self, tx: sa.Connection, job: int, fine: set[State], verb: str) -> State:
        stored = tx.execute(sa.select(jobs.c.state).where(jobs.c.id == job)).scalar()
        if stored is None:
            raise no_such_job(snapshot_of(tx), job)
        if State(stored) not in fine:
            raise WrongState(f"Job {job} is {stored} and cannot be {verb}.", hint=_NEXT.get(State(stored)))
        return State(stored)

    def _refuse_a_second(self, tx: sa.Connection, job: int) -> None:
        own_job, other_job = jobs.alias(), jobs
        same = (other_job.c.node == own_job.c.node, other_job.c.artifact_key == own_job.c.artifact_key)
        where = sa.and_(own_job.c.id == job, *same, is_live, other_job.c.id != job)
        other = tx.execute(sa.select(other_job.c.id).where(where)).scalar()
        if other is not None:
            raise Busy(
                f"Job {job} cannot be retried: job {other} is at work on the same files.",
                hint=f"See `flowhub status {other}`.",
            )


_NEXT = {
    State.COMPLETED: "It is done; `flowhub list` shows the model.",
    State.FAILED: "`flowhub retry` queues it again.",
    State.CANCELLED: "`flowhub retry` queues it again.",
    State.QUEUED: "It is queued already.",
    State.PAUSED: "`flowhub resume` continues it.",
}


def _hold_nodes(tx: sa.Connection, names: Collection[str]) -> None:
    """Keep these nodes from being removed until the commit. Raises NotFound for one that is not registered."""
    if not names:
        return
    # FOR KEY SHARE: a removal waits, and a heartbeat does not.
    held = sa.select(nodes.c.node).where(nodes.c.node.in_(sorted(names))).with_for_update(read=True, key_share=True)
    missing = sorted(set(names) - set(tx.execute(held).scalars()))
    if missing:
        raise NotFound(f"There is no node {missing[0]!r}.", hint="`flowhub nodes` lists all.")


def _check_earlier(tx: sa.Connection, requests: Iterable[EnqueueRequest]) -> None:
    """Raise NotFound for the first job of an `after` that does not exist."""
    for group in in_groups(dict.fromkeys(job for request in requests for job in request.terms.after)):
        existing = set(tx.execute(sa.select(jobs.c.id).where(jobs.c.id.in_(group))).scalars())
        for job in group:
            if job not in existing:
                raise no_such_job(snapshot_of(tx), job)
