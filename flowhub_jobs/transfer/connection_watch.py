"""Watches the connections of a transfer, and has slow ones replaced; what is slow is decided in `slow_connections`.

It costs the job nothing: what a connection has brought is kept, the rest of its range is asked for over a new one.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.slow_connections import (
    REPLACED_MAX,
    HostPace,
    Sighting,
    SlowConnections,
    learn_best,
    look_for_slow,
    to_replace,
    watch_pace,
)
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Note

STEADY_S = 2.0  # a younger connection's mean rate is no measure for later ones


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a connection was at a look."""

    at: float
    came: int
    waited_s: float


class ConnectionWatch:
    """One a transfer. The transfer's lock is held throughout."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, bucket: TokenBucket) -> None:
        self._transfer, self._hosts, self._bucket = transfer, hosts, bucket
        self._marks: dict[RangeTask, _Mark] = {}
        self._slow: dict[str, SlowConnections] = {}  # by origin
        self._replaced_at = float("-inf")
        self._paces: dict[str, HostPace] = {}

    @property
    def is_low(self) -> bool:
        """Whether a host gives far less than it did: more connections to it are not to be tried."""
        return any(pace.is_low for pace in self._paces.values())

    def look(self, now: float, tuning: ConcurrencyPlan) -> bool:
        """Replace what is slow; return whether a host has collapsed, so that no idle connection is to be used again."""
        seen = self._sightings(now)
        if self._bucket.limited:  # then a rate says nothing
            self._slow.clear()
            return False
        self._replace_slow(seen, now)
        collapsed = [self._watch_host(origin, seen, now, tuning) for origin in self._transfer.origins_locked]
        return any(collapsed)

    def _sightings(self, now: float) -> dict[RangeTask, Sighting]:
        """Return what each connection did since the last look, of those that were in a body then and still are."""
        seen, marks = {}, {}
        for task in self._transfer.tasks:
            if task.body is None or task.exclusive or task.replaced:
                continue
            mark = marks[task] = _Mark(now, task.received, task.body.waited_s(now))
            before = self._marks.get(task)
            if before is not None and now > before.at:
                passed = now - before.at
                waiting = min(1.0, (mark.waited_s - before.waited_s) / passed)
                seen[task] = Sighting(task, (mark.came - before.came) / passed, waiting)
        self._marks = marks
        return seen

    # One connection --------------------------------------------------------------------------------------------------

    def _replace_slow(self, seen: dict[RangeTask, Sighting], now: float) -> None:
        for origin in {task.state.source.origin for task in seen}:
            own = [one for task, one in seen.items() if task.state.source.origin == origin]
            before = self._slow.get(origin, SlowConnections())
            self._slow[origin] = look_for_slow(before, own, now, self._best_alone(origin, seen, now))
        slow = {task: since for ones in self._slow.values() for task, since in ones.since.items() if task in seen}
        may_be = {task: since for task, since in slow.items() if _may_be_replaced(task)}
        task = to_replace(may_be, now, self._replaced_at)
        if isinstance(task, RangeTask):
            self._replaced_at = now
            task.state.source.connections_replaced += 1
            text = f"A connection to {_host(task)} gave {format_rate(seen[task].bps)}, far less than usual."
            self._note(task, f"{text} A new one fetches the rest.")
            _replace(task)

    def _best_alone(self, origin: str, seen: dict[RangeTask, Sighting], now: float) -> float:
        """Return the best rate that one connection to the host ever had, noting those of now."""
        for task in seen:
            if task.state.source.origin == origin and now - task.started_at >= STEADY_S:
                self._hosts.note_rate(origin, task.received / (now - task.started_at))
        return self._hosts.best_rate(origin)

    # A host ----------------------------------------------------------------------------------------------------------

    def _watch_host(self, origin: str, seen: dict[RangeTask, Sighting], now: float, tuning: ConcurrencyPlan) -> bool:
        pace = self._paces.get(origin, HostPace())
        if len(self._transfer.origins_locked) == 1:  # the tuning knows the total of short moments too
            pace = learn_best(pace, tuning.best, tuning.held)
        tasks = [task for task in seen if task.state.source.origin == origin]
        pace = watch_pace(pace, [seen[task] for task in tasks], now)
        collapsed = pace.has_collapsed(now)
        self._paces[origin] = HostPace() if collapsed else pace
        if collapsed:
            self._hosts.hold(origin, pace.few)
            total = sum(seen[task].bps for task in tasks)
            self._note(tasks[0], _told(_host(tasks[0]), total, pace))
            for task in tasks:
                _replace(task)
        return collapsed

    def _note(self, task: RangeTask, text: str) -> None:
        self._transfer.notes.append(Note(EventKind.CONNECTION, f"{task.state.file.path}: {text}"))


def _may_be_replaced(task: Hashable) -> bool:
    return isinstance(task, RangeTask) and task.state.source.connections_replaced < REPLACED_MAX


def _replace(task: RangeTask) -> None:
    assert task.body is not None
    task.replaced = True
    task.body.abort()


def _host(task: RangeTask) -> str:
    return host_of(task.state.source.location or task.state.file.url)


def _told(host: str, total: float, pace: HostPace) -> str:
    few = "1 connection" if pace.few == 1 else f"{pace.few} connections"
    return (
        f"{host} gives {format_rate(total)} in all and gave {format_rate(pace.best_bps)} before. "
        f"It is asked again with {few}, and with no more for an hour."
    )
