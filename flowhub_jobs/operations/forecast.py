"""Forecast of the items to queue: the free space that remains, and the time when it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.cap import CapUse, turns_at
from flowhub_jobs.jobs.rate_limits import limits
from flowhub_jobs.jobs.schedule import UNLIMITED, Schedule
from flowhub_jobs.operations.enqueue_plan import EnqueuePlan
from flowhub_jobs.operations.report import read_report
from flowhub_jobs.store.space import Room
from flowhub_jobs.times import micros, moment
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job

AWAY = (Reason.HOST_WAIT, Reason.NETWORK, Reason.STORE_OFFLINE, Reason.DISK)  # their end is not known
SPANS_MAX = 1000  # changes of rate and periods of a cap that are looked through: a year of nights
_NEVER = 2**63 - 1
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes, bytes a second, and microseconds since 1970. `to_fetch` is of these items, `queued` what comes before it.

    `unknown` counts files of unknown size. `usual_bps` is the speed of the last day; None without a download.
    """

    room: Room
    to_fetch: int
    queued: int
    unknown: int
    usual_bps: int | None
    done_at: int | None

    @property
    def free_after(self) -> int:
        """Return the free bytes of the disk after all downloads; negative, the bytes that are missing."""
        return self.room.free - self.to_fetch - self.queued

    @property
    def missing(self) -> int:
        """Return the bytes that are missing for all downloads; 0 if they fit."""
        return max(0, self.to_fetch + self.queued - self.room.usable)


def forecast(home: Home, plans: Sequence[EnqueuePlan], begins: int) -> Forecast:
    """Return the forecast of these plans. None of them starts before `begins`."""
    to_fetch, queued = sum(plan.to_fetch or 0 for plan in plans), home.queries.bytes_still_needed()
    unknown = sum(plan.action == "fetch" and plan.to_fetch is None for plan in plans)
    stores = {plan.store for plan in plans if plan.action == "fetch"}
    disk = home.in_store(stores.pop()) if len(stores) == 1 else home
    room, speed, done = disk.room(), _usual_bps(home), None
    if speed and not unknown:
        remaining_bytes, start = to_fetch + queued, max(home.clock.now_us(), begins)
        schedule, cap = home.controls.schedule(), home.controls.cap()
        pace = _limited_bps(home, speed) or speed
        done = done_at(start, remaining_bytes, pace, schedule, cap) if to_fetch else home.clock.now_us()
    return Forecast(room, to_fetch, disk.bytes_promised(), unknown, speed, done)


@dataclass(frozen=True, slots=True)
class Remaining:
    """Bytes that the queued and running jobs have yet to download, and their total; `unknown` counts sizes.

    `rate_bps` is the speed now, else the last day's; None: nothing was downloaded. `done_at` is microseconds; None
    where that is not known. `away` is why a job cannot be fetched now; then no end can be predicted.
    """

    bytes: int
    total: int
    unknown: int
    rate_bps: int | None
    done_at: int | None
    away: Reason | None = None


def remaining(home: Home, live: Sequence[Job]) -> Remaining:
    """Return what these live jobs have left, and when all of it is done. Paused jobs are left out."""
    jobs = [job for job in live if job.brings and job.state is not State.PAUSED]
    sized_jobs = [job for job in jobs if job.bytes_total is not None]
    remaining_bytes, total = sum(map(_bytes_left, sized_jobs)), sum(job.bytes_total or 0 for job in sized_jobs)
    obstacle = next((job.reason for job in jobs if job.reason in AWAY), None)
    if jobs and all(job.reason is Reason.BACKOFF for job in jobs):
        obstacle = Reason.BACKOFF  # nothing moves, and the next try may fail, too
    rate = sum(job.rate_bps or 0 for job in jobs) or (
        _limited_bps(home, _usual_bps(home)) if remaining_bytes and not obstacle else None
    )
    done = _end(home, sized_jobs, rate) if rate and not obstacle else None
    return Remaining(remaining_bytes, total, len(jobs) - len(sized_jobs), rate, done, obstacle)


def _end(home: Home, jobs: Sequence[Job], rate: int) -> int | None:
    now, schedule = home.clock.now_us(), home.controls.schedule()
    if schedule is not None and 0 < schedule.rate_at(now) < UNLIMITED:  # the rate now is the schedule's, not the line's
        rate = max(rate, _limited_bps(home, _usual_bps(home)) or 0)
    return end_of_all(jobs, rate, now, schedule, home.controls.cap())


def end_of_all(
    jobs: Sequence[Job], rate: int, now: int, schedule: Schedule | None, cap: CapUse | None = None
) -> int | None:
    """Return when these jobs are done, one after the other at this rate; None where that is too far away to tell.

    Queued jobs wait for their own start, and all for the schedule and the cap. Jobs that run while the schedule is
    closed continue: `flowhub start` began them.
    """
    is_open = schedule is None or schedule.rate_at(now) > 0
    running = [job for job in jobs if job.state is State.RUNNING]
    waits = [job for job in jobs if job.state is not State.RUNNING]
    end = done_at(now, sum(map(_bytes_left, running)), rate, schedule if is_open else None, cap)
    for begin in sorted({_begin(job) for job in waits}):
        remaining_bytes = sum(_bytes_left(job) for job in waits if _begin(job) == begin)
        end = done_at(max(end, begin), remaining_bytes, rate, schedule, cap) if end is not None else None
    return end


def _begin(job: Job) -> int:
    return micros(job.not_before) if job.reason is Reason.AT and job.not_before else 0


def _bytes_left(job: Job) -> int:
    return max(0, (job.bytes_total or 0) - job.bytes_done)


def _limited_bps(home: Home, speed: int | None) -> int | None:
    limit = limits(home.controls, None, home.settings.limit_rate).rate_bps
    return speed and min(speed, limit or speed)


def _usual_bps(home: Home) -> int | None:
    """Return the average speed of the last day's attempts."""
    now = moment(home.clock.now_us())
    assert now is not None
    return read_report(home, now - timedelta(days=1)).totals.rate_bps


def done_at(
    start: int, remaining_bytes: int, speed: int, schedule: Schedule | None, cap: CapUse | None = None
) -> int | None:
    """Return when `remaining_bytes` are fetched from `start` on; None if that is too far away.

    `speed` is that of the line, bytes a second: the schedule's windows allow less of it, or nothing, and a cap ends it
    until its period turns.
    """
    at, budget = start, _Budget(cap)
    if not remaining_bytes:
        return start
    for _ in range(SPANS_MAX):
        room = budget.left_at(at)
        rate, change = (schedule.rate_at(at), schedule.next_rate(at)) if schedule else (UNLIMITED, None)
        until = min(change[0] if change else _NEVER, budget.turns_at)
        if room and (pace := min(speed, rate)):
            count = min(remaining_bytes, room)
            end = at + count * _SECOND_US // pace
            if end > until:
                count, end = pace * (until - at) // _SECOND_US, until
            remaining_bytes -= count
            budget.spend(count)
            if not remaining_bytes:
                return end
            at = end
        elif until == _NEVER:
            return None
        else:
            at = until
    return None


class _Budget:
    """What a cap leaves, period by period."""

    def __init__(self, cap: CapUse | None) -> None:
        self._cap = cap
        self._bytes_left, self.turns_at = (cap.left, cap.turns_at) if cap else (_NEVER, _NEVER)

    def left_at(self, at: int) -> int:
        """Return the bytes that are left at a moment, which is never before that of the last call."""
        while self._cap is not None and at >= self.turns_at:
            self._bytes_left, self.turns_at = self._cap.cap.bytes, turns_at(self._cap.cap.per, self.turns_at)
        return self._bytes_left

    def spend(self, count: int) -> None:
        if self._cap is not None:
            self._bytes_left -= count
