"""The tab Queue: jobs that run, need the user, wait (with the reason), or have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.actions import ELIGIBLE, steer, steer_all
from flowhub_jobs.operations.enqueue import enqueue_refs
from flowhub_jobs.operations.forecast import remaining
from flowhub_jobs.operations.limits import limit_line
from flowhub_jobs.operations.queue_moves import in_turn, move_before, takes_turns
from flowhub_jobs.operations.queue_view import needing, read_overview, titles_or_none
from flowhub_jobs.operations.result_types import NO_WORKER, Overview, hub_page_of, need_of
from flowhub_jobs.operations.total_line import in_words
from flowhub_jobs.operations.wait_reasons import cause, reason_alone, shared_waits
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.values.enums import QueueOrder, Reason, Stage, State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import back, render, show_bar
from flowhub_jobs.web.pages.naming import Name, name_of_job
from flowhub_jobs.web.pages.svg_geometry import SPARK_HEIGHT, SPARK_WIDTH, Line, sparkline
from flowhub_jobs.web.pages.text import NO_VALUE, capital, day_or_time, of_total
from flowhub_jobs.web.speed_samples import SPAN_S

Titles = Mapping[str, str]
Samples = Mapping[int, Sequence[tuple[float, float]]]
WAITING_SHOWN, NEEDS_SHOWN = 200, 100
_STAGES = {Stage.RESOLVE: "Resolve", Stage.DOWNLOAD: "Download", Stage.VERIFY: "Verify", Stage.INSTALL: "Install"}
_ENDS = {
    State.COMPLETED: ("check", "Completed", "good"),
    State.FAILED: ("cross", "Failed", "bad"),
    State.CANCELLED: ("slash", "Cancelled", "soft"),
}


@dataclass(frozen=True, slots=True)
class RunningRow:
    """`bar` is the class of its <progress>; `max` 0 shows a bar without a known end."""

    id: int
    name: str
    about: str
    stage: str
    bar: str
    max: int
    value: int
    done: str
    of: str
    spark: Line | None
    speed: str
    left: str


@dataclass(frozen=True, slots=True)
class NeedRow:
    id: int
    name: str
    about: str
    icon: str
    css: str
    what: str
    remedy: str
    link: str | None
    link_label: str
    verb: str
    verb_label: str


@dataclass(frozen=True, slots=True)
class WaitingRow:
    id: int
    name: str
    about: str
    size: str
    kept: str
    why: str
    cause: str
    starts: str
    verbs: tuple[tuple[str, str], ...]
    in_turn: bool


@dataclass(frozen=True, slots=True)
class EndedRow:
    id: int
    name: str
    about: str
    size: str
    icon: str
    state: str
    css: str
    at: str
    took: str
    verb: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class QueueView:
    summary: str
    warning: str
    limit: str
    shared: tuple[str, ...]
    running: tuple[RunningRow, ...]
    needs: tuple[NeedRow, ...]
    needs_count: int
    waiting: tuple[WaitingRow, ...]
    waiting_sum: str
    ended: tuple[EndedRow, ...]

    @property
    def empty(self) -> bool:
        return not (self.running or self.needs or self.waiting or self.ended)


# From jobs to rows ----------------------------------------------------------------------------------------------------


def queue_view(
    overview: Overview,
    summary: str,
    warning: str,
    limit: str,
    titles: Titles,
    samples: Samples,
    now: datetime,
    order: QueueOrder = QueueOrder.OLDEST_FIRST,
) -> QueueView:
    """Return the tab; `samples` are (age in seconds, bytes a second) of each running job."""
    parked = needing(overview)
    waits = [job for job in overview.waiting if job not in parked]
    turns = in_turn(waits, order)
    waits = [*turns, *(job for job in waits if not takes_turns(job))]
    return QueueView(
        summary=summary,
        warning=warning,
        limit=limit,
        shared=tuple(shared_waits(waits, now)),
        running=tuple(running_row(job, titles, samples.get(job.id, ())) for job in overview.running),
        needs=tuple(need_row(job, titles) for job in (*overview.failed, *parked)[:NEEDS_SHOWN]),
        needs_count=len(overview.failed) + len(parked),
        waiting=tuple(waiting_row(job, titles, now, movable=len(turns) > 1) for job in waits[:WAITING_SHOWN]),
        waiting_sum=_sum(waits),
        ended=tuple(ended_row(job, titles, now) for job in overview.ended),
    )


def running_row(job: Job, titles: Titles, samples: Sequence[tuple[float, float]]) -> RunningRow:
    title, total = name_of_job(job, titles), job.bytes_total
    done, of = of_total(job.bytes_done, total)
    thousandth = max(1, (total or 0) // 1000)  # numbers that every browser takes as attributes
    return RunningRow(
        id=job.id,
        name=title.name,
        about=title.about,
        stage=_STAGES[job.stage] if job.stage else "Start",
        bar="verify" if job.stage is Stage.VERIFY else "",
        max=-(-total // thousandth) if total else 0,
        value=job.bytes_done // thousandth,
        done=done,
        of=of,
        spark=sparkline(samples, SPAN_S, width=SPARK_WIDTH, height=SPARK_HEIGHT),
        speed=format_rate(job.rate_bps) if job.rate_bps else NO_VALUE,
        left=format_duration(job.eta_s) if job.eta_s else NO_VALUE,
    )


def need_row(job: Job, titles: Titles) -> NeedRow:
    """Return a job that needs the user: what is wrong, what to do, and the button that follows."""
    need, title = need_of(job), name_of_job(job, titles)
    failed = job.state is State.FAILED
    gated = need.code in ("gated", "token_missing", "token_refused")
    return NeedRow(
        id=job.id,
        name=title.name,
        about=_with_size(title, job),
        icon="cross" if failed and not gated else "warn",
        css="failed" if failed and not gated else "",
        what=need.message,
        remedy=need.hint,
        link=hub_page_of(job.ref) if gated else f"/models/{job.model}" if failed and job.model else None,
        link_label="Open its page" if gated else "Other variants",
        verb="retry" if failed else "cancel",
        verb_label="Retry" if failed else "Cancel",
    )


def waiting_row(job: Job, titles: Titles, now: datetime, *, movable: bool) -> WaitingRow:
    title, paused = name_of_job(job, titles), job.state is State.PAUSED
    return WaitingRow(
        id=job.id,
        name=title.name,
        about=title.about,
        size=_size(job),
        kept=f"{format_bytes(job.bytes_done)} kept" if job.bytes_done else "",
        why="Paused by you" if paused else reason_alone(job.reason) if job.reason else "A worker is about to take it",
        cause=_cause(job),
        starts="when resumed" if paused else _starts(job, now),
        verbs=(("resume", "Resume"), ("cancel", "Cancel"))
        if paused
        else (*_first(job), ("pause", "Pause"), ("cancel", "Cancel")),
        in_turn=movable and takes_turns(job),
    )


def _first(job: Job) -> tuple[tuple[str, str], ...]:
    """Return the button that lets a job start earlier: before its time, or before other jobs."""
    timed = job.reason in (Reason.AT, Reason.WINDOW)
    return (("start", "Start now"),) if timed else (("top", "To the top"),)


def _cause(job: Job) -> str:
    has_cause = job.wait and job.reason in (Reason.HOST_WAIT, Reason.BACKOFF)
    return capital(cause(job.wait)) if has_cause and job.wait else ""


def _starts(job: Job, now: datetime) -> str:
    if job.not_before:
        return day_or_time(job.not_before, now)
    return "in its turn" if job.reason is Reason.SLOTS else "" if job.reason else "now"


def ended_row(job: Job, titles: Titles, now: datetime) -> EndedRow:
    title = name_of_job(job, titles)
    icon, state, css = _ENDS[job.state]
    can_retry = job.state in (State.FAILED, State.CANCELLED)
    return EndedRow(
        id=job.id,
        name=title.name,
        about=title.about,
        size=_size(job),
        icon=icon,
        state=state,
        css=css,
        at=day_or_time(job.finished_at, now),
        took=_result_text(job),
        verb=("retry", "Retry") if can_retry else None,
    )


def _result_text(job: Job) -> str:
    if job.state is not State.COMPLETED:
        return f"{format_bytes(job.bytes_done)} kept" if job.bytes_done else ""
    if job.brings and not job.bytes_fetched:
        return "already present"
    if not (job.started_at and job.finished_at):
        return ""
    return format_duration((job.finished_at - job.started_at).total_seconds())


def _with_size(title: Name, job: Job) -> str:
    return " · ".join(part for part in (title.about, format_bytes(job.bytes_total) if job.bytes_total else "") if part)


def _size(job: Job) -> str:
    return format_bytes(job.bytes_total) if job.bytes_total is not None else "unknown"


def _sum(jobs: Sequence[Job]) -> str:
    size = sum(max(0, (job.bytes_total or 0) - job.bytes_done) for job in jobs if job.brings)
    note = f", the first {WAITING_SHOWN} shown" if len(jobs) > WAITING_SHOWN else ""
    return f"{len(jobs)}{f', {format_bytes(size)} to go' if size else ''}{note}"


# Requests -------------------------------------------------------------------------------------------------------------


def show_queue(call: Call) -> Response:
    session, now = call.session, datetime.now(UTC)
    overview, clock_s = read_overview(session), now.timestamp()
    rates = call.context.rates
    rates.record({job.id: job.rate_bps or 0 for job in overview.running if job.stage is Stage.DOWNLOAD}, clock_s)
    samples = {job.id: rates.samples(job.id, clock_s) for job in overview.running}
    summary = capital(in_words(remaining(session.home, overview.live), now)) if overview.live else ""
    warning = NO_WORKER if overview.live and not session.home.living_workers() else ""
    limit = limit_line(session) if overview.live else None
    order = QueueOrder(session.settings.queue_order)
    view = queue_view(overview, summary, warning, limit or "", titles_or_none(session), samples, now, order)
    return render(
        call,
        "queue.html",
        tab="/queue",
        heading="Queue",
        overview=overview,
        live="job installed controls",
        queue=view,
        notice=notice_of(call),
    )


def queue_reference(call: Call) -> Response:
    """Queue what was typed or pasted: a model, a reference, a link."""
    form = call.form()
    refs = [ref.strip() for ref in form.get("ref", []) if ref.strip()]
    if not refs:
        raise UsageInvalid("No reference was given.", hint="Type a model, hf:owner/repo, or the link of a file.")
    tonight = form.get("when", ["now"])[0] == "tonight"
    jobs = [answer.job for answer in enqueue_refs(call.session, refs, {"tonight": tonight})]
    return back(call, "/queue", "queued", jobs)


def steer_job(call: Call) -> Response:
    form, job = call.form(), job_number(call)
    verb = form.get("do", [""])[0]
    if verb == "move":
        move_before(call.session, job, _next_job(form.get("before", [""])[0]))
    else:
        steer(call.session, verb, job)
    return back(call, "/queue", verb, [job])


def steer_queue(call: Call) -> Response:
    verb = call.form().get("do", [""])[0]
    if verb not in ELIGIBLE:
        raise UsageInvalid(f"{verb[:40]!r} is not an action on all jobs.")
    steer_all(call.session, verb)
    return back(call, "/queue", f"{verb}-all")


def _next_job(before: str) -> int | None:
    """Return the job before which a job is moved; None for the end of the queue. Raises UsageInvalid."""
    return _number(before) if before else None


def job_number(call: Call) -> int:
    """Return the job of the path. Raises UsageInvalid."""
    return _number(call.path("job"))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise UsageInvalid(f"{text[:40]!r} is not a job's number.")
    return int(text)


def show_root(call: Call) -> Response:
    return RedirectResponse("/queue", 303)


ROUTES: list[BaseRoute] = [
    Route("/", endpoint(show_root), methods=["GET"]),
    Route("/queue", endpoint(show_queue), methods=["GET"]),
    Route("/queue", endpoint(queue_reference), methods=["POST"]),
    Route("/bar", endpoint(show_bar), methods=["GET"]),
    Route("/queue/all", endpoint(steer_queue), methods=["POST"]),
    Route("/jobs/{job}", endpoint(steer_job), methods=["POST"]),
]
