"""The screen of one job: why it does not run, its figures, its files, and its events."""

from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.job_table import progress
from flowhub_jobs.operations.library.placed import (
    count_waiting,
    not_placed,
    remedy_of_placement,
    waiting_placements,
)
from flowhub_jobs.operations.nodes import place_of
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.wait_reasons import why_not_moving
from flowhub_jobs.units import format_bytes, format_rate
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

_VERBS = {
    State.QUEUED: "is queued",
    State.RUNNING: "is running",
    State.PAUSED: "is paused",
    State.COMPLETED: "is completed",
    State.FAILED: "has failed",
    State.CANCELLED: "was cancelled",
}
EVENTS_SHOWN = 12


def print_job(session: Session, job: Job) -> None:
    """Print one job in detail, beginning with why it does not run."""
    now = datetime.now(UTC)
    stage = f" ({job.stage})" if job.stage else ""
    output.result(output.fold(f"Job {job.id}: {job.title} {_VERBS[job.state]}{stage}.", after="  "))
    if job.node != session.node:
        output.result(f"  It is {place_of(job.node)}.")
    for line in why_not_moving(session.for_job(job), job, now):
        output.result(output.fold(line, "  "))
    if job.state is State.COMPLETED and job.node == session.node and count_waiting(session.home):
        _print_waiting_placements(session, job)
    output.result("")
    for name, value in _facts(job, session.queries.last_attempt(job.id)):
        output.result(f"  {name:<10} {output.clean(value)}")
    if len(job.files) > 1:
        _print_files(job)
    events = session.queries.events(job.id)
    note = "" if len(events) <= EVENTS_SHOWN else f" (the last {EVENTS_SHOWN} of {len(events)}; --json has all)"
    output.result(f"\n  Events{note}:")
    for event in events[-EVENTS_SHOWN:]:
        output.result(output.fold(f"{event.at.astimezone().strftime('%m-%d %H:%M:%S')}  {event.text}", "    ", " " * 8))


def _print_waiting_placements(session: Session, job: Job) -> None:
    """Print why the model is not in the folders of the programs yet."""
    for row in waiting_placements(session.home):
        if row.job == job.id and row.error is not None:
            text = f"{not_placed(row, row.error)} {remedy_of_placement(row, row.error)}"
            output.result(output.fold(output.clean(text), "  "))


def _facts(job: Job, last_attempt: int) -> list[tuple[str, str]]:
    total = f"{format_bytes(job.bytes_total)} ({progress(job)})" if job.bytes_total is not None else "an unknown size"
    facts = [
        (
            "bytes",
            f"{format_bytes(job.bytes_done)} of {total}; {format_bytes(job.bytes_fetched)} fetched",
        ),
        *([("sources", _sources(job))] if job.sources else []),
        ("digest", str(job.sha256_state)),
        ("target", job.target),
        ("attempt", str(job.attempt) if job.attempt >= last_attempt else f"{last_attempt} (handed back, not counted)"),
        ("priority", str(job.priority) + (f", group {job.group}" if job.group else "")),
        ("queued", _local(job.created_at)),
    ]
    if job.limit_bps:
        facts.append(("speed limit", format_rate(job.limit_bps)))
    if job.started_at:
        facts.append(("started", _local(job.started_at)))
    if job.finished_at:
        facts.append(("ended", _local(job.finished_at)))
    return facts


def _sources(job: Job) -> str:
    """Return the origins with their bytes, those with the most first."""
    most_first = sorted(job.sources, key=lambda source: -source.bytes)
    return ", ".join(f"{format_bytes(source.bytes)} from {source.origin}" for source in most_first)


def _print_files(job: Job) -> None:
    output.result("\n  Files:")
    for file in job.files:
        size = format_bytes(file.bytes) if file.bytes is not None else "unknown"
        share = f"{100 * file.bytes_done // file.bytes} %" if file.bytes else "-" if file.bytes is None else "100 %"
        output.result(f"    {size:>9}  {share:>5}  {output.clean(file.path)}")


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
