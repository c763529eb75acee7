"""What an order would come to before it is queued: the room that is left, and when it would be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flowhub_jobs.home import Home
from flowhub_jobs.hub.desk import Plan
from flowhub_jobs.hub.mornings import read_morning
from flowhub_jobs.jobs.limits import limits
from flowhub_jobs.jobs.windows import Schedule
from flowhub_jobs.store.space import Room, room_at
from flowhub_jobs.times import moment

SPANS_MAX = 1000  # windows of a schedule that are looked through: two years of nights


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes, bytes a second, and microseconds since 1970. `to_fetch` is of this order, `queued` what comes before it.

    `unknown` counts what is of unknown size. `usual_bps` is the speed of the last day; None: nothing came.
    """

    room: Room
    to_fetch: int
    queued: int
    unknown: int
    usual_bps: int | None
    done_at: int | None

    @property
    def free_after(self) -> int:
        """Return what the disk would have free when all is there; below nothing, what would be missing."""
        return self.room.free - self.to_fetch - self.queued


def forecast(home: Home, plans: Sequence[Plan], begins: int) -> Forecast:
    """Return what these plans come to. None of them starts before `begins`."""
    to_fetch, queued = sum(plan.to_fetch or 0 for plan in plans), home.reports.bytes_still_needed()
    unknown = sum(plan.action == "fetch" and plan.to_fetch is None for plan in plans)
    room, speed, done = room_at(home.store.root, home.settings.disk_reserve), _usual_bps(home), None
    if speed and not unknown:
        limit = limits(home.controls, None, home.settings.limit_rate).rate_bps
        seconds = (to_fetch + queued) / min(speed, limit or speed)
        start = max(home.clock.now_us(), begins)
        done = done_at(start, seconds, home.controls.schedule()) if to_fetch else home.clock.now_us()
    return Forecast(room, to_fetch, queued, unknown, speed, done)


def _usual_bps(home: Home) -> int | None:
    """Return how fast the last day's attempts were, all together."""
    now = moment(home.clock.now_us())
    assert now is not None
    return read_morning(home, now - timedelta(days=1)).totals.rate_bps


def done_at(start: int, seconds: float, schedule: Schedule | None) -> int | None:
    """Return when `seconds` of work that begin at `start` are done, if it rests while the schedule lets nothing run.

    None if that is too far away to tell. Outside of a window where a rate is set, work goes on as if it were open.
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
