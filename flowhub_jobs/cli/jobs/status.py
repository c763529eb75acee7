"""status: shows the queue, or one job in detail."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import status_view
from flowhub_jobs.cli.jobs.live_view import watch_jobs
from flowhub_jobs.cli.options import AsJson, JobArguments, OfNode, Quiet
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.job_list_filter import JobListFilter, parse_since_us, state_named
from flowhub_jobs.operations.job_numbers import job_numbers


def status(
    jobs: JobArguments = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show live progress; Ctrl-C detaches.")] = False,
    every: Annotated[bool, typer.Option("--all", help="All jobs, in the order of their numbers.")] = False,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="S",
            help="Only jobs in this state: queued, running, paused, completed, failed, cancelled.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Only jobs queued or ended since: 12h, 22:00, RFC 3339.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="G", help="Only jobs of this group.")] = None,
    node: OfNode = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show the queue, or everything about one job.

    Without JOB: running jobs, failed jobs, waiting jobs with their reason and time, the last 20 that ended, and a total
    with the expected end. On a terminal, the list is cut to one screen.
    """
    with open_session(node) as session:
        numbers = job_numbers(jobs) if jobs else None
        view = JobListFilter(numbers, every, state_named(state), parse_since_us(since), group)
        if output.chosen.json:
            status_view.print_json(session, view)
        elif quiet:
            status_view.print_numbers(session, view)
        elif watch:
            watch_jobs(session, lambda: view.read(session), until_ended=bool(jobs))
        else:
            status_view.print_plain(session, view)
