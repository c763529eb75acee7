"""status, wait, and what a bare `flowhub` shows."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import status_view
from flowhub_jobs.cli.jobs.watch import watch_jobs
from flowhub_jobs.cli.options import AsJson, JobArguments, Quiet
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.job_choice import JobChoice, since_of, state_named
from flowhub_jobs.operations.job_numbers import job_numbers


def status(
    jobs: JobArguments = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and watch; Ctrl-C leaves, the jobs continue.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Jobs of every state and age, by number.")] = False,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="S", help="Only: queued, running, paused, completed, failed, cancelled."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Queued or ended since: 12h, 22:00, RFC 3339.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="G", help="Only jobs of this group.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show the queue, or everything about one job.

    Without JOB: running jobs, failed ones that need you, waiting ones with reason and time, and the last 20 that ended;
    below them the total, and when all is done. On a terminal it is cut to one screen.
    """
    with open_session() as session:
        numbers = job_numbers(jobs) if jobs else None
        view = JobChoice(numbers, every, state_named(state), since_of(since), group)
        if output.chosen.json:
            status_view.print_json(session, view)
        elif quiet:
            status_view.print_numbers(session, view)
        elif watch:
            watch_jobs(session, lambda: view.read(session), until_ended=bool(jobs))
        else:
            status_view.print_plain(session, view)
