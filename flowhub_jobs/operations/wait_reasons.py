"""Reasons why a job does not move, with the user's remedies."""

from collections.abc import Sequence
from datetime import datetime

from flowhub_jobs.errors import ERRORS
from flowhub_jobs.errors.hint_placeholders import for_command_line
from flowhub_jobs.jobs.remedies import NO_WORKER, what_to_do
from flowhub_jobs.jobs.states import Hold
from flowhub_jobs.operations.library.least_recently_used import bytes_missing, chosen_to_fit, removable_models
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import at_clock, clock_time, moment
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.values.enums import EventKind, Reason, Stage, State
from flowhub_jobs.values.jobs import Job, Wait

# Why a queued job does not start, and how the sentence continues with the time at which that ends.
REASONS = {
    Reason.AT: ("It has a later start time", "it starts"),
    Reason.WINDOW: ("The schedule's window is closed", "it opens"),
    Reason.CAP: ("The cap on downloaded bytes is reached", "the next period begins"),
    Reason.AFTER: ("It waits for other jobs to finish or fail", ""),
    Reason.STORE_OFFLINE: ("The store's disk is not mounted", "the next check is"),
    Reason.DISK: ("The store's disk has not enough free space", "the next check is"),
    Reason.NETWORK: ("This machine is offline", "the next check is"),
    Reason.HOST_WAIT: ("The host cannot be reached or asked for a pause", "the next try is"),
    Reason.BACKOFF: ("The last try failed", "the next one is"),
    Reason.SLOTS: ("All workers are busy; it starts when a slot is free", ""),
}
NEXT = {
    Reason.AT: "`flowhub start {job}` starts it now.",
    Reason.WINDOW: "`flowhub start {job}` starts it now; `flowhub schedule show` shows the windows.",
    Reason.CAP: "`flowhub cap` shows what was used; `flowhub cap 300G` or `flowhub cap off` lets it start now.",
    Reason.AFTER: "To start it now, `flowhub cancel {job}` and enqueue it again without --after.",
    Reason.STORE_OFFLINE: "Mount the disk; the job continues by itself.",
    Reason.DISK: "Free some space (`flowhub prune --to-fit`, `flowhub du`); the job continues by itself.",
    Reason.NETWORK: "It continues by itself when the network is back.",
    Reason.SLOTS: "`flowhub worker --jobs N` runs more jobs at a time.",
}
# The same as a row of the queue says it; what ends at a time, with it.
_IN_SHORT = {
    Reason.AT: "starts {}",
    Reason.WINDOW: "window opens {}",
    Reason.CAP: "cap reached, until {}",
    Reason.AFTER: "waits for other jobs",
    Reason.STORE_OFFLINE: "store offline, next {}",
    Reason.DISK: "no room, next check {}",
    Reason.NETWORK: "offline, next check {}",
    Reason.HOST_WAIT: "retry {}",
    Reason.BACKOFF: "retry {}",
    Reason.SLOTS: "waits for a free slot",
}
_CAUSES = {  # of an error's code, behind the name of the host
    "network": "unreachable",
    "connection_lost": "dropped the connection",
    "headers_timeout": "does not answer",
    "stalled": "stalled",
    "too_slow": "too slow",
    "server_busy": "busy",
    "tls_untrusted": "certificate not trusted",
    "proxy_unreachable": "proxy unreachable",
}
SHARED_SHOWN = 3
_STORE_IS_BACK = "The store is online again: the worker's next check starts the job."
# The same in two or three words, for the further reasons.
_BESIDES = {
    Reason.WINDOW: "the schedule's window",
    Reason.CAP: "the cap",
    Reason.AFTER: "other jobs to end",
    Reason.STORE_OFFLINE: "the store's disk",
    Reason.DISK: "room on the disk",
    Reason.NETWORK: "the network",
    Reason.HOST_WAIT: "the host",
    Reason.BACKOFF: "its next try",
}

_TROUBLE = (EventKind.FAULT, EventKind.AGAIN, EventKind.PIECE_AGAIN, EventKind.FILE_AGAIN)


def in_short(job: Job, now: datetime, *, with_cause: bool = True) -> str:
    """Return in a few words why a queued job does not start, and when it does; "" for one that may."""
    if job.reason is None:
        return ""
    template = _IN_SHORT[job.reason]
    when = template.format(clock_time(job.not_before, now)) if job.not_before else template.replace(" {}", "")
    why = cause(job.wait) if with_cause and job.wait and job.reason in (Reason.HOST_WAIT, Reason.BACKOFF) else ""
    return f"{when} ({why})" if why else when


def reason_alone(reason: Reason) -> str:
    """Return why a queued job does not start, without a time: "All workers are busy"."""
    return REASONS[reason][0].partition(";")[0]


def cause(wait: Wait) -> str:
    """Return "huggingface.co unreachable": the host, and what is wrong with it."""
    problem = _CAUSES.get(wait.code or "", (wait.code or "").replace("_", " "))
    return " ".join(part for part in (wait.host, problem) if part)


def shared_waits(waiting: Sequence[Job], now: datetime) -> list[str]:
    """Return a line for each cause that several queued jobs wait for, such as a host that is away."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in waiting:
        if job.reason in (Reason.HOST_WAIT, Reason.BACKOFF, Reason.NETWORK, Reason.STORE_OFFLINE):
            message = (job.wait.message if job.wait else None) or f"{REASONS[job.reason][0]}."
            groups.setdefault((job.reason, message), []).append(job)
    lines = [_shared(message, jobs, now) for (_, message), jobs in groups.items() if len(jobs) > 1]
    return lines[:SHARED_SHOWN]


def _shared(message: str, jobs: Sequence[Job], now: datetime) -> str:
    times = [job.not_before for job in jobs if job.not_before]
    next_try = f" Next try {at_clock(min(times), now)}." if times else ""
    return f"{len(jobs)} jobs wait: {message}{next_try}"


def why_not_moving(session: Session, job: Job, now: datetime) -> list[str]:
    """Return why a job does not move, in a few lines; for one that moves, its speed."""
    if job.state is State.QUEUED:
        return [*_why_queued(session, job, now), *_cannot_resume(session, job)]
    if job.state is State.RUNNING:
        return [*_why_running(session, job), *_cannot_resume(session, job)]
    if job.state is State.FAILED and job.error:
        return [job.error["message"], what_to_do(job.id, job.ref, job.model, job.error, job.kind)]
    if job.state is State.PAUSED:
        return [f"`flowhub resume {job.id}` continues it."]
    if job.state is State.CANCELLED:
        resumption = " and continues with what was kept" if job.bytes_done else ""
        return [f"`flowhub retry {job.id}` queues it again{resumption}."]
    return [f"It is installed: {job.target}"]


def _why_queued(session: Session, job: Job, now: datetime) -> list[str]:
    holds = session.queries.holds(job.id)
    lines = _hold_lines(job.id, holds, now) if holds else []
    if holds and holds[0].reason is Reason.STORE_OFFLINE and _store_is_there(session, job.store):
        lines[-1] = _STORE_IS_BACK
    if holds and holds[0].reason is Reason.DISK:
        lines += _what_would_free(session)
    if not session.living_workers():
        lines.append(NO_WORKER)
    elif not lines:
        lines.append("A worker is about to take it.")
    return lines


def _store_is_there(session: Session, name: str) -> bool:
    return any(home.store.name == name and not home.store_is_away() for home in session.home.each_store())


def _what_would_free(session: Session) -> list[str]:
    """Return which models `prune --to-fit` would remove first."""
    chosen = chosen_to_fit(removable_models(session.home), bytes_missing(session.home))
    if not chosen:
        return []
    names = ", ".join(f"{model.name} ({format_bytes(model.frees)})" for model in chosen[:SHARED_SHOWN])
    rest = f" and {len(chosen) - SHARED_SHOWN} more" if len(chosen) > SHARED_SHOWN else ""
    return [f"Least recently opened models: {names}{rest}. `flowhub pin MODEL` protects one."]


def _hold_lines(job: int, holds: Sequence[Hold], now: datetime) -> list[str]:
    """Return the reason that holds a job, its end, and the user's remedy; then the other reasons."""
    first, *others = holds
    if first.reason is Reason.HOST_WAIT and first.text:
        lines = [first.text, *_remedy(first), _next_try(first, now)]
    else:
        lines = [_sentence(first, now), *([first.text] if first.text else [])]
    if next_step := NEXT.get(first.reason):
        lines.append(next_step.format(job=job))
    if other_reasons := [_briefly(hold, now) for hold in others if _outlasts(hold, first)]:
        lines.append(f"Then it waits for {' and '.join(other_reasons)}.")
    return lines


def _remedy(hold: Hold) -> list[str]:
    """Return the user's remedy for a host's fault that rarely passes by itself."""
    kind = ERRORS.get(hold.code or "")
    return [for_command_line(kind.default_hint)] if kind is not None and kind.needs_user and kind.default_hint else []


def _next_try(hold: Hold, now: datetime) -> str:
    """Return when a host is tried again, and what follows: "The next try is at 23:05, in 4 min. All jobs …"."""
    end = moment(hold.until)
    after = "All jobs of the host continue as soon as it answers."
    if end is None:
        return f"One of its jobs is trying it now. {after}"
    return f"The next try is {at_clock(end, now)}, in {format_duration((end - now).total_seconds())}. {after}"


def _outlasts(hold: Hold, first: Hold) -> bool:
    """Return whether a job still waits for this when the first is over, as far as is known."""
    ends_with_it = hold.until is not None and first.until is not None and hold.until <= first.until
    return hold.reason in _BESIDES and not ends_with_it


def _sentence(hold: Hold, now: datetime) -> str:
    """Return "The schedule's window is closed; it opens at 23:00, in 3 h 5 min."."""
    why, end_clause = REASONS[hold.reason]
    end = moment(hold.until)
    if end is None or not end_clause:
        return f"{why}."
    return f"{why}; {end_clause} {at_clock(end, now)}, in {format_duration((end - now).total_seconds())}."


def _briefly(hold: Hold, now: datetime) -> str:
    end = moment(hold.until)
    return _BESIDES[hold.reason] + ("" if end is None else f" (until {clock_time(end, now)})")


def _cannot_resume(session: Session, job: Job) -> list[str]:
    """Return why an interruption loses all received bytes, if the source cannot resume."""
    texts = [event.text for event in session.queries.events(job.id) if event.kind == EventKind.NO_RESUME]
    return texts[-1:]


def _why_running(session: Session, job: Job) -> list[str]:
    if not session.living_workers():
        if session.home.nodes:
            return [
                f"Its worker is gone. The next one on {job.node} continues where it stopped; "
                f"if the machine does not come back: `flowhub nodes remove {job.node} --requeue`."
            ]
        return ["Its worker is gone. The next one continues where it stopped: `flowhub worker`."]
    if job.rate_bps:
        eta = f", {format_duration(job.eta_s)} left" if job.eta_s else ""
        return [f"It downloads at {format_rate(job.rate_bps)}{eta}."]
    last = session.queries.events(job.id)[-1:]
    if job.stage == Stage.RESOLVE:  # it may wait for another node's copy
        last = [event for event in last if event.kind in (*_TROUBLE, EventKind.MIRROR)]
        return [event.text for event in last] or ["A worker is working on it."]
    return [event.text for event in last if event.kind in _TROUBLE] or ["A worker is working on it."]
