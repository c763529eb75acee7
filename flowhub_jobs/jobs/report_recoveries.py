"""Counts the faults that needed no help, from the events. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowhub_jobs.errors import DiskFull, NetworkDown, ServerBusy, StoreOffline, WrongRange
from flowhub_jobs.values.enums import EventKind, Reason, State
from flowhub_jobs.values.jobs import Event, Job

_AFTER_A_FAULT = (Reason.HOST_WAIT, Reason.BACKOFF, Reason.NETWORK)
KINDS = (
    EventKind.RESCUED,
    EventKind.FAULT,
    EventKind.AGAIN,
    EventKind.PIECE_AGAIN,
    EventKind.FILE_AGAIN,
    EventKind.WAITS,
    EventKind.HANDED_BACK,
)
_WAITING = (EventKind.WAITS, EventKind.HANDED_BACK)
# The kinds, in the order in which the report shows them.
RESCUE, RETRY, BUSY, RANGE, ASKED_AGAIN, PIECE, FILE, PARKED, OFFLINE = (
    "rescue",
    "retry",
    "host_busy",
    "wrong_range",
    "asked_anew",
    "piece_again",
    "file_again",
    "parked",
    "offline",
)
ORDER = (RESCUE, RETRY, BUSY, RANGE, ASKED_AGAIN, PIECE, FILE, PARKED, OFFLINE)
_FAULTS = {WrongRange.code: RANGE, ServerBusy.code: BUSY}
_OF_ROOM = (DiskFull.code, StoreOffline.code)


@dataclass(frozen=True, slots=True)
class Recovered:
    """One kind of recovery: how often, and in which jobs."""

    kind: str
    count: int
    jobs: tuple[int, ...]


def recoveries(jobs: Sequence[Job], events: Mapping[int, Sequence[Event]]) -> tuple[Recovered, ...]:
    """Return the recoveries by kind, without those of failed or cancelled jobs, and without a wait that still lasts."""
    by_kind: dict[str, dict[int, int]] = {}
    for job in jobs:
        for kind in _kinds(job, events.get(job.id, ())):
            counts = by_kind.setdefault(kind, {})
            # A parked job checks again every few seconds: that is one wait.
            counts[job.id] = 1 if kind == PARKED else counts.get(job.id, 0) + 1
    return tuple(
        Recovered(kind, sum(by_kind[kind].values()), tuple(sorted(by_kind[kind]))) for kind in ORDER if kind in by_kind
    )


def _kinds(job: Job, events: Sequence[Event]) -> list[str]:
    if job.state in (State.FAILED, State.CANCELLED):
        return []
    past = _past_events(job, events)
    recoveries = [kind for event in past if (kind := kind_of(event)) is not None]
    return [kind for kind in recoveries if kind != RETRY or job.bytes_fetched]  # without a byte, that was no recovery


def _past_events(job: Job, events: Sequence[Event]) -> Sequence[Event]:
    """Return the events of a job without those of the fault, or the wait, that still holds it."""
    if job.state is not State.QUEUED:
        return events
    if job.reason not in _AFTER_A_FAULT:
        return events[:-1] if events and events[-1].kind in _WAITING else events
    last = len(events)
    while last and events[last - 1].kind in (EventKind.FAULT, EventKind.AGAIN, *_WAITING):
        last -= 1
    return events[:last]


def kind_of(event: Event) -> str | None:
    """Return the recovery that an event records; None if it records none, or another event does."""
    match event.kind:
        case EventKind.RESCUED:
            return RESCUE
        case EventKind.AGAIN:  # asked in another form, or at a new address
            return RANGE if event.code == WrongRange.code else ASKED_AGAIN
        case EventKind.PIECE_AGAIN:
            return PIECE
        case EventKind.FILE_AGAIN:
            return FILE
        case EventKind.FAULT:
            return _FAULTS.get(event.code or "", RETRY)
        case EventKind.WAITS:  # for a host: the fault that led to it has an event of its own
            return PARKED if event.code in _OF_ROOM else None
        case EventKind.HANDED_BACK:
            return OFFLINE if event.code == NetworkDown.code else None
    return None
