"""Decides whether a fault of a connection leads to another try, a wait, or the end of the transfer.

`retry` is the pure decision; this module counts the faults, applies the decision and records it. The transfer's lock is
held throughout.
"""

import random
import time
from dataclasses import dataclass, replace

from flowhub_jobs.errors import (
    AddressExpired,
    ConnectionLost,
    DigestMismatch,
    FlowhubError,
    Gated,
    NetworkDown,
    ServerBusy,
    SizeMismatch,
    SourceChanged,
    SourceError,
    Stalled,
    TokenMissing,
    TokenRefused,
    TooSlow,
)
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.form_fallback import continue_by_range, try_once_without_range
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.identity_check import RESTARTS_MAX, address_host
from flowhub_jobs.transfer.mirror_switching import handle_address_fault
from flowhub_jobs.transfer.options import TransferOptions
from flowhub_jobs.transfer.retry import WAIT_INSIDE_S, GiveUp, PriorFaults, RetryWait, decide
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent

# Faults that concern the source: their messages name the file and the host. A full disk or a lost lease does neither.
_SOURCE_FAULTS = (SourceError, TokenMissing, TokenRefused, Gated, DigestMismatch, SizeMismatch)


@dataclass(frozen=True, slots=True)
class AllWaiting:
    """No fetcher has a range; the first one tries again in `seconds`, because of `error`."""

    seconds: float
    error: FlowhubError
    asked_by_host: bool
    origin: str


class FaultHandler:
    """The faults of one transfer. All its connections wait together, unless one of them receives bytes."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, options: TransferOptions) -> None:
        self._transfer, self._hosts, self._options = transfer, hosts, options
        self._next_try = 0.0  # on the monotonic clock: when the source is tried again if nothing moves
        self._last: FlowhubError | None = None
        self._origin = ""  # of the last fault
        self._asked_by_host = False
        self._counted_at = 0.0

    def wait_s_locked(self) -> float:
        """Return the seconds for which no range may be started: a host's cooldown, or a wait after a fault."""
        waits = {origin: self._hosts.cooldown_left(origin) for origin in self._transfer.origins_locked}
        cooldown = max(waits.values(), default=0.0)
        if cooldown and (self._last is None or not self._asked_by_host):
            self._origin = max(waits, key=lambda origin: waits[origin])
            host = host_of(self._origin)
            self._last, self._asked_by_host = ServerBusy(f"{host} asked for a pause.", host=host), True
        # While another connection receives bytes the source is up, and a dropped connection is replaced at once. A
        # connection that is only being made shows nothing: of sixteen there is always one, and a source that is down
        # would never be left alone.
        moving = any(task.accepted for task in self._transfer.tasks)
        return max(cooldown, 0.0 if moving else self._next_try - time.monotonic())

    def all_waiting_locked(self) -> AllWaiting | None:
        """Return for how long no fetcher will do anything; None while one works or could."""
        if self._transfer.active or self._transfer.ended:
            return None
        seconds = self.wait_s_locked()
        if self._last is None or seconds <= 0:
            return None
        return AllWaiting(seconds, self._last, self._asked_by_host, self._origin)

    def handle_locked(self, task: RangeTask, error: FlowhubError) -> None:
        """Decide and do what follows a fault of a task's connection."""
        error = located(error, task)
        address = task.address
        if task.bytes_written == 0 and address.location == task.location:
            address.location = None  # the target of the last redirect may be the cause
        continue_by_range(task)
        self._suspect_length(task, error)
        if self._is_over_host_limit(task, error):
            return
        if _has_other_address(task, error):
            last_fault = handle_address_fault(self._transfer, task, error, self._hosts)
            if last_fault is None:
                return
            error, address = last_fault, next(other for other in task.state.addresses if not other.mirror)
        others = (other for other in self._transfer.tasks if other is not task)
        if isinstance(error, NetworkDown | ConnectionLost) and not any(other.accepted for other in others):
            self._hosts.note_unreachable(address.origin)
        free = not isinstance(error, SourceChanged) or task.state.restarts <= RESTARTS_MAX + 1
        first = task.started_at >= self._counted_at  # else it failed together with a connection that was counted
        prior = self._count(first)
        if not self._transfer.one_try:
            try_once_without_range(task, error, prior.faults)
        resumes = not address.no_resume_reason
        jitter = random.random()  # noqa: S311
        decision = decide(error, prior, jitter, self._options.patience, free=free, resumes=resumes)
        if isinstance(decision, GiveUp):
            self._transfer.end(decision.error)
        elif isinstance(decision, RetryWait):
            recorded = not first and self._last is not None and self._last.code == error.code
            self._wait(address.origin, error, decision, recorded=recorded)
        else:
            self._transfer.notes.append(NewEvent(EventKind.AGAIN, error.message, error.code))

    def _suspect_length(self, task: RangeTask, error: FlowhubError) -> None:
        """Have the hasher check the digest where a response that cannot be resumed broke off.

        A size that the catalog has is right: then the end of the response is not the end of the file.
        """
        state = task.state
        may_be_whole = task.address.no_ranges and task in state.tasks and task.written_to == state.record.kept.reach(0)
        if (
            may_be_whole
            and task.written_to
            and state.file.size is None
            and isinstance(error, ConnectionLost | Stalled | TooSlow)
        ):
            state.digest.may_end_at = task.written_to
            self._transfer.hash_queue.mark_ready(state)
            self._transfer.hash_ready.notify_all()

    def _count(self, first: bool) -> PriorFaults:
        """Count a fault; sixteen connections that fail at the same moment are one fault."""
        if first:
            self._transfer.faults += 1
            self._counted_at = time.monotonic()
        prior = self._transfer.prior_faults_locked()
        return replace(prior, faults=max(1, prior.faults))

    def _wait(self, origin: str, error: FlowhubError, decision: RetryWait, *, recorded: bool) -> None:
        self._last, self._asked_by_host, self._origin = error, decision.asked_by_host, origin
        self._next_try = max(self._next_try, time.monotonic() + decision.seconds)
        if decision.asked_by_host:
            self._hosts.cool_down(origin, decision.seconds)
        if recorded or (self._transfer.one_try and not self._transfer.fetched_now):
            return  # the host's wait records each try of a night; a note for each would bury all others
        self._transfer.notes.append(
            NewEvent(EventKind.FAULT, f"{error.message}{_retry_sentence(decision.seconds)}", error.code)
        )

    def _is_over_host_limit(self, task: RangeTask, error: FlowhubError) -> bool:
        """Return whether the newest of several connections was refused while others work; then restrict the host.

        It costs the job nothing.
        """
        refused = isinstance(error, ServerBusy | NetworkDown | ConnectionLost) and task.bytes_written == 0
        tasks = [other for other in self._transfer.tasks if other.address.origin == task.address.origin]
        if not refused or not any(other.accepted and other.started_at < task.started_at for other in tasks):
            return False
        origin = task.address.origin
        if isinstance(error, ServerBusy) and error.wait_s is not None:
            self._hosts.cool_down(origin, min(error.wait_s, self._options.patience.server_wait_max_s))
        return self._hosts.note_connection_refused(origin)


def _has_other_address(task: RangeTask, error: FlowhubError) -> bool:
    """Return whether the fault of one address of a file says nothing about the others.

    The file's own URL decides alone where it contradicts what is known of the file.
    """
    if len(task.state.addresses) == 1 or task.state.size is None or isinstance(error, SourceChanged):
        return False
    contradicts = isinstance(error, AddressExpired | SizeMismatch | DigestMismatch)
    return isinstance(error, _SOURCE_FAULTS) and (bool(task.address.mirror) or not contradicts)


def located(error: FlowhubError, task: RangeTask) -> FlowhubError:
    """Return the error with the task's file and host, if they were not known where it was raised."""
    if not isinstance(error, _SOURCE_FAULTS):
        return error
    return error.at(host=address_host(task.address), path=task.state.file.path)


def _retry_sentence(seconds: float) -> str:
    """Return the sentence about the next try; "" where the job waits for it in the queue."""
    if seconds > WAIT_INSIDE_S:
        return ""
    return " Trying again at once." if seconds < 0.05 else f" Trying again in {seconds:.1f} s."
