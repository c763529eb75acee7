"""schedule set, add, remove, off, show: the weekly windows in which jobs run, and their rates."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.jobs.schedule import DayWindows, Schedule
from flowhub_jobs.operations.schedules import (
    add_windows,
    lines_below_rows,
    remove_windows,
    schedule_lines,
    window_rows,
)
from flowhub_jobs.operations.schedules import set_schedule as set_it
from flowhub_jobs.operations.schemas.controls import schedule_json
from flowhub_jobs.operations.session import Session

Windows = Annotated[str, typer.Argument(metavar="WINDOWS", help="23:00-07:00, or several: 23:00-07:00,12:00-13:00.")]
Days = Annotated[
    str | None,
    typer.Option("--days", metavar="DAYS", help="Days on which a window opens: mon-fri,sun (default: all)."),
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", metavar="RATE", help="Speed of all jobs together in these windows: 2M (default: no limit)."),
]

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
    windows: Windows,
    days: Days = None,
    rate: Rate = None,
    outside: Annotated[
        str,
        typer.Option(
            "--outside",
            metavar="pause|RATE",
            help="Outside the windows: pause, or a speed limit such as 500K (default pause).",
        ),
    ] = "pause",
    as_json: AsJson = False,
) -> None:
    """Run jobs only in these weekly windows, which replace all others.

    When a window closes, running jobs stop and keep their partial downloads. They continue in the next window.
    """
    schedule = Schedule.parse(windows, days, outside, rate)
    with open_session() as session:
        set_it(session, schedule)
        _print_schedule(session)


@schedule.command()
def add(windows: Windows, days: Days = None, rate: Rate = None, as_json: AsJson = False) -> None:
    """Add windows to the schedule, with days and a rate of their own.

    Where windows overlap, the highest rate applies. Added again with the same days, windows take the new rate.
    """
    group = DayWindows.parse(windows, days, rate)
    with open_session() as session:
        add_windows(session, group)
        _print_schedule(session)


@schedule.command()
def remove(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number in `flowhub schedule show`.")],
    as_json: AsJson = False,
) -> None:
    """Remove windows by their number. Without the last ones, jobs run at any time."""
    with open_session() as session:
        remove_windows(session, number)
        _print_schedule(session)


@schedule.command()
def off(as_json: AsJson = False) -> None:
    """Remove the schedule, so that jobs run at any time."""
    with open_session() as session:
        set_it(session, None)
        _print_schedule(session)


@schedule.command()
def show(as_json: AsJson = False) -> None:
    """Show the schedule, and whether jobs may run now."""
    with open_session() as session:
        _print_schedule(session)


def _print_schedule(session: Session) -> None:
    now, schedule = session.now_us(), session.controls.schedule()
    if output.chosen.json:
        output.result_json(schedule_json(schedule, now))
        return
    if rows := window_rows(schedule):
        output.result(output.table(("", "WINDOWS", "DAYS", "RATE"), rows, right=(0,)))
    for line in lines_below_rows(schedule, now) if schedule and rows else schedule_lines(schedule, now):
        output.result(output.fold(line))
