"""status, wait, and what a bare `flowhub` shows."""

from typing import Annotated

import typer

from flowhub_jobs.cli.options import AsJson, JobArguments, Quiet


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
    from flowhub_jobs.cli.jobs import status_view
    from flowhub_jobs.cli.session import job_numbers, open_session

    with open_session() as session:
        numbers = job_numbers(jobs) if jobs else None
        view = status_view.Choice(numbers, every, status_view.state_named(state), status_view.since(since), group)
        if as_json:
            status_view.print_json(session, view)
        elif quiet:
            status_view.print_numbers(session, view)
        elif watch:
            from flowhub_jobs.cli.jobs.watch import watch_jobs

            watch_jobs(session, lambda: view.read(session), until_ended=bool(jobs))
        else:
            status_view.print_plain(session, view)


def wait(
    jobs: JobArguments = None,
    every: Annotated[bool, typer.Option("--all", help="Every live job.")] = False,
    group: Annotated[str | None, typer.Option("--group", metavar="G", help="Every live job of this group.")] = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="S", help="Give up after: 90, 15m, 2h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Return when the jobs have ended.

    Exit status: 0 if all are completed, that of its error if the one job failed, 10 if some of several did, 124 when
    the time of --timeout is over.
    """
    from flowhub_jobs.cli.jobs import status_view
    from flowhub_jobs.cli.jobs import wait as jobs_wait
    from flowhub_jobs.cli.session import chosen_jobs, open_session
    from flowhub_jobs.jobs.states import LIVE
    from flowhub_jobs.times import parse_span

    limit = parse_span(timeout) if timeout else None
    with open_session() as session:
        numbers = chosen_jobs(session, jobs, every, group, LIVE)
        session.home.queries.jobs(numbers)  # a number that is none is told at once
        jobs_wait.until_ended(session, numbers, limit_s=limit, quiet=as_json)
        status_view.print_some(session, numbers, as_json=as_json)
        jobs_wait.raise_for(session, numbers)


def glance(*, as_json: bool) -> None:
    """Print one screen of what is going on."""
    from flowhub_jobs.cli.jobs.overview import print_glance, print_glance_json
    from flowhub_jobs.cli.session import open_session

    with open_session() as session:
        print_glance_json(session) if as_json else print_glance(session)
