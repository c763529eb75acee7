"""The tab Schedule: the week hour by hour, to paint; its windows with their rates, the speed limit and the cap."""

import re
from collections.abc import Sequence
from datetime import datetime

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.caps import cap_lines, parse_cap, read_cap, set_cap
from flowhub_jobs.operations.limits import in_force, limit_lines, parse_jobs_max, set_jobs_max, set_limit
from flowhub_jobs.operations.result_types import UNLIMITED, Cell, DayWindows
from flowhub_jobs.operations.schedules import (
    add_windows,
    paint_week,
    remove_windows,
    schedule_lines,
    set_outside,
    set_rate,
    set_schedule,
)
from flowhub_jobs.operations.workers_and_service import living_workers
from flowhub_jobs.units import parse_rate
from flowhub_jobs.values.enums import Period
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import back, render
from flowhub_jobs.web.pages.schedule_view import schedule_view

_CELL = re.compile(r"([0-6])-([0-9]|1[0-9]|2[0-3])")


# What a form says -----------------------------------------------------------------------------------------------------


def chosen_cells(cells: Sequence[str], days: Sequence[str]) -> set[Cell]:
    """Return the hours that were checked, one by one or by whole days. Raises UsageInvalid."""
    chosen = {(int(day), hour) for day in days if day in "0123456" and len(day) == 1 for hour in range(24)}
    for text in cells:
        match = _CELL.fullmatch(text)
        if match is None:
            raise UsageInvalid(f"{text[:20]!r} is not an hour of the week.")
        chosen.add((int(match[1]), int(match[2])))
    return chosen


def typed_rate(text: str) -> str:
    """Return a rate in megabytes a second as `flowhub limit` takes it: "2.5" is "2.5M", "" is "off"."""
    trimmed = text.strip()
    if not trimmed:
        return "off"
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", trimmed) or not float(trimmed):
        raise UsageInvalid(f"{trimmed[:20]!r} is not a rate in megabytes a second.", hint="Write 2, or 0.5.")
    return f"{trimmed}M"


def typed_size(text: str) -> str:
    """Return a size in gigabytes as `flowhub cap` takes it: "200" is "200G", "" is "off"."""
    trimmed = text.strip()
    if not trimmed:
        return "off"
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", trimmed) or not float(trimmed):
        raise UsageInvalid(
            f"{trimmed[:20]!r} is not a size in gigabytes.", hint="Write 200, or 0.5; leave it empty for no cap."
        )
    return f"{trimmed}G"


def show_schedule(call: Call) -> Response:
    session = call.session
    home, limits, cap = session.home, in_force(session), read_cap(session)
    now_us, schedule = home.clock.now_us(), session.home.controls.schedule()
    view = schedule_view(
        schedule,
        schedule_lines(schedule, now_us),
        limit_lines(limits, now_us),
        limits.limit,
        cap_lines(cap, now_us),
        (cap.use.cap.bytes, cap.use.cap.per) if cap.use else (None, Period.MONTH),
        sum(worker.slots for worker in living_workers(home)),
        limits.jobs_max,
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
    if verb not in ("open", "rate", "close") or not cells:
        raise UsageInvalid(
            "No hour was chosen.", hint="Check hours or days of the week, then press what happens in them."
        )
    paint_week(session, cells, _painted_rate(verb, form.get("rate", [""])[0]))
    return back(call, "/schedule", "schedule")


def _painted_rate(verb: str, typed: str) -> int:
    """Return the rate that hours are painted with. Raises UsageInvalid."""
    if verb != "rate":
        return UNLIMITED if verb == "open" else 0
    rate = parse_rate(typed_rate(typed))
    if rate is None:
        raise UsageInvalid("No speed was given.", hint="Write megabytes a second, such as 2, or press Run.")
    return rate


def change_windows(call: Call) -> Response:
    """Add windows, set the rate of those of a number, or remove them."""
    session, form = call.session, call.form()
    verb, windows, days, typed, rate = (form.get(name, [""])[0] for name in ("do", "windows", "days", "number", "rate"))
    number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 5 else 0
    if verb == "remove":
        remove_windows(session, number)
    elif verb == "save":
        set_rate(session, number, parse_rate(typed_rate(rate)))
    else:
        add_windows(session, DayWindows.parse(windows, days.strip() or None, typed_rate(rate)))
    return back(call, "/schedule", "schedule")


def change_jobs(call: Call) -> Response:
    """Set how many jobs run at a time."""
    set_jobs_max(call.session, parse_jobs_max(call.form().get("jobs", [""])[0].strip() or "off"))
    return back(call, "/schedule", "limit")


def change_cap(call: Call) -> Response:
    form = call.form()
    size, per = typed_size(form.get("size", [""])[0]), form.get("per", [""])[0]
    set_cap(call.session, parse_cap(size, per if per and size != "off" else None))
    return back(call, "/schedule", "cap")


def change_outside(call: Call) -> Response:
    """Set what happens outside of the windows: nothing runs, or all jobs at a rate."""
    rate = typed_rate(call.form().get("rate", [""])[0])
    set_outside(call.session, "pause" if rate == "off" else rate)
    return back(call, "/schedule", "schedule")


def change_limit(call: Call) -> Response:
    form = call.form()
    rate, span = typed_rate(form.get("rate", [""])[0]), form.get("for", [""])[0]
    set_limit(call.session, rate, span if span and rate != "off" else None)
    return back(call, "/schedule", "limit")


ROUTES: list[BaseRoute] = [
    Route("/schedule", endpoint(show_schedule), methods=["GET"]),
    Route("/schedule", endpoint(change_week), methods=["POST"]),
    Route("/schedule/outside", endpoint(change_outside), methods=["POST"]),
    Route("/schedule/windows", endpoint(change_windows), methods=["POST"]),
    Route("/schedule/jobs", endpoint(change_jobs), methods=["POST"]),
    Route("/schedule/cap", endpoint(change_cap), methods=["POST"]),
    Route("/schedule/limit", endpoint(change_limit), methods=["POST"]),
]
