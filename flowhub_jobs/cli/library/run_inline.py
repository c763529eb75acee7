"""Runs jobs in the calling process, or leaves them to a worker, and prints their progress."""

import time
from collections.abc import Sequence

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.wait import error_of
from flowhub_jobs.cli.session import hint_no_worker
from flowhub_jobs.errors import DiskFull, FlowhubError, Interrupted, NotDoneYet, SomeFailed, StoreOffline
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.wait_reasons import reason_alone
from flowhub_jobs.units import format_bytes, format_rate
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.worker.inline import running_inline

POLL_S = 0.2


def run_here(session: Session, numbers: Sequence[int], verb: str) -> list[Job]:
    """Run these jobs here, or wait for a worker that runs one; return them as they ended, or as they wait.

    `verb` begins the progress line: "Verifying". Ctrl-C hands running jobs back.
    """
    unique = list(dict.fromkeys(numbers))
    shows = output.shows_progress()
    try:
        with running_inline(session.home, unique) as over:
            while not over.is_set() or State.RUNNING in session.queries.state_of(unique).values():
                if shows:
                    output.progress(_line(verb, session.queries.jobs(unique)))
                over.wait(POLL_S) if not over.is_set() else _wait_for_other_worker(session)
    except KeyboardInterrupt:
        if shows:
            output.progress("")
        hint = "Unfinished jobs stay queued, for a worker or for the same command; `flowhub status` shows them."
        raise Interrupted("Interrupted.", hint=hint) from None
    if shows:
        output.progress("")
    return session.queries.jobs(unique)


def run_or_queue(session: Session, numbers: Sequence[int], verb: str, later: bool) -> None:
    """Leave the jobs to a worker (`later`), or run them here and raise for those not done. Prints them."""
    if later:
        queue_for_worker(session, numbers)
        return
    jobs = run_here(session, numbers, verb)
    print_jobs(jobs)
    raise_undone_jobs(jobs)


def queue_for_worker(session: Session, numbers: Sequence[int]) -> None:
    """Leave these jobs to a worker, and print them."""
    session.wake_workers(len(numbers))
    print_jobs(session.queries.jobs(list(dict.fromkeys(numbers))))
    if numbers:
        hint_no_worker(session)


def print_jobs(jobs: Sequence[Job]) -> None:
    if output.chosen.json:
        output.result_json(jobs_json(jobs))
        return
    for job in jobs:
        size = format_bytes(job.bytes_total) if job.bytes_total is not None else "size unknown"
        where = f", {output.clean(job.target)}" if job.state is State.COMPLETED else ""
        output.result(f"Job {job.id}: {job.kind} {output.clean(job.ref)}, {size}, {job.state}{where}")


def _wait_for_other_worker(session: Session) -> None:
    """Wait for a job that another worker has; if that one dies, its job goes back into the queue."""
    time.sleep(POLL_S)
    session.rescue_orphans()


def why_not_done(job: Job) -> FlowhubError | None:
    """Return the error of a job that is not completed, or its reason to wait as an error; None if it is completed."""
    if job.state is State.COMPLETED:
        return None
    if not job.live:
        return error_of(job)
    kind = {Reason.DISK: DiskFull, Reason.STORE_OFFLINE: StoreOffline}.get(job.reason or Reason.SLOTS, NotDoneYet)
    return kind(
        f"Job {job.id} ({job.title}) is {job.state}" + (f": {_why(job.reason)}." if job.reason else "."),
        hint=f"A worker continues it; `flowhub status {job.id}` says more, `flowhub cancel {job.id}` ends it.",
    )


def _why(reason: Reason) -> str:
    text = reason_alone(reason)
    return text[0].lower() + text[1:]


def raise_undone_jobs(jobs: Sequence[Job]) -> None:
    """Raise the error of the only job, or SomeFailed if some of several are not done."""
    errors = [error for job in jobs if (error := why_not_done(job))]
    if errors and len(jobs) == 1:
        raise errors[0]
    if errors:
        message = f"{len(errors)} of {len(jobs)} jobs are not done. The first: {errors[0].message}"
        raise SomeFailed(message, hint=errors[0].hint)


def _line(verb: str, jobs: Sequence[Job]) -> str:
    """Return e.g. `Verifying 2 of 5: qwen3-8b-q4_k_m.gguf, 43 % of 5.03 GB, 1.2 GB/s`."""
    running = next((job for job in jobs if job.state is State.RUNNING), None)
    ended = sum(not job.live for job in jobs)
    if running is None or not running.bytes_total:
        return f"{verb} …"
    count = f" {ended + 1} of {len(jobs)}" if len(jobs) > 1 else ""
    share = f"{100 * running.bytes_done // running.bytes_total} % of {format_bytes(running.bytes_total)}"
    rate = f", {format_rate(running.rate_bps)}" if running.rate_bps else ""
    return f"{verb}{count}: {output.clean(running.ref)}, {share}{rate}"
