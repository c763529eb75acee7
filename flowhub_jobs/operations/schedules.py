"""The schedule in force: set, changed window by window, and described in sentences."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.schedule import UNLIMITED, DayWindows, Schedule
from flowhub_jobs.jobs.week_grid import Cell, minutes_of, paint, schedule_of
from flowhub_jobs.times import at_clock, clock_time, moment
from flowhub_jobs.units import format_duration, format_rate

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session

_MORE_HINT = 'Send {"more": [{"windows": ["00:00-24:00"], "days": ["sat", "sun"], "rate": "2M"}]}.'
_OUTSIDE_HINT = 'Send {"outside": "pause"} or {"outside": "500K"}.'
_RATE_HINT = 'Send {"rate": "2M"}, or {"rate": "off"}.'
NO_SCHEDULE = "No schedule: jobs run at any time."
OVERLAP = "Where windows overlap, the highest rate applies."


def set_schedule(session: "Session", schedule: Schedule | None) -> None:
    """Set the schedule; None removes it. Workers obey within a second."""
    session.controls.set(SCHEDULE, schedule.as_json() if schedule else None)


def add_windows(session: "Session", group: DayWindows) -> None:
    """Add windows to the schedule. Without one they are its first, and nothing runs outside of them. Raises
    UsageInvalid.

    Windows that it has already, on the same days, get the new rate.
    """
    schedule = session.controls.schedule()
    set_schedule(session, schedule.with_group(group) if schedule else Schedule((group,)))


def remove_windows(session: "Session", number: int) -> None:
    """Remove the windows of this number, from 1; with the last ones the schedule ends. Raises UsageInvalid."""
    schedule = session.controls.schedule()
    if schedule is None:
        raise UsageInvalid("There is no schedule.", hint="`flowhub schedule set` and `schedule add` make one.")
    set_schedule(session, schedule.without_group(number))


def set_rate(session: "Session", number: int, rate_bps: int | None) -> None:
    """Set the rate of the windows of this number, from 1; None is no limit. Raises UsageInvalid."""
    schedule = session.controls.schedule()
    if schedule is None:
        raise UsageInvalid("There is no schedule.", hint="Set its windows first.")
    set_schedule(session, schedule.with_rate(number, rate_bps))


def schedule_from(data: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule of a JSON object, as `schedule_json` has it or as `schedule set` takes it; None for none.

    `{"windows": ["23:00-07:00"], "days": ["mon"], "rate_bps": null, "outside_bps": null}`, or `{"windows":
    "23:00-07:00", "days": "mon-fri", "rate": "2M", "outside": "500K"}`; no windows at all, or "off", is no schedule.
    Raises UsageInvalid.
    """
    if "windows" not in data:
        raise UsageInvalid("The object has no windows.", hint='Send {"windows": ["23:00-07:00"], "days": ["mon"]}.')
    windows = _joined_texts("windows", data.get("windows"))
    if windows is None or windows.strip().lower() == "off":
        return None
    outside = _text_of(data, "outside", "outside_bps", _OUTSIDE_HINT)
    empty = Schedule.parse("00:00-24:00", None, "pause" if outside is None else outside)
    return replace(empty, groups=(_group_from(data), *_further_groups(data.get("more") or ()))).checked()


def _group_from(data: Mapping[str, Any]) -> DayWindows:
    windows, days = _joined_texts("windows", data["windows"]), _joined_texts("days", data.get("days"))
    return DayWindows.parse(windows or "", days, _text_of(data, "rate", "rate_bps", _RATE_HINT))


def _text_of(data: Mapping[str, Any], typed: str, number: str, hint: str) -> str | None:
    """Return a rate as the command line takes it, of either key. Raises UsageInvalid."""
    rate = data.get(typed, data.get(number))
    if isinstance(rate, bool) or not isinstance(rate, str | int | None):
        raise UsageInvalid(f"{typed!r} must be a string or an integer.", hint=hint)
    if isinstance(rate, int) and 0 < rate < 1000:  # a number is of bytes; as a text it would need a unit
        return f"{rate / 1000}K"
    return None if rate is None else str(rate)


def _further_groups(groups: Any) -> tuple[DayWindows, ...]:
    """Return the further windows of a JSON object, each group with days of its own. Raises UsageInvalid."""
    if not isinstance(groups, list | tuple) or not all(
        isinstance(group, dict) and "windows" in group for group in groups
    ):
        raise UsageInvalid("'more' must be an array of objects with windows and days.", hint=_MORE_HINT)
    return tuple(_group_from(group) for group in groups)


def paint_week(session: "Session", cells: Collection[Cell], rate: int) -> None:
    """Have jobs run in these hours of the week at this rate (0: not, UNLIMITED); each other hour stays as it is.

    Raises UsageInvalid where no hour would be left, or the schedule would have too many windows.
    """
    schedule = session.controls.schedule()
    painted = paint(minutes_of(schedule), cells, rate)
    set_schedule(session, schedule_of(painted, schedule.outside_bps if schedule else None))


def set_outside(session: "Session", rate: str) -> None:
    """Set what holds outside of the windows: "pause", or a rate such as "500K". Raises UsageInvalid."""
    schedule = session.controls.schedule()
    if schedule is None:
        raise UsageInvalid("There is no schedule.", hint="Set its windows first.")
    outside = Schedule.parse("00:00-01:00", None, rate).outside_bps
    set_schedule(session, replace(schedule, outside_bps=outside))


def _joined_texts(name: str, value: Any) -> str | None:
    """Return a text, or the texts of a list, as the command line takes them; None for nothing."""
    parts = [value] if isinstance(value, str) else value
    if parts is None:
        return None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UsageInvalid(f"{name!r} must be a string or an array of strings.")
    return ",".join(parts) or None


def schedule_lines(schedule: Schedule | None, now: int) -> list[str]:
    """Return what the schedule says, and what it means now."""
    if schedule is None:
        return [NO_SCHEDULE]
    groups = ", and from ".join(_group(group) for group in schedule.groups)
    return [f"Jobs run from {groups}; outside, {_outside_text(schedule)}.", *_lines_below(schedule, now)]


def window_rows(schedule: Schedule | None) -> list[tuple[str, str, str, str]]:
    """Return the number that `schedule remove` takes, the windows, their days and their rate; none for a single row."""
    groups = schedule.groups if schedule else ()
    rows = [
        (str(number), ", ".join(group.as_json()["windows"]), days_text(group), rate_text(group))
        for number, group in enumerate(groups, 1)
    ]
    return rows if len(rows) > 1 else []


def lines_below_rows(schedule: Schedule, now: int) -> list[str]:
    """Return what the schedule says next to its windows, and what it means now."""
    return [f"Outside, {_outside_text(schedule)}.", *_lines_below(schedule, now)]


def _outside_text(schedule: Schedule) -> str:
    return f"at {format_rate(schedule.outside_bps)} for all jobs together" if schedule.outside_bps else "nothing runs"


def _lines_below(schedule: Schedule, now: int) -> list[str]:
    overlap = [OVERLAP] if len({group.rate_bps for group in schedule.groups}) > 1 else []
    return [*overlap, _now_line(schedule, now), *_rate_lines(schedule, now)]


def days_text(group: DayWindows) -> str:
    """Return "mon-fri", "mon, wed" or "every day"."""
    days = group.days
    if len(days) == 7:
        return "every day"
    names = group.as_json()["days"]
    in_a_row = days == tuple(range(days[0], days[0] + len(days)))
    return f"{names[0]}-{names[-1]}" if in_a_row and len(days) > 2 else ", ".join(names)


def rate_text(group: DayWindows) -> str:
    """Return "2.0 MB/s" or "no limit"."""
    return format_rate(group.rate_bps) if group.rate_bps else "no limit"


def _group(group: DayWindows) -> str:
    """Return "23:00 to 07:00 and 12:00 to 13:00, on mon, tue, at 2.0 MB/s"."""
    fields, days = group.as_json(), days_text(group)
    days = days if len(group.days) == 7 else f"on {days}"
    rate = f", at {format_rate(group.rate_bps)}" if group.rate_bps else ""
    return f"{' and '.join(window.replace('-', ' to ') for window in fields['windows'])}, {days}{rate}"


def _now_line(schedule: Schedule, now: int) -> str:
    change = schedule.next_change(now)
    change_time = moment(change)
    if change is None or change_time is None:
        return "The window is open now and never closes."
    when = at_clock(change_time, datetime.fromtimestamp(now / 1e6, UTC))
    status = "open now and closes" if schedule.is_open(now) else "closed now and opens"
    return f"The window is {status} {when}, in {format_duration((change - now) / 1e6)}."


def _rate_lines(schedule: Schedule, now: int) -> list[str]:
    """Return what the schedule allows now, and from when on another rate, where its windows have rates."""
    if all(group.rate_bps is None for group in schedule.groups) or not (rate := schedule.rate_at(now)):
        return []
    change = schedule.next_rate(now)
    change_time = moment(change[0]) if change else None
    if change is None or change_time is None or change[1] == 0:
        return [f"It allows {_speed(rate)} now."]
    when = clock_time(change_time, datetime.fromtimestamp(now / 1e6, UTC))
    return [f"It allows {_speed(rate)} now, and {_speed(change[1])} from {when} on."]


def _speed(rate: int) -> str:
    return "any speed" if rate == UNLIMITED else format_rate(rate)
