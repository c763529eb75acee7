"""What the faults of one transfer come to: counted, waited out, or the end. The transfer's lock is held throughout."""

import random
import time
from dataclasses import dataclass, replace

from flowhub_jobs.errors import (
    ConnectionLost,
    DigestMismatch,
    FlowhubError,
    Gated,
    NetworkDown,
    ServerBusy,
    SizeMismatch,
    SourceChanged,
    SourceError,
    TokenMissing,
    TokenRefused,
)
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.form_fallback import try_once_without_range
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.identity import RESTARTS_MAX
from flowhub_jobs.transfer.options import TransferOptions
from flowhub_jobs.transfer.retry import WAIT_INSIDE_S, GiveUp, PriorFaults, Wait, decide
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Note


@dataclass(frozen=True, slots=True)
class AllWaiting:
    """Nobody has a range, and the first to try again does so in `seconds`, because of `error`."""

    seconds: float
    error: FlowhubError
    asked_by_host: bool
    origin: str


class FaultHandler:
    """The faults of one transfer. All its connections wait together, unless one of them moves."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, terms: TransferOptions) -> None:
        self._transfer, self._hosts, self._terms = transfer, hosts, terms
        self._next_try = 0.0  # when the source is asked again, after a fault, if nothing moves
        self._last: FlowhubError | None = None
        self._origin = ""  # whose fault that was
        self._asked_by_host = False
        self._counted_at = 0.0

    def must_wait(self) -> float:
        """Return for how many seconds no range may be begun: while the host wants peace, or nothing moves."""
        waits = {origin: self._hosts.quiet_for(origin) for origin in self._transfer.origins_locked}
        quiet = max(waits.values(), default=0.0)
        if quiet and (self._last is None or not self._asked_by_host):
            self._origin = max(waits, key=lambda origin: waits[origin])
            host = host_of(self._origin)
            self._last, self._asked_by_host = ServerBusy(f"{host} asked for a pause.", host=host), True
        # While another connection gets bytes the source is there: one that dropped is simply made again. One that is
        # only being made says nothing: of sixteen there is always one, and the source would never be left alone.
        flows = any(task.accepted for task in self._transfer.tasks)
        return max(quiet, 0.0 if flows else self._next_try - time.monotonic())

    def idle(self) -> AllWaiting | None:
        """Return how long nobody will do anything, or None while somebody works or could."""
        if self._transfer.active or self._transfer.ended:
            return None
        seconds = self.must_wait()
        if self._last is None or seconds <= 0:
            return None
        return AllWaiting(seconds, self._last, self._asked_by_host, self._origin)

    def meet(self, task: RangeTask, error: FlowhubError) -> None:
        """Decide what follows a fault of a task's connection."""
        error = _located(error, task)
        if task.kept == 0 and task.state.source.location == task.location:
            task.state.source.location = None  # where the last redirect led may be what is wrong
        if self._was_one_too_many(task, error):
            return
        others = (other for other in self._transfer.tasks if other is not task)
        if isinstance(error, NetworkDown | ConnectionLost) and not any(other.accepted for other in others):
            self._hosts.note_away(task.state.source.origin)
        free = not isinstance(error, SourceChanged) or task.state.restarts <= RESTARTS_MAX + 1
        first = task.started_at >= self._counted_at  # else it died with the connection whose fault was counted
        past = self._count(first)
        if not self._transfer.one_try:
            try_once_without_range(task, error, past.faults)
        decision = decide(error, past, random.random(), self._terms.patience, free=free)  # noqa: S311
        if isinstance(decision, GiveUp):
            self._transfer.end(decision.error)
        elif isinstance(decision, Wait):
            recorded = not first and self._last is not None and self._last.code == error.code
            self._wait(task, error, decision, recorded=recorded)
        else:
            self._transfer.notes.append(Note(EventKind.AGAIN, error.message, error.code))

    def _count(self, first: bool) -> PriorFaults:
        """Count a fault, but the faults of one moment once: sixteen connections that die together are one fault."""
        if first:
            self._transfer.faults += 1
            self._counted_at = time.monotonic()
        past = self._transfer.prior_faults_locked()
        return replace(past, faults=max(1, past.faults))

    def _wait(self, task: RangeTask, error: FlowhubError, decision: Wait, *, recorded: bool) -> None:
        self._last, self._asked_by_host, self._origin = error, decision.asked, task.state.source.origin
        self._next_try = max(self._next_try, time.monotonic() + decision.seconds)
        if decision.asked:
            self._hosts.be_quiet(task.state.source.origin, decision.seconds)
        if recorded or (self._transfer.one_try and not self._transfer.fetched_now):
            return  # the host's wait tells of each try of a night; a note for each would bury all others
        then = f" Trying again in {decision.seconds:.1f} s." if decision.seconds <= WAIT_INSIDE_S else ""
        self._transfer.notes.append(Note(EventKind.FAULT, f"{error.message}{then}", error.code))

    def _was_one_too_many(self, task: RangeTask, error: FlowhubError) -> bool:
        """Whether the newest of several connections was refused while others flow: fewer are asked, at no cost."""
        refused = isinstance(error, ServerBusy | NetworkDown | ConnectionLost) and task.kept == 0
        tasks = [other for state in self._transfer.files for other in state.tasks]
        if not refused or not any(other.accepted and other.started_at < task.started_at for other in tasks):
            return False
        origin = task.state.source.origin
        if isinstance(error, ServerBusy) and error.wait_s is not None:
            self._hosts.be_quiet(origin, min(error.wait_s, self._terms.patience.server_wait_max_s))
        return self._hosts.lower(origin)


# Faults that concern the source: their messages name the file and the host. A full disk or a lost lease does neither.
_SOURCE_FAULTS = (SourceError, TokenMissing, TokenRefused, Gated, DigestMismatch, SizeMismatch)


def _located(error: FlowhubError, task: RangeTask) -> FlowhubError:
    """Return the error with the task's file and its host, where the border that raised it did not know them."""
    if not isinstance(error, _SOURCE_FAULTS):
        return error
    state = task.state
    return error.at(host=host_of(state.source.location or state.file.url), path=state.file.path)
