"""The schedule in force: set, and described in sentences."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.schedule import DayWindows, Schedule
from flowhub_jobs.jobs.week_grid import Cell, minutes_of, paint, schedule_of
from flowhub_jobs.times import at_clock, moment
from flowhub_jobs.units import format_duration, format_rate

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

_MORE_HINT = 'Send {"more": [{"windows": ["00:00-24:00"], "days": ["sat", "sun"]}]}.'
_OUTSIDE_HINT = 'Send {"outside": "pause"} or {"outside": "500K"}.'
NO_SCHEDULE = "No schedule: jobs run at any time."


def set_schedule(session: "Session", schedule: Schedule | None) -> None:
    """Set the schedule; None removes it. Workers obey within a second."""
    session.controls.set(SCHEDULE, schedule.as_json() if schedule else None)


def schedule_from(data: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule of a JSON object, as `schedule_json` has it or as `schedule set` takes it; None for none.

    `{"windows": ["23:00-07:00"], "days": ["mon"], "outside_bps": null}`, or `{"windows": "23:00-07:00", "days":
    "mon-fri", "outside": "500K"}`; no windows at all, or "off", is no schedule. Raises UsageInvalid.
    """
    if "windows" not in data:
        raise UsageInvalid("The object has no windows.", hint='Send {"windows": ["23:00-07:00"], "days": ["mon"]}.')
    windows, days = (_joined(name, data.get(name)) for name in ("windows", "days"))
    if windows is None or windows.strip().lower() == "off":
        return None
    outside = data.get("outside", data.get("outside_bps"))
    if isinstance(outside, bool) or not isinstance(outside, str | int | None):
        raise UsageInvalid("What holds outside of the windows is neither a text nor a number.", hint=_OUTSIDE_HINT)
    first = Schedule.parse(windows, days, "pause" if outside is None else str(outside))
    return replace(first, more=_more(data.get("more") or ()))


def _more(groups: Any) -> tuple[DayWindows, ...]:
    """Return the further windows of a JSON object, each group with days of its own. Raises UsageInvalid."""
    if not isinstance(groups, list | tuple) or not all(isinstance(one, dict) and "windows" in one for one in groups):
        raise UsageInvalid("more is not a list of objects with windows and days.", hint=_MORE_HINT)
    found = [(_joined("windows", one["windows"]), _joined("days", one.get("days"))) for one in groups]
    parsed = [Schedule.parse(windows or "", days) for windows, days in found]
    return tuple(DayWindows(one.windows, one.days) for one in parsed)


def paint_week(session: "Session", cells: Collection[Cell], *, is_open: bool) -> None:
    """Have jobs run in these hours of the week, or not; each other hour stays as it is.

    Raises UsageInvalid where no hour would be left.
    """
    known = session.controls.schedule()
    painted = paint(minutes_of(known), cells, is_open=is_open)
    set_schedule(session, schedule_of(painted, known.outside_bps if known else None))


def set_outside(session: "Session", rate: str) -> None:
    """Set what holds outside of the windows: "pause", or a rate such as "500K". Raises UsageInvalid."""
    known = session.controls.schedule()
    if known is None:
        raise UsageInvalid("There is no schedule.", hint="Set its windows first.")
    outside = Schedule.parse("00:00-01:00", None, rate).outside_bps
    set_schedule(session, replace(known, outside_bps=outside))


def _joined(name: str, given: Any) -> str | None:
    """Return a text, or the texts of a list, as the command line takes them; None for nothing."""
    parts = [given] if isinstance(given, str) else given
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UsageInvalid(f"{name} is neither a text nor a list of texts.")
    return ",".join(parts) or None


def schedule_lines(known: Schedule | None, now: int) -> list[str]:
    """Return what the schedule says, and what it means now."""
    if known is None:
        return [NO_SCHEDULE]
    rest = f"at {format_rate(known.outside_bps)} for all jobs together" if known.outside_bps else "nothing runs"
    groups = ", and from ".join(_group(group) for group in known.groups)
    return [f"Jobs run from {groups}; outside, {rest}.", _now_line(known, now)]


def _group(group: DayWindows) -> str:
    """Return "23:00 to 07:00 and 12:00 to 13:00, on mon, tue"."""
    told = group.as_json()
    days = "every day" if len(group.days) == 7 else "on " + ", ".join(told["days"])
    return f"{' and '.join(window.replace('-', ' to ') for window in told['windows'])}, {days}"


def _now_line(known: Schedule, now: int) -> str:
    change = known.next_change(now)
    then = moment(change)
    if change is None or then is None:
        return "It is open now and never closes."
    when = at_clock(then, datetime.fromtimestamp(now / 1e6, UTC))
    what = "open now and closes" if known.is_open(now) else "closed now and opens"
    return f"It is {what} {when}, in {format_duration((change - now) / 1e6)}."
