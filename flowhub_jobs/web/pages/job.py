"""The page of one job: why it does not run, its pieces, attempts, events, files and source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.job_detail import FilePieces, JobDetail, read_job
from flowhub_jobs.operations.queue_view import titles_or_none
from flowhub_jobs.operations.result_types import Attempt
from flowhub_jobs.operations.wait_reasons import why_not_moving
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.values.enums import Reason, Stage, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import render
from flowhub_jobs.web.pages.model import Fact, source_of
from flowhub_jobs.web.pages.naming import Name, name_of_job
from flowhub_jobs.web.pages.queue import job_number
from flowhub_jobs.web.pages.svg_geometry import strip
from flowhub_jobs.web.pages.text import day_or_time, of_total

STRIPS_SHOWN, CELLS, EVENTS_SHOWN, FILES_SHOWN, ATTEMPTS_SHOWN = 8, 120, 100, 200, 50
_STATES = {
    State.QUEUED: ("clock", "Waiting", "soft"),
    State.RUNNING: ("play", "Running", ""),
    State.PAUSED: ("pause", "Paused", "warn"),
    State.COMPLETED: ("check", "Completed", "good"),
    State.FAILED: ("cross", "Failed", "bad"),
    State.CANCELLED: ("slash", "Cancelled", "soft"),
}
_VERBS = {
    State.QUEUED: (("top", "To the top"), ("pause", "Pause"), ("cancel", "Cancel")),
    State.RUNNING: (("pause", "Pause"), ("cancel", "Cancel")),
    State.PAUSED: (("resume", "Resume"), ("cancel", "Cancel")),
    State.FAILED: (("retry", "Retry"),),
    State.CANCELLED: (("retry", "Retry"),),
    State.COMPLETED: (),
}
_OUTCOMES = {
    "completed": "completed",
    "failed": "failed",
    "waits": "waits for its next try",
    "handed_back": "handed back",
    "paused": "paused",
    "cancelled": "cancelled",
    "rescued": "its worker died",
}
_DIGESTS = {
    "pending": "not checked yet",
    "running": "being checked",
    "verified": "verified",
    "unpinned": "computed; none to match",
    "mismatch": "does not match",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of a strip: its place in percent, and whether it is whole, in part or not on the disk."""

    x: float
    css: str


@dataclass(frozen=True, slots=True)
class Strip:
    path: str
    words: str
    cells: tuple[Cell, ...]
    width: float


@dataclass(frozen=True, slots=True)
class AttemptRow:
    number: int
    begin: str
    end: str
    took: str
    outcome: str


@dataclass(frozen=True, slots=True)
class EventLine:
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class JobFileRow:
    path: str
    size: str
    done: str
    digest: str


@dataclass(frozen=True, slots=True)
class JobView:
    """`bar` is the class of the <progress>; `max` 0 shows none."""

    id: int
    name: str
    about: str
    icon: str
    state: str
    css: str
    why: tuple[str, ...]
    verbs: tuple[tuple[str, str], ...]
    bar: str
    max: int
    value: int
    done: str
    of: str
    stage: str
    facts: tuple[Fact, ...]
    strips: tuple[Strip, ...]
    attempts: tuple[AttemptRow, ...]
    events: tuple[EventLine, ...]
    files: tuple[JobFileRow, ...]
    files_more: int


def job_view(detail: JobDetail, why: Sequence[str], titles: Mapping[str, str], now: datetime) -> JobView:
    job, title = detail.job, name_of_job(detail.job, titles)
    icon, state, css = _STATES[job.state]
    done, of = of_total(job.bytes_done, job.bytes_total)
    thousandth = max(1, (job.bytes_total or 0) // 1000)
    return JobView(
        id=job.id,
        name=title.name,
        about=title.about,
        icon=icon,
        state=state,
        css=css,
        why=tuple(why),
        verbs=_verbs(job),
        bar="verify" if job.stage is Stage.VERIFY else "" if job.state is State.RUNNING else "still",
        max=-(-job.bytes_total // thousandth) if job.bytes_total else 0,
        value=job.bytes_done // thousandth,
        done=done,
        of=of,
        stage=str(job.stage).capitalize() if job.stage else "",
        facts=_facts(detail, title, now),
        strips=tuple(strip_of(pieces) for pieces in detail.pieces[:STRIPS_SHOWN]),
        attempts=attempt_rows(detail.attempts, now)[:ATTEMPTS_SHOWN],
        events=tuple(
            EventLine(f"{event.at.astimezone():%d %b %H:%M:%S}", event.text)
            for event in reversed(detail.events[-EVENTS_SHOWN:])
        ),
        files=tuple(
            JobFileRow(
                file.path,
                format_bytes(file.bytes) if file.bytes is not None else "unknown",
                f"{100 * file.bytes_done // file.bytes} %" if file.bytes else "",
                file.sha256 or "",
            )
            for file in job.files[:FILES_SHOWN]
        ),
        files_more=max(0, len(job.files) - FILES_SHOWN),
    )


def _verbs(job: Job) -> tuple[tuple[str, str], ...]:
    timed = job.state is State.QUEUED and job.reason in (Reason.AT, Reason.WINDOW)
    return (("start", "Start now"), *_VERBS[job.state][1:]) if timed else _VERBS[job.state]


def strip_of(pieces: FilePieces) -> Strip:
    """Return the strip of one file: a cell is whole, in part, or not there."""
    shares = strip(pieces.kept, pieces.size, CELLS)
    width = 100 / CELLS
    cells = [
        Cell(round(number * width, 3), "whole" if part > 0.999 else "part" if part else "none")
        for number, part in enumerate(shares)
    ]
    on_disk = sum(end - start for start, end in pieces.kept)
    description = (
        f"{format_bytes(on_disk)} of {format_bytes(pieces.size)} on disk, {format_bytes(pieces.hashed)} hashed"
    )
    return Strip(pieces.path, description, tuple(cells), round(width * 0.82, 3))


def attempt_rows(attempts: Sequence[Attempt], now: datetime) -> tuple[AttemptRow, ...]:
    """Return the attempts, the latest first. Those of one number that ended alike, one after the other, are one row.

    A host that is away is tried every five minutes, at no cost: its tries would bury the other attempts.
    """
    grouped = groupby(reversed(attempts), lambda one: (one.number, one.outcome, one.finished_at is None))
    return tuple(_attempt_row(list(group), now) for _, group in grouped)


def _attempt_row(group: Sequence[Attempt], now: datetime) -> AttemptRow:
    last, first = group[0], group[-1]
    worked = sum(((one.finished_at or one.worked_until) - one.started_at).total_seconds() for one in group)
    outcome = _OUTCOMES.get(last.outcome or "", last.outcome or "") if last.finished_at else "running"
    return AttemptRow(
        number=last.number,
        begin=day_or_time(first.started_at, now),
        end=day_or_time(last.finished_at, now) if last.finished_at else "now",
        took=format_duration(worked),
        outcome=f"{outcome}, {len(group)} times" if len(group) > 1 else outcome,
    )


def _facts(detail: JobDetail, title: Name, now: datetime) -> tuple[Fact, ...]:
    job = detail.job
    source, revision = source_of(detail.artifact) if detail.artifact else (None, None)
    target = "Installed as" if job.state is State.COMPLETED else "Target"
    facts = [
        Fact("Reference", job.ref if job.ref != title.name else "", mono=True),
        Fact("Speed", format_rate(job.rate_bps) if job.rate_bps else ""),
        Fact("Speed limit", format_rate(job.limit_bps) if job.limit_bps else ""),
        Fact("Time left", format_duration(job.eta_s) if job.eta_s else ""),
        Fact("Downloaded", format_bytes(job.bytes_fetched)),
        Fact("Sources", _source_hosts(job)),
        Fact("Digest", _DIGESTS[job.sha256_state]),
        Fact("Queued", day_or_time(job.created_at, now)),
        Fact("Started", day_or_time(job.started_at, now)),
        Fact("Ended", day_or_time(job.finished_at, now)),
        Fact("Priority", str(job.priority) if job.priority else ""),
        Fact("Group", job.group or ""),
        source or Fact("Source", ""),
        Fact("Revision", (revision or "")[:12], mono=True),
        Fact(target, job.target if job.brings else "", mono=True),
    ]
    return tuple(fact for fact in facts if fact.value)


def _source_hosts(job: Job) -> str:
    """Return the hosts that sent the bytes, most first: "huggingface.co 3.1 GB, 127.0.0.1:8900 400 MB"."""
    most_first = sorted(job.sources, key=lambda source: -source.bytes)
    return ", ".join(f"{one.origin.partition('://')[2] or one.origin} {format_bytes(one.bytes)}" for one in most_first)


def show_job(call: Call) -> Response:
    session, now = call.session, datetime.now(UTC)
    detail = read_job(session, job_number(call))
    view = job_view(detail, why_not_moving(session, detail.job, now), titles_or_none(session), now)
    return render(
        call,
        "job.html",
        tab="/queue",
        heading=f"Job {view.id}: {view.name}",
        live="job",
        view=view,
        notice=notice_of(call),
    )


ROUTES: list[BaseRoute] = [Route("/jobs/{job}", endpoint(show_job), methods=["GET"])]
