"""The schedule in force: as `flowhub/schedule/1`, and in sentences."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.times import at_clock, moment, rfc3339
from flowhub_jobs.units import format_duration, format_rate

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

NO_SCHEDULE = "No schedule: jobs run at any time."


def set_schedule(session: "Session", schedule: Schedule | None) -> None:
    """Set the schedule; None removes it. Workers obey within a second."""
    session.home.controls.set(SCHEDULE, schedule.as_json() if schedule else None)


def schedule_page(known: Schedule | None, now: int) -> dict[str, Any]:
    """Return `flowhub/schedule/1`. Without a schedule it is always open; `outside_bps` null means that nothing runs."""
    told = known.as_json() if known else {"windows": [], "days": [], "outside_bps": None}
    change = moment(known.next_change(now)) if known else None
    state = {"open": known is None or known.is_open(now), "next_change": rfc3339(change) if change else None}
    return {"schema": "flowhub/schedule/1", **told, **state}


def schedule_lines(known: Schedule | None, now: int) -> list[str]:
    """Return what the schedule says, and what it means now."""
    if known is None:
        return [NO_SCHEDULE]
    told = known.as_json()
    days = "every day" if len(told["days"]) == 7 else "on " + ", ".join(told["days"])
    rest = f"at {format_rate(known.outside_bps)} for all jobs together" if known.outside_bps else "nothing runs"
    windows = " and ".join(window.replace("-", " to ") for window in told["windows"])
    return [f"Jobs run from {windows}, {days}; outside, {rest}.", _now_line(known, now)]


def _now_line(known: Schedule, now: int) -> str:
    change = known.next_change(now)
    then = moment(change)
    if change is None or then is None:
        return "It is open now and never closes."
    when = at_clock(then, datetime.fromtimestamp(now / 1e6, UTC))
    what = "open now and closes" if known.is_open(now) else "closed now and opens"
    return f"It is {what} {when}, in {format_duration((change - now) / 1e6)}."
