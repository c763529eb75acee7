"""The schedule in force: set, and described in sentences."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.schedule import DayWindows, Schedule
from flowhub_jobs.times import at_clock, moment
from flowhub_jobs.units import format_duration, format_rate

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

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
    return Schedule.parse(windows, days, "pause" if outside is None else str(outside))


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
