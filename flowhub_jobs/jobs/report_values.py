"""The report as values: completed jobs, recoveries, live jobs, and those that need the user. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowhub_jobs.errors import ERRORS
from flowhub_jobs.errors.hint_placeholders import for_jobs
from flowhub_jobs.jobs.attempts_and_events import Attempt
from flowhub_jobs.jobs.remedies import disk_wait_remedy, remedy
from flowhub_jobs.jobs.report_recoveries import Recovered, recoveries
from flowhub_jobs.values.enums import JobKind, Reason, State
from flowhub_jobs.values.jobs import Event, Job

PLACEMENT_REMEDY = "The model is installed; `flowhub place MODEL --in APP` places it."
PLACEMENT_WAIT_REMEDY = "The model is installed; `flowhub placements` says what to do for its placement."
# A job that waits for these waits for the user.
DISK_WAIT_REASONS = (Reason.DISK, Reason.STORE_OFFLINE)


@dataclass(frozen=True, slots=True)
class CompletedJob:
    """A job that is completed. `seconds` is how long workers ran it; None: it needed no run."""

    job: Job
    seconds: float | None

    @property
    def rate_bps(self) -> int | None:
        """Return its average speed, over all attempts."""
        return speed(self.job.bytes_fetched, self.seconds or 0)


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    """Something that only the user can do. `job` is None where it is about all of them.

    `remedy` names the command that helps, with placeholders (errors/hint_placeholders.py); `hint` has them filled.
    """

    job: Job | None
    code: str
    message: str
    remedy: str

    @property
    def hint(self) -> str:
        return self.remedy if self.job is None else for_jobs(self.remedy, str(self.job.id), [self.job.ref])


@dataclass(frozen=True, slots=True)
class Totals:
    """Bytes, seconds, bytes a second, of all jobs in the report and over all their attempts.

    `twice` counts fetched bytes that could not be used, as far as the rows know.
    """

    bytes: int
    fetched: int
    twice: int
    work_s: float

    @property
    def rate_bps(self) -> int | None:
        return speed(self.fetched, self.work_s)


@dataclass(frozen=True, slots=True)
class RoomNeeded:
    """The bytes that the queue needs on the store's disk, and those that are missing; below 0, what would be left."""

    store: str
    needed: int
    missing: int


@dataclass(frozen=True, slots=True)
class Report:
    since: datetime
    until: datetime
    completed: tuple[CompletedJob, ...]
    recoveries: tuple[Recovered, ...]
    unfinished: tuple[Job, ...]
    needs: tuple[ActionNeeded, ...]
    totals: Totals
    room: RoomNeeded | None = None


def make_report(
    jobs: Sequence[Job],
    attempts: Mapping[int, Sequence[Attempt]],
    events: Mapping[int, Sequence[Event]],
    *,
    workers: int,
    since: datetime,
    until: datetime,
) -> Report:
    """Return the report of these jobs: those that ended since then, and all that live.

    All are in the order of their numbers. `events` are those since then of the kinds `recoveries.KINDS`, by job;
    `workers` is how many live now.
    """
    completed = [job for job in jobs if job.state is State.COMPLETED and job.brings]
    completed_jobs = tuple(
        CompletedJob(job, _work_seconds([attempts.get(job.id, ())])) for job in sorted(completed, key=_end_key)
    )
    work = _work_seconds(attempts.get(job.id, ()) for job in jobs if job.kind is JobKind.FETCH) or 0.0
    totals = Totals(
        bytes=sum(job.bytes_total or job.bytes_done for job in completed),
        fetched=sum(job.bytes_fetched for job in jobs),
        twice=sum(_fetched_twice(job) for job in jobs),
        work_s=work,
    )
    going = tuple(job for job in jobs if job.live and job.reason not in DISK_WAIT_REASONS)
    return Report(since, until, completed_jobs, recoveries(jobs, events), going, _needs(jobs, workers), totals)


def speed(count: float, seconds: float) -> int | None:
    return round(count / seconds) if count and seconds >= 0.001 else None


def _end_key(job: Job) -> tuple[datetime, int]:
    return job.finished_at or job.created_at, job.id


def _fetched_twice(job: Job) -> int:
    """Return the bytes that came more than once, as far as the rows know, without those of a cancelled job.

    Of a failed job nothing may be left: what came for the first time, up to its size, did not come twice.
    """
    if job.state is State.CANCELLED:
        return 0
    once = max(job.bytes_done, job.bytes_total or 0) if job.state is State.FAILED else job.bytes_done
    return max(0, job.bytes_fetched - once)


def _work_seconds(attempts: Iterable[Sequence[Attempt]]) -> float | None:
    """Return for how many seconds workers ran these attempts, each moment counted once; None without an attempt."""
    spans = sorted((one.started_at, one.worked_until) for of_job in attempts for one in of_job)
    total, reached = 0.0, None
    for begin, end in spans:
        begin = begin if reached is None else max(begin, reached)
        total += max(0.0, (end - begin).total_seconds())
        reached = end if reached is None else max(end, reached)
    return total if spans else None


# What needs the user -------------------------------------------------------------------------------------------------


def _needs(jobs: Sequence[Job], workers: int) -> tuple[ActionNeeded, ...]:
    last = _last_of_each(jobs)
    needs = [_need_of_failed(job) for job in jobs if job.state is State.FAILED and not _is_replaced(job, last)]
    needs += [_of_disk_wait(job) for job in jobs if job.state is State.QUEUED and job.reason in DISK_WAIT_REASONS]
    needs += [_of_waiting(job) for job in jobs if needs_user(job)]
    if not workers and any(job.state in (State.QUEUED, State.RUNNING) for job in jobs):
        needs.append(ActionNeeded(None, "no_worker", "No worker is running.", "Start one with `flowhub worker`."))
    return tuple(needs)


def _last_of_each(jobs: Sequence[Job]) -> dict[tuple[str, JobKind], int]:
    """Return the last job of each kind for each reference: it replaces the earlier ones."""
    return {(job.ref, job.kind): job.id for job in jobs if job.state is not State.CANCELLED}


def _is_replaced(failed: Job, last: Mapping[tuple[str, JobKind], int]) -> bool:
    """Return whether a later job replaces this one: one of the same kind, or for a failed verification a new fetch."""
    kinds = {failed.kind, JobKind.FETCH} if failed.kind is JobKind.VERIFY else {failed.kind}
    return any(last.get((failed.ref, kind), 0) > failed.id for kind in kinds)


def need_of(job: Job) -> ActionNeeded:
    """Return what one job needs of the user: a failed one, one that is parked, or one that waits (`needs_user`)."""
    if job.state is State.FAILED:
        return _need_of_failed(job)
    return _of_disk_wait(job) if job.reason in DISK_WAIT_REASONS else _of_waiting(job)


def _need_of_failed(job: Job) -> ActionNeeded:
    error = job.error or {"code": "failed", "message": "It failed.", "hint": None}
    error = error | {"hint": job.hint_template or error["hint"]}
    return ActionNeeded(job, error["code"], error["message"], remedy(job.ref, job.model, error, job.kind))


def _of_disk_wait(job: Job) -> ActionNeeded:
    assert job.reason is not None
    code, message, hint = disk_wait_remedy(job.reason)
    return ActionNeeded(job, code, (job.wait.message if job.wait else None) or message, hint)


def _of_waiting(job: Job) -> ActionNeeded:
    """Return the need of a job that is tried again, although only the user can help: an untrusted certificate."""
    assert job.wait is not None
    kind = ERRORS[job.wait.code or ""]
    return ActionNeeded(
        job, kind.code, job.wait.message or kind.code, kind.default_hint or f"`flowhub status {job.id}`"
    )


def blocked_need(ref: str, error: Mapping[str, Any]) -> ActionNeeded:
    """Return what a subscription needs of the user; `error` is that of its last check."""
    message = f"{ref} is followed, but cannot be checked: {error.get('message')}"
    hint = error.get("hint") or "`flowhub follow --list` shows it."
    return ActionNeeded(None, str(error.get("code")), message, f"{hint} `flowhub unfollow {ref}` ends the checks.")


def placement_needs(jobs: Sequence[Job], refused: Mapping[int, Sequence[Event]]) -> list[ActionNeeded]:
    """Return what completed jobs need whose model could not be placed; `refused` are the events of that, by job."""
    return [
        ActionNeeded(job, event.code or "failed", event.text, PLACEMENT_REMEDY)
        for job in jobs
        for event in refused.get(job.id, ())
        if job.state is State.COMPLETED
    ]


def needs_user(job: Job) -> bool:
    """Return whether a queued job waits for a fault that hardly ends without the user."""
    kind = ERRORS.get(job.wait.code or "") if job.wait and job.state is State.QUEUED else None
    return bool(getattr(kind, "needs_user", False))
