"""Forecast of an order before it is queued: the free space that remains, and the time when it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.rate_limits import limits
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.report import read_morning
from flowhub_jobs.operations.session import EnqueuePlan
from flowhub_jobs.store.space import Room, room_at
from flowhub_jobs.times import micros, moment
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job

AWAY = (Reason.HOST_WAIT, Reason.NETWORK, Reason.STORE_OFFLINE)  # their end is not known
SPANS_MAX = 1000  # windows of a schedule that are looked through: two years of nights


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes, bytes a second, and microseconds since 1970. `to_fetch` is of this order, `queued` what comes before it.

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


def forecast(home: Home, plans: Sequence[EnqueuePlan], begins: int) -> Forecast:
    """Return what these plans come to. None of them starts before `begins`."""
    to_fetch, queued = sum(plan.to_fetch or 0 for plan in plans), home.queries.bytes_still_needed()
    unknown = sum(plan.action == "fetch" and plan.to_fetch is None for plan in plans)
    room, speed, done = room_at(home.store.root, home.settings.disk_reserve), _usual_bps(home), None
    if speed and not unknown:
        seconds = (to_fetch + queued) / (_limited(home, speed) or speed)
        start = max(home.clock.now_us(), begins)
        done = done_at(start, seconds, home.controls.schedule()) if to_fetch else home.clock.now_us()
    return Forecast(room, to_fetch, queued, unknown, speed, done)


@dataclass(frozen=True, slots=True)
class Remaining:
    """Bytes that the queued and running jobs have yet to download, and their total; `unknown` counts sizes.

    `rate_bps` is the speed now, else the last day's; None: nothing was downloaded. `done_at` is microseconds; None
    where that is not known. `away` is why a job cannot be fetched now, where its end cannot be foretold.
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
    known = [job for job in jobs if job.bytes_total is not None]
    left, total = sum(map(_left, known)), sum(job.bytes_total or 0 for job in known)
    away = next((job.reason for job in jobs if job.reason in AWAY), None)
    rate = sum(job.rate_bps or 0 for job in jobs) or (_limited(home, _usual_bps(home)) if left and not away else None)
    done = end_of_all(known, rate, home.clock.now_us(), home.controls.schedule()) if rate and not away else None
    return Remaining(left, total, len(jobs) - len(known), rate, done, away)


def end_of_all(jobs: Sequence[Job], rate: int, now: int, schedule: Schedule | None) -> int | None:
    """Return when these jobs are done, one after the other at this rate; None where that is too far away to tell.

    Running jobs are assumed to continue now; queued ones wait for the schedule and for their own start.
    """
    end: int | None = now + _time_us([job for job in jobs if job.state is State.RUNNING], rate)
    waits = [job for job in jobs if job.state is not State.RUNNING]
    for begin in sorted({_begin(job) for job in waits}):
        some = [job for job in waits if _begin(job) == begin]
        end = done_at(max(end, begin), _time_us(some, rate) / 1e6, schedule) if end is not None else None
    return end


def _begin(job: Job) -> int:
    return micros(job.not_before) if job.reason is Reason.AT and job.not_before else 0


def _time_us(jobs: Sequence[Job], rate: int) -> int:
    return round(sum(map(_left, jobs)) / rate * 1e6)


def _left(job: Job) -> int:
    return max(0, (job.bytes_total or 0) - job.bytes_done)


def _limited(home: Home, speed: int | None) -> int | None:
    limit = limits(home.controls, None, home.settings.limit_rate).rate_bps
    return speed and min(speed, limit or speed)


def _usual_bps(home: Home) -> int | None:
    """Return how fast the last day's attempts were, all together."""
    now = moment(home.clock.now_us())
    assert now is not None
    return read_morning(home, now - timedelta(days=1)).totals.rate_bps


def done_at(start: int, seconds: float, schedule: Schedule | None) -> int | None:
    """Return when `seconds` of work that begin at `start` are done, if it rests while the schedule lets nothing run.

    None if that is too far away. Outside of a window that allows a rate, work is assumed to run as if it were open.
    """
    if schedule is None or schedule.outside_bps is not None:
        return start + round(seconds * 1e6)
    at, left = start, round(seconds * 1e6)
    for _ in range(SPANS_MAX):
        change = schedule.next_change(at)
        if schedule.is_open(at):
            if change is None or at + left <= change:
                return at + left
            left -= change - at
        if change is None:
            return None
        at = change
    return None
