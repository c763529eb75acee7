"""What went wrong and went on by itself, counted from the events. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowhub_jobs.kinds import Reason, State
from flowhub_jobs.records import Event, Job

AWAY = (Reason.HOST_WAIT, Reason.BACKOFF, Reason.NETWORK)  # what a job waits for after a fault
KINDS = ("rescued", "fault", "again", "healed", "waits", "handed_back")  # of events
# Of healings, in the order in which they are told.
RESCUE, RETRY, BUSY, RANGE, ANEW, PIECE, FILE, PARKED, OFFLINE = (
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
ORDER = (RESCUE, RETRY, BUSY, RANGE, ANEW, PIECE, FILE, PARKED, OFFLINE)
# The texts are the engine's own; a test has it meet each of these.
_RANGES = re.compile(
    r"was asked for bytes|announced bytes|without saying which|impossible range|a multipart body|than the range"
    r"|plain bytes were asked|the file ends before|that it ends at byte"
)
_BUSY = re.compile(r"answers (429|503)|asked to be left alone")
_PARKED = re.compile(r"\b(disk|store)\b")


@dataclass(frozen=True, slots=True)
class Healed:
    """One kind of it: how often, and in which jobs."""

    kind: str
    count: int
    jobs: tuple[int, ...]


def healed(jobs: Sequence[Job], events: Mapping[int, Sequence[Event]]) -> tuple[Healed, ...]:
    """Return what healed, by kind. What a failed or cancelled job met has not, nor what one waits for now."""
    found: dict[str, dict[int, int]] = {}
    for job in jobs:
        for kind in _kinds(job, events.get(job.id, ())):
            counts = found.setdefault(kind, {})
            # A parked job looks again every few seconds: that is one wait.
            counts[job.id] = 1 if kind == PARKED else counts.get(job.id, 0) + 1
    return tuple(Healed(kind, sum(found[kind].values()), tuple(sorted(found[kind]))) for kind in ORDER if kind in found)


def _kinds(job: Job, events: Sequence[Event]) -> list[str]:
    if job.state in (State.FAILED, State.CANCELLED):
        return []
    past = _passed(job, events)
    healed = [kind for event in past if (kind := kind_of(event)) is not None]
    return [kind for kind in healed if kind != RETRY or job.bytes_fetched]  # without a byte, that healed nothing


def _passed(job: Job, events: Sequence[Event]) -> Sequence[Event]:
    """Return the events of a job without those of the fault, or the wait, that still holds it."""
    if job.state is not State.QUEUED:
        return events
    if job.reason not in AWAY:
        return events[:-1] if events and events[-1].kind in ("waits", "handed_back") else events
    last = len(events)
    while last and events[last - 1].kind in ("fault", "again", "waits", "handed_back"):
        last -= 1
    return events[:last]


def kind_of(event: Event) -> str | None:
    """Return what healed with an event; None where nothing did, or another event tells of it already."""
    if event.kind == "rescued":
        return RESCUE
    if event.kind == "again":
        return RANGE if _RANGES.search(event.text) else ANEW  # asked in another form, or at a new address
    if event.kind == "healed":
        return PIECE if "that piece" in event.text else FILE
    if event.kind == "fault":
        return RANGE if _RANGES.search(event.text) else BUSY if _BUSY.search(event.text) else RETRY
    if event.kind == "waits":  # after a fault, which was told; or for what no fault of this job's says
        return BUSY if "left alone" in event.text else PARKED if _PARKED.search(event.text) else None
    return OFFLINE if event.kind == "handed_back" and "is offline" in event.text else None
