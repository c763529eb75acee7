"""Every read of jobs: rows as the contract's values. Screens use nothing else, and need no worker."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.artifacts import known_format
from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.groups import in_groups
from flowhub_jobs.database.tables import events, is_live, job_after, job_files, jobs, lives, workers
from flowhub_jobs.errors import JobUnreadable
from flowhub_jobs.jobs.controls import Controls
from flowhub_jobs.jobs.decoding import SHOWN, check_row, shown_as_failed
from flowhub_jobs.jobs.failures import unanswered_failures
from flowhub_jobs.jobs.host_waits import held_hosts
from flowhub_jobs.jobs.rows import BRING, earlier, ended_all_earlier, no_such_job, still_to_end, writes_to_store
from flowhub_jobs.jobs.states import Hold, after_hold, in_order, own_hold
from flowhub_jobs.kinds import DigestState, JobKind, Reason, Stage, State
from flowhub_jobs.records import Event, Job, JobFile, Wait
from flowhub_jobs.system import Clock
from flowhub_jobs.times import moment

RECENT, RECENT_ERRANDS = 20, 5
LOOKED_THROUGH = 500  # of the last that ended, to find them among
# A worker that drains does not wait for these: they may hold for hours, and the person knows.
HELD = (Reason.AT, Reason.WINDOW, Reason.STORE_OFFLINE, Reason.DISK, Reason.NETWORK)


class Reports:
    """Reads jobs of one node."""

    def __init__(
        self, engine: sa.Engine, node: str, clock: Clock, is_dead: Callable[[str], bool | None] = lambda worker: None
    ) -> None:
        """`is_dead(worker)` is True where a worker is known to be gone: then its jobs have no speed."""
        self._engine, self._node, self._clock, self._is_dead = engine, node, clock, is_dead
        self._controls = Controls(engine, node, clock)

    def jobs(self, numbers: Sequence[int]) -> list[Job]:
        """Return these jobs in this order. Raises NotFound, naming the first that is not there."""
        with reading(self._engine) as tx:
            loaded = (self._load(tx, jobs.c.id.in_(some)) for some in in_groups(numbers))
            found = {job.id: job for some in loaded for job in some}
            for number in numbers:
                if number not in found:
                    raise no_such_job(tx, number)
        return [found[number] for number in numbers]

    def overview(self) -> list[Job]:
        """Return all live jobs, the failed ones that need the user, and the last 20 that ended, by number.

        Of those that brought no model (verify, export), only the last 5.
        """
        mine = jobs.c.node == self._node
        lately = (jobs.c.finished_at.desc(), jobs.c.id.desc())
        ended = sa.select(jobs.c.id, jobs.c.kind).where(mine, jobs.c.finished_at.is_not(None)).order_by(*lately)
        with reading(self._engine) as tx:
            rows = tx.execute(ended.limit(LOOKED_THROUGH)).all()
            brought = [row.id for row in rows if row.kind in BRING][:RECENT]
            errands = [row.id for row in rows if row.kind not in BRING][:RECENT_ERRANDS]
            numbers = {*brought, *errands, *unanswered_failures(tx, self._node, self._clock.now_us())}
            return self._load(tx, sa.or_(sa.and_(mine, is_live), jobs.c.id.in_(numbers)))

    def need_user(self) -> list[int]:
        """Return the failed jobs that no later job speaks for, newest first."""
        with reading(self._engine) as tx:
            return unanswered_failures(tx, self._node, self._clock.now_us())

    def all(
        self, *, state: State | None = None, since: int | None = None, live: bool = False, group: str | None = None
    ) -> list[Job]:
        """Return every job, by number; only those in `state`, of `group`, and created or ended since, if given.

        `since` is microseconds.
        """
        where = [jobs.c.node == self._node]
        if state is not None:
            where.append(jobs.c.state == state)
        if group is not None:
            where.append(jobs.c.group == group)
        if live:
            where.append(is_live)
        if since is not None:
            where.append(sa.or_(jobs.c.created_at >= since, jobs.c.finished_at >= since))
        with reading(self._engine) as tx:
            return self._load(tx, sa.and_(*where))

    def in_state(self, states: Iterable[State], group: str | None = None) -> list[int]:
        where = [jobs.c.node == self._node, jobs.c.state.in_(list(states))]
        if group is not None:
            where.append(jobs.c.group == group)
        with reading(self._engine) as tx:
            return list(tx.execute(sa.select(jobs.c.id).where(*where).order_by(jobs.c.id)).scalars())

    def state_of(self, numbers: Iterable[int]) -> dict[int, State]:
        with reading(self._engine) as tx:
            query = sa.select(jobs.c.id, jobs.c.state)
            rows = [row for some in in_groups(numbers) for row in tx.execute(query.where(jobs.c.id.in_(some)))]
            return {number: State(state) for number, state in rows}

    def events(self, job: int) -> list[Event]:
        with reading(self._engine) as tx:
            rows = tx.execute(sa.select(events).where(events.c.job_id == job).order_by(events.c.id)).mappings()
            return [Event(at=_time(row["at"]), kind=row["kind"], text=row["text"]) for row in rows]

    def wait_text(self, job: int) -> str | None:
        """Return in words why a queued job waits, as its last run left it."""
        with reading(self._engine) as tx:
            return tx.execute(sa.select(jobs.c.wait_text).where(jobs.c.id == job)).scalar()

    def holds(self, job: int) -> list[Hold]:
        """Return all that keeps a queued job from starting now, first what is shown as its reason."""
        with reading(self._engine) as tx:
            row = tx.execute(sa.select(jobs).where(jobs.c.id == job, jobs.c.state == State.QUEUED)).mappings().first()
            return self._waits(tx, [job])(row) if row else []

    def still_to_do(self, given_up: Collection[str] = ()) -> bool:
        """Return whether a worker that drains has to stay: something runs, or is queued and not held for long.

        Jobs of the origins `given_up`, whose hosts could not be reached for too long, do not count.
        A job that waits for others does not count: as long as they are to do, they keep the worker, and when they
        have ended, it counts itself. So it is with them if they are held, or paused.
        """
        now = self._clock.now_us()
        held = sa.and_(jobs.c.wait_reason.in_(HELD), jobs.c.not_before > now)
        queued = sa.and_(jobs.c.state == State.QUEUED, sa.or_(jobs.c.wait_reason.is_(None), sa.not_(held)))
        runs = (jobs.c.node == self._node, is_live, jobs.c.state == State.RUNNING)
        waits = (jobs.c.node == self._node, is_live, queued, sa.or_(ended_all_earlier, _elsewhere(self._node)))
        with reading(self._engine) as tx:
            gates = self._controls.gates_in(tx)
            allowed = (jobs.c.start_now,) if gates.window_shut(now) else ()
            asked = [runs] if gates.holds(now, start_now=True) else [runs, (*waits, *allowed, *_not_from(given_up))]
            return any(tx.execute(sa.select(jobs.c.id).where(*where).limit(1)).first() for where in asked)

    def ended_badly(self, since: int) -> bool:
        """Return whether a job of the node has ended since then otherwise than completed."""
        bad = (jobs.c.node == self._node, jobs.c.finished_at >= since, jobs.c.state != State.COMPLETED)
        with reading(self._engine) as tx:
            return tx.execute(sa.select(jobs.c.id).where(*bad).limit(1)).first() is not None

    def bytes_being_fetched(self, but: int) -> int:
        """Return the bytes that the node's running jobs, except `but`, have yet to put on the disk."""
        return self._bytes_to_come(jobs.c.state == State.RUNNING, jobs.c.id != but)

    def bytes_still_needed(self) -> int:
        """Return the bytes that all queued and running jobs of the node have yet to put on the disk."""
        return self._bytes_to_come(jobs.c.state.in_((State.QUEUED, State.RUNNING)))

    def _bytes_to_come(self, *where: sa.ColumnElement[bool]) -> int:
        need = jobs.c.bytes_total - jobs.c.bytes_done
        mine = (jobs.c.node == self._node, is_live, writes_to_store, need > 0)
        with reading(self._engine) as tx:
            return int(tx.execute(sa.select(sa.func.coalesce(sa.func.sum(need), 0)).where(*mine, *where)).scalar_one())

    def working_on(self, targets: Iterable[str]) -> int | None:
        """Return a running job that writes one of these paths, or None."""
        where = (jobs.c.node == self._node, jobs.c.state == State.RUNNING, jobs.c.target.in_(list(targets)))
        with reading(self._engine) as tx:
            return tx.execute(sa.select(jobs.c.id).where(*where).limit(1)).scalar()

    def workers(self) -> list[str]:
        with reading(self._engine) as tx:
            return list(tx.execute(sa.select(workers.c.worker).where(workers.c.node == self._node)).scalars())

    # From rows to values -------------------------------------------------------------------------------------------

    def _load(self, tx: sa.Connection, where: sa.ColumnElement[bool]) -> list[Job]:
        rows = tx.execute(sa.select(*SHOWN).where(where).order_by(jobs.c.id)).mappings().all()
        numbers = [row["id"] for row in rows]
        files: dict[int, list[JobFile]] = {number: [] for number in numbers}
        for group in in_groups(numbers):
            chosen = job_files.c.job_id.in_(group)
            query = sa.select(job_files).where(chosen).order_by(job_files.c.job_id, job_files.c.number)
            for file in tx.execute(query).mappings():
                files[file["job_id"]].append(JobFile(file["path"], file["bytes"], file["bytes_done"], file["sha256"]))
        waits = self._waits(tx, [row["id"] for row in rows if row["state"] == State.QUEUED])
        return [self._readable_job(row, tuple(files[row["id"]]), waits) for row in rows]

    def _waits(self, tx: sa.Connection, queued: Sequence[int]) -> Callable[[Any], list[Hold]]:
        """Return what says of the row of any of these queued jobs what holds it, in the order in which it is shown."""
        if not queued:
            return lambda row: []
        now, still = self._clock.now_us(), self._still_to_end(tx, queued)
        hosts = held_hosts(tx, self._node).waits
        gates = self._controls.gates_in(tx)
        slots = [Hold(Reason.SLOTS)] if self._slots_taken(tx) else []

        def waits(row: Any) -> list[Hold]:
            own = own_hold(row["wait_reason"], row["not_before"], row["wait_text"], now)
            shared = gates.holds(now, start_now=row["start_now"])
            host = hosts.get(row["source_origin"])
            held = [host.hold(now)] if host else []
            return in_order([*own, *held, *shared, *after_hold(still[row["id"]]), *slots])

        return waits

    def _still_to_end(self, tx: sa.Connection, queued: Sequence[int]) -> "defaultdict[int, list[tuple[int, State]]]":
        """Return the live jobs that each of these waits for, with their states."""
        found: defaultdict[int, list[tuple[int, State]]] = defaultdict(list)
        joined = job_after.join(earlier, earlier.c.id == job_after.c.after_id)
        columns = (job_after.c.job_id, earlier.c.id, earlier.c.state)
        for group in in_groups(queued):
            query = sa.select(*columns).select_from(joined).where(job_after.c.job_id.in_(group), lives(earlier))
            for job, other, state in tx.execute(query):
                found[job].append((other, State(state)))
        return found

    def _slots_taken(self, tx: sa.Connection) -> bool:
        slots = tx.execute(sa.select(sa.func.sum(workers.c.slots)).where(workers.c.node == self._node)).scalar()
        where = (jobs.c.node == self._node, jobs.c.state == State.RUNNING)
        running = tx.execute(sa.select(sa.func.count()).select_from(jobs).where(*where)).scalar_one()
        return slots is not None and running >= slots

    def _readable_job(self, row: Any, files: tuple[JobFile, ...], waits: Callable[[Any], list[Hold]]) -> Job:
        """Return the job of a row; one that cannot be decoded is shown as failed and does not hide the others."""
        try:
            check_row(row)
            return self._job(row, files, waits)
        except JobUnreadable as error:
            return shown_as_failed(row, error)

    def _job(self, row: Any, files: tuple[JobFile, ...], waits: Callable[[Any], list[Hold]]) -> Job:
        state = State(row["state"])
        first = next(iter(waits(row)), None) if state is State.QUEUED else None
        not_before = (first.until if first else None) if state is State.QUEUED else row["not_before"]
        at_work = state is State.RUNNING and self._is_dead(row["lease_worker"]) is not True
        rate = row["rate_bps"] if at_work else None
        return Job(
            id=row["id"],
            ref=row["ref"],
            model=row["model"],
            option=row["option"],
            format=known_format(row["format"]),
            node=row["node"],
            state=state,
            stage=Stage(row["stage"]) if row["stage"] else None,
            reason=first.reason if first else None,
            priority=row["priority"],
            group=row["group"],
            attempt=row["attempt"],
            bytes_total=row["bytes_total"],
            bytes_done=row["bytes_done"],
            bytes_fetched=row["bytes_fetched"],
            rate_bps=rate,
            eta_s=_eta(row["bytes_total"], row["bytes_done"], rate),
            not_before=moment(not_before),
            sha256_state=DigestState(row["sha256_state"]),
            target=row["target"],
            files=files,
            created_at=_time(row["created_at"]),
            started_at=moment(row["started_at"]),
            finished_at=moment(row["finished_at"]),
            error=row["error"],
            kind=JobKind(row["kind"]),
            wait=Wait(first.text, first.code, first.host) if first else None,
        )


def _not_from(origins: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that a job comes from none of these origins."""
    return (sa.or_(jobs.c.source_origin.is_(None), jobs.c.source_origin.not_in(list(origins))),) if origins else ()


def _elsewhere(node: str) -> sa.ColumnElement[bool]:
    """Return whether a job waits for one that another node runs or will run: nobody here keeps the worker for it."""
    theirs = sa.and_(earlier.c.node != node, earlier.c.state != State.PAUSED)
    return still_to_end.where(theirs).exists()


def _eta(total: int | None, done: int, rate: int | None) -> int | None:
    """Return the whole seconds that the rest takes at this rate, rounded up."""
    return -(-(total - done) // rate) if total is not None and rate else None


def _time(micros: int) -> Any:
    found = moment(micros)
    assert found is not None
    return found
