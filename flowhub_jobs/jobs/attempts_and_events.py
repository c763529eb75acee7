"""Reads the history of jobs: their attempts and events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.lazy import Database, Row
from flowhub_jobs.times import moment
from flowhub_jobs.values.jobs import Event

_EVENT = 'SELECT job_id, "at", kind, "text", code FROM events'
_EVENTS = f"{_EVENT} WHERE job_id IN :numbers ORDER BY id"
_EVENTS_SINCE = f'{_EVENT} WHERE "at" >= :since AND kind IN :kinds ORDER BY "at", id'
_ATTEMPTS = (
    "SELECT attempts.job_id, attempts.attempt, attempts.worker, attempts.started_at, attempts.finished_at, "
    "attempts.outcome, workers.seen_at FROM attempts LEFT JOIN workers ON workers.worker = attempts.worker "
    "WHERE attempts.job_id IN :numbers ORDER BY attempts.id"
)
SEEN_EVERY_US = 15_000_000  # a worker renews its row every ten seconds, or a little later


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job. `worked_until` is when its worker was last known to work on it; a lost one ended later."""

    job: int
    number: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    worked_until: datetime


class History:
    """Reads the attempts and events of jobs, by their numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def events(self, numbers: Sequence[int]) -> dict[int, list[Event]]:
        """Return all events of these jobs, oldest first."""
        by_job: dict[int, list[Event]] = {number: [] for number in numbers}
        for group in in_groups(numbers):
            with self._database.reading() as snapshot:
                for row in snapshot.rows(_EVENTS, numbers=group):
                    by_job[row["job_id"]].append(_event(row))
        return by_job

    def events_since(self, since: int, kinds: Iterable[str]) -> dict[int, list[Event]]:
        """Return all events of these kinds from that microsecond on, by job, oldest first; other nodes' too."""
        # Without a join to `jobs` by node: the planner would begin with those, and there may be a hundred thousand.
        by_job: dict[int, list[Event]] = {}
        with self._database.reading() as snapshot:
            for row in snapshot.rows(_EVENTS_SINCE, since=since, kinds=list(kinds)):
                by_job.setdefault(row["job_id"], []).append(_event(row))
        return by_job

    def attempts(self, numbers: Sequence[int], now_us: int) -> dict[int, list[Attempt]]:
        """Return all attempts at these jobs, oldest first."""
        by_job: dict[int, list[Attempt]] = {number: [] for number in numbers}
        for group in in_groups(numbers):
            with self._database.reading() as snapshot:
                for row in snapshot.rows(_ATTEMPTS, numbers=group):
                    by_job[row["job_id"]].append(_attempt(row, now_us))
        return by_job


def _event(row: Row) -> Event:
    return Event(at=_time(row["at"]), kind=row["kind"], text=row["text"], code=row["code"])


def _attempt(row: Row, now_us: int) -> Attempt:
    end, seen_at = row["finished_at"] or now_us, row["seen_at"]
    # A worker that ended well has no row any more. A lost one is noticed late: it did not work until then.
    if seen_at is not None and row["outcome"] in (None, "rescued"):
        end = max(row["started_at"], min(end, seen_at + SEEN_EVERY_US))
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
    time = moment(micros)
    assert time is not None
    return time
