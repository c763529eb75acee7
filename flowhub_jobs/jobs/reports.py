"""Every read of jobs: rows as the contract's values. Screens use nothing else, and need no worker."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import events, is_live, job_files, jobs, workers
from flowhub_jobs.jobs.ledger import no_such_job
from flowhub_jobs.jobs.states import waiting_reason
from flowhub_jobs.records import DigestState, Event, HubFormat, Job, JobFile, Reason, Stage, State, moment
from flowhub_jobs.system import Clock

RECENT = 20
# A worker that drains does not wait for these: they may hold for hours, and the person knows.
HELD = (Reason.AT, Reason.WINDOW, Reason.STORE_OFFLINE, Reason.DISK, Reason.NETWORK)


class Reports:
    """Reads jobs of one node."""

    def __init__(
        self, engine: sa.Engine, node: str, clock: Clock, is_dead: Callable[[str], bool | None] = lambda worker: None
    ) -> None:
        """`is_dead(worker)` is True where a worker is known to be gone: then its jobs have no speed."""
        self._engine, self._node, self._clock, self._is_dead = engine, node, clock, is_dead

    def jobs(self, numbers: Sequence[int]) -> list[Job]:
        """Return these jobs in this order. Raises NotFound, naming the first that is not there."""
        with reading(self._engine) as tx:
            found = {job.id: job for job in self._load(tx, jobs.c.id.in_(list(numbers)))}
            for number in numbers:
                if number not in found:
                    raise no_such_job(tx, number)
        return [found[number] for number in numbers]

    def overview(self) -> list[Job]:
        """Return all live jobs and the last 20 that ended, by number."""
        mine = jobs.c.node == self._node
        lately = (jobs.c.finished_at.desc(), jobs.c.id.desc())
        ended = sa.select(jobs.c.id).where(mine, jobs.c.finished_at.is_not(None)).order_by(*lately).limit(RECENT)
        with reading(self._engine) as tx:
            live = self._load(tx, sa.and_(mine, is_live))
            return sorted([*live, *self._load(tx, jobs.c.id.in_(ended))], key=lambda job: job.id)

    def all(self, *, state: State | None = None, since: int | None = None, live: bool = False) -> list[Job]:
        """Return every job, by number; only those in `state`, and created or ended since that microsecond, if given."""
        where = [jobs.c.node == self._node]
        if state is not None:
            where.append(jobs.c.state == state)
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
            rows = tx.execute(sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(list(numbers))))
            return {number: State(state) for number, state in rows}

    def events(self, job: int) -> list[Event]:
        with reading(self._engine) as tx:
            rows = tx.execute(sa.select(events).where(events.c.job_id == job).order_by(events.c.id)).mappings()
            return [Event(at=_time(row["at"]), kind=row["kind"], text=row["text"]) for row in rows]

    def wait_text(self, job: int) -> str | None:
        """Return in words why a queued job waits, as its last run left it."""
        with reading(self._engine) as tx:
            return tx.execute(sa.select(jobs.c.wait_text).where(jobs.c.id == job)).scalar()

    def still_to_do(self) -> bool:
        """Return whether a worker that drains has to stay: something runs, or is queued and not held for long."""
        mine = jobs.c.node == self._node
        held = sa.and_(jobs.c.wait_reason.in_(HELD), jobs.c.not_before > self._clock.now_us())
        queued = sa.and_(jobs.c.state == State.QUEUED, sa.or_(jobs.c.wait_reason.is_(None), sa.not_(held)))
        with reading(self._engine) as tx:
            stays = sa.or_(jobs.c.state == State.RUNNING, queued)
            return tx.execute(sa.select(jobs.c.id).where(mine, is_live, stays).limit(1)).first() is not None

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
        mine = (jobs.c.node == self._node, is_live, need > 0)
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
        rows = tx.execute(sa.select(jobs).where(where).order_by(jobs.c.id)).mappings().all()
        numbers = [row["id"] for row in rows]
        files: dict[int, list[JobFile]] = {number: [] for number in numbers}
        # In groups: a bound parameter each, and SQLite takes 32,766.
        for start in range(0, len(numbers), 10_000):
            chosen = job_files.c.job_id.in_(numbers[start : start + 10_000])
            query = sa.select(job_files).where(chosen).order_by(job_files.c.job_id, job_files.c.number)
            for file in tx.execute(query).mappings():
                files[file["job_id"]].append(JobFile(file["path"], file["bytes"], file["bytes_done"], file["sha256"]))
        taken = self._slots_taken(tx)
        return [self._job(row, tuple(files[row["id"]]), taken) for row in rows]

    def _slots_taken(self, tx: sa.Connection) -> bool:
        slots = tx.execute(sa.select(sa.func.sum(workers.c.slots)).where(workers.c.node == self._node)).scalar()
        where = (jobs.c.node == self._node, jobs.c.state == State.RUNNING)
        running = tx.execute(sa.select(sa.func.count()).select_from(jobs).where(*where)).scalar_one()
        return slots is not None and running >= slots

    def _job(self, row: Any, files: tuple[JobFile, ...], slots_taken: bool) -> Job:
        state = State(row["state"])
        reason: Reason | None = None
        if state is State.QUEUED:
            reason = waiting_reason(
                row["wait_reason"], row["not_before"], self._clock.now_us(), slots_taken=slots_taken
            )
        at_work = state is State.RUNNING and self._is_dead(row["lease_worker"]) is not True
        rate = row["rate_bps"] if at_work else None
        return Job(
            id=row["id"],
            ref=row["ref"],
            model=row["model"],
            option=row["option"],
            format=HubFormat(row["format"]) if row["format"] else None,
            node=row["node"],
            state=state,
            stage=Stage(row["stage"]) if row["stage"] else None,
            reason=reason,
            priority=row["priority"],
            group=row["group"],
            attempt=row["attempt"],
            bytes_total=row["bytes_total"],
            bytes_done=row["bytes_done"],
            bytes_fetched=row["bytes_fetched"],
            rate_bps=rate,
            eta_s=_eta(row["bytes_total"], row["bytes_done"], rate),
            not_before=moment(row["not_before"]),
            sha256_state=DigestState(row["sha256_state"]),
            target=row["target"],
            files=files,
            created_at=_time(row["created_at"]),
            started_at=moment(row["started_at"]),
            finished_at=moment(row["finished_at"]),
            error=row["error"],
        )


def _eta(total: int | None, done: int, rate: int | None) -> int | None:
    """Return the whole seconds that the rest takes at this rate, rounded up."""
    return -(-(total - done) // rate) if total is not None and rate else None


def _time(micros: int) -> Any:
    found = moment(micros)
    assert found is not None
    return found
