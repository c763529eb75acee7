"""Measures the addresses of a file: passes over one that is far slower than another, and uses several at once.

The next address is measured by one request for a few MiB, once the addresses in use have shown their rate. If it is
far faster, it replaces them. A mirror that promises a part of what they give is used in addition, as long as that
raises the total. The file's own URL is never used in addition: mirrors exist to spare it. Under a rate limit no rate
shows anything.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from flowhub_jobs.transfer.file_state import AddressState, FileState, Probe
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.mirror_choice import (
    CONCURRENT_ADDRESSES_MAX,
    PROBE_AFTER_S,
    PROBE_EVERY_S,
    SLOW_ASIDE_S,
    is_far_slower,
    is_gain,
    is_worth_probing,
    may_gain,
)
from flowhub_jobs.transfer.mirror_switching import extra_addresses, set_aside_slow
from flowhub_jobs.transfer.rate_limit import TransferRateLimit
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent

RECENT_S = 12.0  # The rates of several addresses in use are measured over no longer than this.


@dataclass(frozen=True, slots=True)
class _Use:
    """The addresses in use, the first one first: since when, and the bytes that each had sent by then."""

    addresses: tuple[AddressState, ...]
    since: float
    sent: Counter[str]  # by the origin as it is shown

    def rates(self, sent: Counter[str], now: float) -> dict[str, float]:
        """Return the bytes a second by origin."""
        seconds = max(now - self.since, 1e-3)
        return {address.origin: (sent[address.name] - self.sent[address.name]) / seconds for address in self.addresses}


@dataclass(frozen=True, slots=True)
class _Trial:
    """An extra address on trial; `before_bps` is the total of the others without it."""

    origin: str
    before_bps: float


class MirrorSpeed:
    """The rates of one transfer's addresses. The transfer's lock is held throughout."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, rate_limit: TransferRateLimit) -> None:
        self._transfer, self._hosts, self._rate_limit = transfer, hosts, rate_limit
        self._use: _Use | None = None
        self._trial: _Trial | None = None
        self._rates: dict[str, tuple[float, float]] = {}  # by origin: bytes a second, when it was measured
        self._useless_until: dict[str, float] = {}  # by origin: it did not raise the total

    def sample(self, now: float) -> None:
        """Measure the addresses in use; have another one measured, or use it, if that is worth it."""
        self._take_probe(now)
        state = self._state_in_use()
        if state is None or self._rate_limit.limited:
            self._use_one_alone()
            return
        if self._transfer.hash_bound:  # then ranges are not started, and an idle address is not a slow one
            self._use = None
            return
        use = self._use_of(state, now)
        if now - use.since < PROBE_AFTER_S:
            return
        rates = use.rates(self._transfer.fetched_by_origin, now)
        self._note_connection_rates(rates)
        if self._end_trial(rates, now) or self._drop_slow(use, rates, now):
            return
        left = (state.size or 0) - state.record.kept.total
        if is_worth_probing(now - use.since, sum(rates.values()), left):
            self._try_faster(state, use, rates, now)

    def _state_in_use(self) -> FileState | None:
        """Return the file that bytes come for, if it has several addresses and several connections may fetch it."""
        tasks = self._transfer.tasks
        flowing = (task for task in tasks if task.bytes_received and task.address is task.state.current_address)
        return next((task.state for task in flowing if len(task.state.addresses) > 1 and not task.exclusive), None)

    def _use_of(self, state: FileState, now: float) -> _Use:
        """Return the addresses in use. After a change their rates are measured from now on."""
        # The current address may have been an extra one, if those before it failed.
        self._transfer.extra_connections.pop(state.current_address.origin, None)
        addresses = (state.current_address, *extra_addresses(self._transfer, state))
        use = self._use
        origins = [address.origin for address in addresses]
        changed = use is None or [address.origin for address in use.addresses] != origins
        if use is None or changed or (len(addresses) > 1 and now - use.since > RECENT_S):
            use = self._use = _Use(addresses, now, self._transfer.fetched_by_origin.copy())
        return use

    def _use_one_alone(self) -> None:
        self._use = self._trial = None
        self._transfer.extra_connections.clear()
        self._transfer.connection_bps.clear()

    def _note_connection_rates(self, rates: dict[str, float]) -> None:
        counts = Counter(task.address.origin for task in self._transfer.tasks)
        self._transfer.connection_bps.clear()
        if self._transfer.extra_connections:
            each = {origin: bps / max(1, counts[origin]) for origin, bps in rates.items()}
            self._transfer.connection_bps.update(each)

    # Addresses in use ------------------------------------------------------------------------------------------------

    def _end_trial(self, rates: dict[str, float], now: float) -> bool:
        """Judge the extra address on trial; return whether flowhub stops using it."""
        trial, self._trial = self._trial, None
        if trial is None or trial.origin not in rates:
            return False
        total = sum(rates.values())
        if is_gain(trial.before_bps, total):
            trial_bps, others_bps = rates[trial.origin], total - rates[trial.origin]
            name = next(address.name for address in self._addresses if address.origin == trial.origin)
            text = (
                f"{name} gives {format_rate(trial_bps)} in addition to {format_rate(others_bps)}; all are used at once."
            )
            self._transfer.notes.append(NewEvent(EventKind.MIRROR, text))
            return False
        self._stop_using_extra(trial.origin, now)
        return True

    def _drop_slow(self, use: _Use, rates: dict[str, float], now: float) -> bool:
        """Stop using the addresses that are far slower than another in use; return whether there were any."""
        best = max(use.addresses, key=lambda address: rates[address.origin])
        slow = [address for address in use.addresses if is_far_slower(rates[address.origin], rates[best.origin])]
        for address in slow:
            if address.origin in self._transfer.extra_connections:
                self._stop_using_extra(address.origin, now)
            else:
                self._leave_slow(address, best, rates[address.origin], rates[best.origin])
        return bool(slow)

    def _stop_using_extra(self, origin: str, now: float) -> None:
        """Stop using an extra address. Its connections end with their ranges, or lose them to others."""
        self._transfer.extra_connections.pop(origin, None)
        self._useless_until[origin] = now + PROBE_EVERY_S
        self._use = None

    @property
    def _addresses(self) -> tuple[AddressState, ...]:
        return self._use.addresses if self._use is not None else ()

    # Another address -------------------------------------------------------------------------------------------------

    def _try_faster(self, state: FileState, use: _Use, rates: dict[str, float], now: float) -> None:
        """Use the first address that is worth it, or have the first measured whose rate is not known."""
        bps = sum(rates.values())
        for address in _following(state, use, now):
            rate, measured_at = self._rates.get(address.origin, (0.0, float("-inf")))
            if now - measured_at >= PROBE_EVERY_S:
                if self._transfer.probe is None:
                    self._transfer.probe = Probe(state, address)
                    self._transfer.changed.notify_all()
                return
            if is_far_slower(bps, rate):
                for slow in use.addresses:
                    self._leave_slow(slow, address, rates[slow.origin], rate)
                return
            if self._may_use_extra(address, use, bps, rate, now):
                self._transfer.extra_connections[address.origin] = 0  # until `FetcherPool.resize` sets the number
                self._trial = _Trial(address.origin, bps)
                return

    def _may_use_extra(self, address: AddressState, use: _Use, bps: float, rate: float, now: float) -> bool:
        if not address.mirror or len(use.addresses) >= CONCURRENT_ADDRESSES_MAX:
            return False
        if now < self._useless_until.get(address.origin, 0.0):
            return False
        if any(one.target.credential for one in (*use.addresses, address)):  # a node serves few others at a time
            return False
        return may_gain(bps, self._transfer.connections, rate)

    def _take_probe(self, now: float) -> None:
        """Take the result of a measurement that has ended."""
        probe = self._transfer.probe
        if probe is None:
            return
        task = probe.task
        if task is None:
            if probe.state.complete or not probe.address.health.usable(now):
                self._transfer.probe = None
            return
        if task in self._transfer.tasks and now - task.started_at < PROBE_AFTER_S:
            return
        until = now if task in self._transfer.tasks else task.ended_at
        self._rates[probe.address.origin] = task.bytes_written / max(until - task.started_at, 1e-3), now
        self._transfer.probe = None

    def _leave_slow(self, address: AddressState, following: AddressState, bps: float, next_bps: float) -> None:
        set_aside_slow(self._transfer, address, SLOW_ASIDE_S, self._hosts)
        self._transfer.extra_connections.pop(address.origin, None)
        self._use = None
        rates = f"{address.name} gives {format_rate(bps)}, {following.name} {format_rate(next_bps)}"
        text = f"{rates}; flowhub uses {following.name} instead."
        self._transfer.notes.append(NewEvent(EventKind.MIRROR, text))


def _following(state: FileState, use: _Use, now: float) -> Iterator[AddressState]:
    """Yield the addresses of a file that may be used, after the one in use, on hosts that are not in use."""
    origins = {address.origin for address in use.addresses}
    for address in state.addresses[state.addresses.index(state.current_address) + 1 :]:
        if address.origin not in origins and address.health.usable(now):
            yield address
