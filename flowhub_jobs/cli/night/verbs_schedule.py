"""schedule set, off, show: the windows in which jobs may start."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.other_words import AnsweringGroup

if TYPE_CHECKING:
    from flowhub_jobs.hub.desk import Desk
    from flowhub_jobs.jobs.windows import Schedule

schedule = typer.Typer(
    name="schedule",
    help="Set the weekly windows in which jobs run.\n\nTimes are local, also across daylight-saving changes.",
    cls=AnsweringGroup,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@schedule.command("set")
def set_schedule(
    windows: Annotated[
        str, typer.Argument(metavar="WINDOWS", help="23:00-07:00, or several: 23:00-07:00,12:00-13:00.")
    ],
    days: Annotated[
        str | None,
        typer.Option("--days", metavar="DAYS", help="The days on which a window opens: mon-fri,sun (default: all)."),
    ] = None,
    outside: Annotated[
        str,
        typer.Option("--outside", metavar="pause|RATE", help="Outside: nothing runs, or all jobs at a rate (500K)."),
    ] = "pause",
    as_json: AsJson = False,
) -> None:
    """Run jobs only in these windows, every week.

    When a window closes, running jobs stop and keep their partial downloads; they continue in the next one.
    """
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.jobs.controls import SCHEDULE
    from flowhub_jobs.jobs.windows import Schedule

    wanted = Schedule.parse(windows, days, outside)
    with desk() as found:
        found.home.controls.set(SCHEDULE, wanted.as_json())
        _tell(found, as_json=as_json)


@schedule.command()
def off(as_json: AsJson = False) -> None:
    """Remove the schedule: jobs run at any time."""
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.jobs.controls import SCHEDULE

    with desk() as found:
        found.home.controls.set(SCHEDULE, None)
        _tell(found, as_json=as_json)


@schedule.command()
def show(as_json: AsJson = False) -> None:
    """Show the schedule, and whether jobs may run now."""
    from flowhub_jobs.cli.session import desk

    with desk() as found:
        _tell(found, as_json=as_json)


def _tell(desk: "Desk", *, as_json: bool) -> None:
    from flowhub_jobs.cli import say

    now, known = desk.home.clock.now_us(), desk.home.controls.schedule()
    if as_json:
        say.result_json(_page(known, now))
    elif known is None:
        say.result("No schedule: jobs run at any time.")
    else:
        for line in in_words(known, now):
            say.result(say.fold(line))


def _page(known: "Schedule | None", now: int) -> dict[str, Any]:
    """Return `flowhub/schedule/1`. Without a schedule it is always open; `outside_bps` null means that nothing runs."""
    from flowhub_jobs.times import moment, rfc3339

    told = known.as_json() if known else {"windows": [], "days": [], "outside_bps": None}
    change = moment(known.next_change(now)) if known else None
    state = {"open": known is None or known.is_open(now), "next_change": rfc3339(change) if change else None}
    return {"schema": "flowhub/schedule/1", **told, **state}


def in_words(known: "Schedule", now: int) -> list[str]:
    """Return what a schedule says, and what it means now."""
    from flowhub_jobs.words import format_rate

    told = known.as_json()
    days = "every day" if len(told["days"]) == 7 else "on " + ", ".join(told["days"])
    rest = f"at {format_rate(known.outside_bps)} for all jobs together" if known.outside_bps else "nothing runs"
    windows = " and ".join(window.replace("-", " to ") for window in told["windows"])
    return [f"Jobs run from {windows}, {days}; outside, {rest}.", _now_in_words(known, now)]


def _now_in_words(known: "Schedule", now: int) -> str:
    from datetime import UTC, datetime

    from flowhub_jobs.times import at_clock, moment
    from flowhub_jobs.words import format_duration

    change = known.next_change(now)
    then = moment(change)
    if change is None or then is None:
        return "It is open now and never closes."
    when = at_clock(then, datetime.fromtimestamp(now / 1e6, UTC))
    what = "open now and closes" if known.is_open(now) else "closed now and opens"
    return f"It is {what} {when}, in {format_duration((change - now) / 1e6)}."
