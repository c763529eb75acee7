"""The tab Schedule: the week hour by hour, to be painted, the same in a sentence; and the speed limit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.schedule import UNLIMITED, Schedule
from flowhub_jobs.jobs.week_grid import Cell, minutes_of, share
from flowhub_jobs.operations.limits import in_force, limit_lines, set_limit
from flowhub_jobs.operations.schedules import paint_week, schedule_lines, set_outside, set_schedule
from flowhub_jobs.operations.worker_status import living_workers
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.frame import back, render
from flowhub_jobs.web.pages.notices import notice_of

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CELL = re.compile(r"([0-6])-([0-9]|1[0-9]|2[0-3])")
_MEGA = 1_000_000
_SPANS = {
    "": "until it is removed",
    "1h": "for 1 hour",
    "2h": "for 2 hours",
    "8h": "for 8 hours",
    "07:00": "until 07:00",
}


@dataclass(frozen=True, slots=True)
class Hour:
    """One cell of the week. `css` is open, part, limited or ""; `label` is for a screen reader."""

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
class ScheduleView:
    lines: tuple[str, ...]
    zone: str
    days: tuple[Day, ...]
    is_set: bool
    outside: str  # the rate outside of the windows in megabytes a second; "" where nothing runs
    command: str
    limits: tuple[str, ...]
    limit: str
    spans: tuple[tuple[str, str], ...]
    slots: str


def schedule_view(
    schedule: Schedule | None,
    lines: Sequence[str],
    limits: Sequence[str],
    limit_bps: int | None,
    slots: int,
    now: datetime,
) -> ScheduleView:
    """Return the tab; `now` is local."""
    minutes, outside = minutes_of(schedule), schedule.outside_bps if schedule else None
    days = [
        Day(day, name, tuple(_hour(day, hour, share(minutes, day, hour), outside, now) for hour in range(24)))
        for day, name in enumerate(DAYS)
    ]
    return ScheduleView(
        lines=tuple(lines),
        zone=f"local time, {now.tzname()}",
        days=tuple(days),
        is_set=schedule is not None,
        outside=megabytes(outside),
        command=command_for(schedule),
        limits=tuple(limits),
        limit=megabytes(limit_bps),
        spans=tuple(_SPANS.items()),
        slots=f"{slots} job{'' if slots == 1 else 's'} at a time" if slots else "no worker is running",
    )


def _hour(day: int, hour: int, part: float, outside: int | None, now: datetime) -> Hour:
    words = {1.0: "runs", 0.0: "limited" if outside else "paused"}.get(part, "runs for a part of it")
    css = "full" if part == 1 else "part" if part else "limit" if outside else ""
    return Hour(f"{day}-{hour}", css, f"{DAYS[day]} {hour:02}:00, {words}", (now.weekday(), now.hour) == (day, hour))


def megabytes(bps: int | None) -> str:
    """Return a rate as the number of a field, in megabytes a second; "" for none."""
    return f"{bps / _MEGA:g}" if bps else ""


def command_for(schedule: Schedule | None) -> str:
    """Return the command that sets the same; "" for a week that takes more than one."""
    if schedule is None:
        return "flowhub schedule off"
    if len(schedule.groups) > 1:
        return ""
    told = schedule.as_json()
    days = f" --days {','.join(told['days'])}" if len(told["days"]) < 7 else ""
    outside = f" --outside {schedule.outside_bps}" if schedule.outside_bps else ""
    return f'flowhub schedule set "{",".join(told["windows"])}"{days}{outside}'


# What a form says -----------------------------------------------------------------------------------------------------


def chosen_cells(cells: Sequence[str], days: Sequence[str]) -> set[Cell]:
    """Return the hours that were checked, one by one or by whole days. Raises UsageInvalid."""
    chosen = {(int(day), hour) for day in days if day in "0123456" and len(day) == 1 for hour in range(24)}
    for text in cells:
        found = _CELL.fullmatch(text)
        if found is None:
            raise UsageInvalid(f"{text[:20]!r} is not an hour of the week.")
        chosen.add((int(found[1]), int(found[2])))
    return chosen


def rate_of(text: str) -> str:
    """Return a rate in megabytes a second as `flowhub limit` takes it: "2.5" is "2.5M", "" is "off"."""
    plain = text.strip()
    if not plain:
        return "off"
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", plain):
        raise UsageInvalid(f"{plain[:20]!r} is not a rate in megabytes a second.", hint="Write 2, or 0.5.")
    return f"{plain}M"


def show_schedule(call: Call) -> Response:
    session = call.session
    home, limits = session.home, in_force(session)
    now_us, schedule = home.clock.now_us(), session.home.controls.schedule()
    view = schedule_view(
        schedule,
        schedule_lines(schedule, now_us),
        limit_lines(limits, now_us),
        limits.limit,
        sum(worker.slots for worker in living_workers(home)),
        datetime.fromtimestamp(now_us / 1e6).astimezone(),
    )
    return render(
        call, "schedule.html", tab="/schedule", heading="Schedule", live="controls", view=view, notice=notice_of(call)
    )


def change_week(call: Call) -> Response:
    """Paint the chosen hours, or remove the schedule."""
    session, form = call.session, call.form()
    verb = form.get("do", [""])[0]
    if verb == "off":
        set_schedule(session, None)
        return back(call, "/schedule", "schedule")
    cells = chosen_cells(form.get("cell", []), form.get("day", []))
    if verb not in ("open", "close") or not cells:
        raise UsageInvalid(
            "No hour was chosen.", hint="Check hours or days of the week, then press what happens in them."
        )
    paint_week(session, cells, UNLIMITED if verb == "open" else 0)
    return back(call, "/schedule", "schedule")


def change_outside(call: Call) -> Response:
    """Set what happens outside of the windows: nothing runs, or all jobs at a rate."""
    rate = rate_of(call.form().get("rate", [""])[0])
    set_outside(call.session, "pause" if rate == "off" else rate)
    return back(call, "/schedule", "schedule")


def change_limit(call: Call) -> Response:
    form = call.form()
    rate, span = rate_of(form.get("rate", [""])[0]), form.get("for", [""])[0]
    set_limit(call.session, rate, span if span and rate != "off" else None)
    return back(call, "/schedule", "limit")


ROUTES: list[BaseRoute] = [
    Route("/schedule", endpoint(show_schedule), methods=["GET"]),
    Route("/schedule", endpoint(change_week), methods=["POST"]),
    Route("/schedule/outside", endpoint(change_outside), methods=["POST"]),
    Route("/schedule/limit", endpoint(change_limit), methods=["POST"]),
]
