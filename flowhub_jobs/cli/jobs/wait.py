"""wait: waits for jobs to end; their outcome decides the exit status."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs import status_view
from flowhub_jobs.cli.jobs.live_view import watch_jobs
from flowhub_jobs.cli.options import AsJson, JobArguments
from flowhub_jobs.cli.session import chosen_jobs, hint_no_worker, open_session
from flowhub_jobs.errors import ERRORS, FlowhubError, JobCancelled, SomeFailed, TimedOut
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import parse_span
from flowhub_jobs.units import named_jobs
from flowhub_jobs.values.enums import LIVE_STATES, State
from flowhub_jobs.values.jobs import Job

POLL_S = 0.2
NAMED = 5


def wait(
    jobs: JobArguments = None,
    every: Annotated[bool, typer.Option("--all", help="All queued, running and paused jobs.")] = False,
    group: Annotated[
        str | None, typer.Option("--group", metavar="G", help="All queued, running and paused jobs of this group.")
    ] = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="S", help="Give up after: 90, 15m, 2h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until jobs end.

    Exit status: 0 if all are completed, the error's own if one job was named and failed, 10 if some of several failed,
    124 after --timeout.
    """
    limit = parse_span(timeout) if timeout else None
    with open_session() as session:
        numbers = chosen_jobs(jobs, every, group, partial(session.queries.in_state, LIVE_STATES))
        session.queries.jobs(numbers)  # raises NotFound for an unknown number before it waits
        until_ended(session, numbers, limit_s=limit)
        status_view.print_some(session, numbers)
        raise_job_failures(session, numbers)


def until_ended(session: Session, numbers: Sequence[int], *, watch: bool = False, limit_s: float | None = None) -> None:
    """Wait until all these jobs have ended, and print a hint about it. Raises TimedOut after `limit_s`."""
    session.watch_database()
    live = [job for job, state in session.queries.state_of(numbers).items() if state in LIVE_STATES]
    if live:
        if not watch:
            output.hint(f"Waiting for {named_jobs(live, NAMED)}; Ctrl-C stops waiting; the jobs continue.")
        hint_no_worker(session)
    if watch:
        watch_jobs(session, lambda: session.queries.jobs(list(dict.fromkeys(numbers))), until_ended=True)
        return
    deadline = None if limit_s is None else time.monotonic() + limit_s
    while live := [job for job, state in session.queries.state_of(numbers).items() if state in LIVE_STATES]:
        if deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(_not_in_time(live, len(set(numbers))))
        time.sleep(POLL_S)


def _not_in_time(live: Sequence[int], count: int) -> str:
    if count == 1:
        return f"Job {live[0]} did not finish in that time."
    return f"{len(live)} of {count} jobs did not finish in that time; the first is {live[0]}."


def raise_job_failures(session: Session, numbers: Sequence[int]) -> None:
    """Raise the job's own error if one job was waited for and failed, SomeFailed if some of several failed."""
    jobs = session.queries.jobs(list(dict.fromkeys(numbers)))
    failed = [job for job in jobs if job.state in (State.FAILED, State.CANCELLED)]
    if not failed:
        return
    if len(jobs) == 1:
        raise error_of(failed[0])
    hint = f"`flowhub status {failed[0].id}` says why; `flowhub retry` queues them again."
    raise SomeFailed(
        f"{len(failed)} of {len(jobs)} jobs failed or were cancelled; the first is {failed[0].id}.", hint=hint
    )


def error_of(job: Job) -> FlowhubError:
    """Return a job's stored error as an exception of its class."""
    if job.error is None:
        return JobCancelled(f"Job {job.id} was cancelled.", hint=f"`flowhub retry {job.id}` queues it again.")
    kind = ERRORS.get(job.error["code"], FlowhubError)
    error = kind.__new__(kind)
    FlowhubError.__init__(error, job.error["message"], hint=job.error["hint"])
    return error
