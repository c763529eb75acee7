"""The screen of `logs`: every event of a job, oldest first."""

from collections.abc import Sequence
from datetime import datetime

from flowhub_jobs.cli import output
from flowhub_jobs.jobs.attempts_and_events import Attempt
from flowhub_jobs.units import format_duration
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Event, Job

# Labels of events whose kind would promise too much: a file that is downloaded again may still fail.
_LABELS: dict[str, str] = {EventKind.PIECE_AGAIN: "repeated", EventKind.FILE_AGAIN: "repeated"}


def lines(job: Job, events: Sequence[Event], attempts: Sequence[Attempt], *, headed: bool) -> list[str]:
    """Return a line for each event; an attempt's first event is a line about the attempt. `headed`: name the job."""
    attempt_by_start = {attempt.started_at: attempt for attempt in attempts}  # a claim writes both at one moment
    rows = [f"Job {job.id}: {output.clean(job.title)}"] if headed else []
    for event in events:
        attempt = attempt_by_start.get(event.at) if event.kind == EventKind.CLAIMED else None
        text = f"{_LABELS.get(event.kind, event.kind):<11}  {event.text}" if attempt is None else _boundary(attempt)
        rows.append(f"{_local(event.at)}  {output.clean(' '.join(text.split(chr(10))))}".rstrip())
    return rows if events else [*rows, "Its events were dropped: they are older than `keep_events_days`."]


def _boundary(attempt: Attempt) -> str:
    took = format_duration((attempt.worked_until - attempt.started_at).total_seconds())
    ended = f"{attempt.outcome} after {took}" if attempt.outcome else f"at work for {took}"
    return f"{f'attempt {attempt.number}':<11}  {ended}, worker {attempt.worker}"


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
