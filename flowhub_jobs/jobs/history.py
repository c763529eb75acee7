"""What happened to jobs: their attempts and events, as they were written down. Reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.groups import in_groups
from flowhub_jobs.database.tables import attempts, events, workers
from flowhub_jobs.records import Event
from flowhub_jobs.times import moment

SEEN_EVERY_US = 15_000_000  # a worker says that it lives every ten seconds, or a little later


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job. `worked_until` is when its worker was last known to be at it; a lost one ended later."""

    job: int
    number: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    worked_until: datetime


class History:
    """Reads what happened to jobs; a job's number says whose it is."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def events(self, numbers: Sequence[int]) -> dict[int, list[Event]]:
        """Return all events of these jobs, oldest first."""
        found: dict[int, list[Event]] = {number: [] for number in numbers}
        for some in in_groups(numbers):
            query = sa.select(events).where(events.c.job_id.in_(some)).order_by(events.c.id)
            with reading(self._engine) as tx:
                for row in tx.execute(query).mappings():
                    found[row["job_id"]].append(_event(row))
        return found

    def events_since(self, since: int, kinds: Iterable[str]) -> dict[int, list[Event]]:
        """Return all events of these kinds from that microsecond on, by job, oldest first; other nodes' too."""
        # Not joined to the jobs, by node: the planner would begin with those, and there may be a hundred thousand.
        where = (events.c.at >= since, events.c.kind.in_(list(kinds)))
        query = sa.select(events).where(*where).order_by(events.c.at, events.c.id)
        found: dict[int, list[Event]] = {}
        with reading(self._engine) as tx:
            for row in tx.execute(query).mappings():
                found.setdefault(row["job_id"], []).append(_event(row))
        return found

    def attempts(self, numbers: Sequence[int], now: int) -> dict[int, list[Attempt]]:
        """Return all attempts at these jobs, oldest first."""
        found: dict[int, list[Attempt]] = {number: [] for number in numbers}
        seen = sa.select(attempts, workers.c.seen_at).join(workers, workers.c.worker == attempts.c.worker, isouter=True)
        for some in in_groups(numbers):
            with reading(self._engine) as tx:
                for row in tx.execute(seen.where(attempts.c.job_id.in_(some)).order_by(attempts.c.id)).mappings():
                    found[row["job_id"]].append(_attempt(row, now))
        return found


def _event(row: sa.RowMapping) -> Event:
    return Event(at=_time(row["at"]), kind=row["kind"], text=row["text"])


def _attempt(row: sa.RowMapping, now: int) -> Attempt:
    end, seen = row["finished_at"] or now, row["seen_at"]
    # A worker that left well has no row any more. One that was lost is noticed late: until then nobody worked.
    if seen is not None and row["outcome"] in (None, "rescued"):
        end = max(row["started_at"], min(end, seen + SEEN_EVERY_US))
    return Attempt(
        job=row["job_id"],
        number=row["attempt"],
        worker=row["worker"],
        started_at=_time(row["started_at"]),
        finished_at=moment(row["finished_at"]),
        outcome=row["outcome"],
        worked_until=_time(end),
    )


def _time(micros: int) -> datetime:
    found = moment(micros)
    assert found is not None
    return found
