"""Measures the addresses of a file, and passes over one that is far slower than the next.

The next address is measured by one request for a few MiB, once the address in use has shown its rate. Under a rate
limit no rate shows anything.
"""

from dataclasses import dataclass

from flowhub_jobs.transfer.file_state import FileState, Probe, SourceState
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.mirror_choice import (
    PROBE_AFTER_S,
    PROBE_EVERY_S,
    SLOW_ASIDE_S,
    is_far_slower,
    is_worth_probing,
)
from flowhub_jobs.transfer.mirror_switching import set_aside_slow
from flowhub_jobs.transfer.rate_limit import TransferRate
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Note


@dataclass(frozen=True, slots=True)
class _Use:
    """The address in use: since when, and the bytes that it had sent at that time."""

    source: SourceState
    since: float
    sent: int


class MirrorSpeed:
    """The rates of one transfer's addresses. The transfer's lock is held throughout."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, bucket: TransferRate) -> None:
        self._transfer, self._hosts, self._bucket = transfer, hosts, bucket
        self._use: _Use | None = None
        self._rates: dict[str, tuple[float, float]] = {}  # by origin: bytes a second, when it was measured

    def sample(self, now: float) -> None:
        """Measure the address in use; have the next one measured, or use it, if that is worth it."""
        self._take_probe(now)
        state = self._state_in_use()
        if state is None or self._bucket.limited:
            self._use = None
            return
        source, following = state.source, _following(state, now)
        sent = self._transfer.sources[source.name]
        if self._use is None or self._use.source.origin != source.origin:
            self._use = _Use(source, now, sent)
        in_use_s = now - self._use.since
        if following is None or in_use_s < PROBE_AFTER_S:
            return
        bps = (sent - self._use.sent) / in_use_s
        rate, measured_at = self._rates.get(following.origin, (0.0, float("-inf")))
        left = (state.size or 0) - state.record.kept.total
        if now - measured_at < PROBE_EVERY_S:
            if is_far_slower(bps, rate) and is_worth_probing(in_use_s, bps, left):
                self._leave(source, following, bps, rate)
        elif self._transfer.probe is None and is_worth_probing(in_use_s, bps, left):
            self._transfer.probe = Probe(state, following)
            self._transfer.changed.notify_all()

    def _state_in_use(self) -> FileState | None:
        """Return the file that bytes come for, if it has several addresses and several connections may fetch it."""
        flowing = (task for task in self._transfer.tasks if task.received and task.source is task.state.source)
        return next((task.state for task in flowing if len(task.state.addresses) > 1 and not task.exclusive), None)

    def _take_probe(self, now: float) -> None:
        """Take the result of a measurement that has ended."""
        probe = self._transfer.probe
        if probe is None:
            return
        task = probe.task
        if task is None:
            if probe.state.complete or not probe.source.standing.usable(now):
                self._transfer.probe = None
            return
        if task in self._transfer.tasks and now - task.started_at < PROBE_AFTER_S:
            return
        until = now if task in self._transfer.tasks else task.ended_at
        self._rates[probe.source.origin] = task.kept / max(until - task.started_at, 1e-3), now
        self._transfer.probe = None

    def _leave(self, source: SourceState, following: SourceState, bps: float, next_bps: float) -> None:
        set_aside_slow(self._transfer, source, SLOW_ASIDE_S, self._hosts)
        self._use = None
        text = f"{source.name} gives {format_rate(bps)}, {following.name} {format_rate(next_bps)}; it is asked instead."
        self._transfer.notes.append(Note(EventKind.MIRROR, text))


def _following(state: FileState, now: float) -> SourceState | None:
    """Return the next address of a file that may be used, after the one in use."""
    later = state.addresses[state.addresses.index(state.source) + 1 :]
    return next((source for source in later if source.standing.usable(now)), None)
