"""The values of the tab Schedule: the week hour by hour, the windows, and the equivalent commands. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.operations.result_types import UNLIMITED, DayWindows, Schedule, Week, hour_of, minutes_of
from flowhub_jobs.operations.schedules import days_text
from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import Period

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MEGA, _GIGA = 1_000_000, 1_000_000_000
COMMANDS_MAX = 5
_SPANS = {
    "": "until it is removed",
    "1h": "for 1 hour",
    "2h": "for 2 hours",
    "8h": "for 8 hours",
    "07:00": "until 07:00",
}


@dataclass(frozen=True, slots=True)
class Hour:
    """One cell of the week; `label` is for a screen reader.

    `css` is full, rate, limit or "". Where a part of the hour is in a window: early, late or middle, and limit with it
    if jobs run outside of windows.
    """

    value: str
    css: str
    label: str
    is_now: bool


@dataclass(frozen=True, slots=True)
class Day:
    number: int
    name: str
    hours: tuple[Hour, ...]


@dataclass(frozen=True, slots=True)
class WindowRow:
    """The windows of one number; `rate` is in megabytes a second, "" without a limit."""

    number: int
    hours: str
    days: str
    rate: str


@dataclass(frozen=True, slots=True)
class ScheduleView:
    lines: tuple[str, ...]
    zone: str
    days: tuple[Day, ...]
    windows: tuple[WindowRow, ...]
    outside: str  # the rate outside of the windows in megabytes a second; "" where nothing runs
    command: str
    limits: tuple[str, ...]
    limit: str
    spans: tuple[tuple[str, str], ...]
    caps: tuple[str, ...]
    cap: str  # in gigabytes; "" for none
    per: Period
    slots: str
    jobs: str  # at a time, at the most; "" where the workers' slots alone count


def schedule_view(
    schedule: Schedule | None,
    lines: Sequence[str],
    limits: Sequence[str],
    limit_bps: int | None,
    caps: Sequence[str],
    cap: tuple[int | None, Period],
    slots: int,
    jobs_max: int | None,
    now: datetime,
) -> ScheduleView:
    """Return the tab; `now` is local, `cap` bytes and their period."""
    minutes, outside = minutes_of(schedule), schedule.outside_bps if schedule else None
    days = [
        Day(day, name, tuple(_hour(day, hour, hour_of(minutes, day, hour), outside, now) for hour in range(24)))
        for day, name in enumerate(DAYS)
    ]
    groups = schedule.groups if schedule else ()
    return ScheduleView(
        lines=tuple(lines),
        zone=f"local time, {now.tzname()}",
        days=tuple(days),
        windows=tuple(_window_row(number, group) for number, group in enumerate(groups, 1)),
        outside=megabytes(outside),
        command=command_for(schedule),
        limits=tuple(limits),
        limit=megabytes(limit_bps),
        spans=tuple(_SPANS.items()),
        caps=tuple(caps),
        cap=f"{cap[0] / _GIGA:g}" if cap[0] else "",
        per=cap[1],
        slots=f"{slots} job{'' if slots == 1 else 's'} at a time" if slots else "no worker is running",
        jobs=str(jobs_max) if jobs_max else "",
    )


def _window_row(number: int, group: DayWindows) -> WindowRow:
    return WindowRow(number, ", ".join(group.as_json()["windows"]), days_text(group), megabytes(group.rate_bps))


def _hour(day: int, hour: int, minutes: Week, outside: int | None, now: datetime) -> Hour:
    css, label = _hour_style(hour, minutes, outside)
    return Hour(f"{day}-{hour}", css, f"{DAYS[day]} {hour:02}:00, {label}", (now.weekday(), now.hour) == (day, hour))


def _hour_style(hour: int, minutes: Week, outside: int | None) -> tuple[str, str]:
    """Return the class and the label of an hour with these minutes."""
    rates = set(minutes)
    if rates == {0}:
        return ("limit", "limited") if outside else ("", "paused")
    if 0 in rates:
        part, label = _part(hour, [rate > 0 for rate in minutes])
        return f"{part} limit" if outside else part, label
    if rates == {UNLIMITED}:
        return "full", "runs"
    return "rate", f"runs at {format_rate(rates.pop())}" if len(rates) == 1 else "runs at several speeds"


def _part(hour: int, runs: Sequence[bool]) -> tuple[str, str]:
    """Return which part of an hour jobs run in, as the class of its cell and as words."""
    changes = [minute for minute in range(1, len(runs)) if runs[minute] != runs[minute - 1]]
    if len(changes) > 1:
        return "middle", "runs for a part of it"
    time = f"{hour:02}:{changes[0]:02}"
    return ("early", f"runs until {time}") if runs[0] else ("late", f"runs from {time}")


def megabytes(bps: int | None) -> str:
    """Return a rate as the number of a field, in megabytes a second; "" for none."""
    return f"{bps / _MEGA:g}" if bps else ""


def command_for(schedule: Schedule | None) -> str:
    """Return the command or commands that set the same; "" for a week that takes more than COMMANDS_MAX."""
    if schedule is None:
        return "flowhub schedule off"
    first, *others = schedule.groups
    if len(others) >= COMMANDS_MAX:
        return ""
    outside = f" --outside {_rate_argument(schedule.outside_bps)}" if schedule.outside_bps else ""
    commands = [f"flowhub schedule set {_options(first)}{outside}"]
    return " && ".join([*commands, *(f"flowhub schedule add {_options(group)}" for group in others)])


def _options(group: DayWindows) -> str:
    values = group.as_json()
    days = f" --days {days_text(group).replace(' ', '')}" if len(group.days) < 7 else ""
    rate = f" --rate {_rate_argument(group.rate_bps)}" if group.rate_bps else ""
    return f'"{",".join(values["windows"])}"{days}{rate}'


def _rate_argument(bps: int) -> str:
    """Return a rate exactly as a user types it: "2M", "500K", "1234567"."""
    fits = ((size, unit) for size, unit in ((_MEGA, "M"), (1000, "K")) if bps >= size and bps % (size // 10) == 0)
    size, unit = next(fits, (1, ""))
    return f"{bps / size:g}{unit}" if unit else str(bps)
