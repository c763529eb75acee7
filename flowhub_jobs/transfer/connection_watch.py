"""Samples the connections of a transfer and replaces slow ones; `slow_connection_rules` decides which.

A replacement costs the job nothing: the bytes so far are kept, and the rest of the range goes over a new connection.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from flowhub_jobs.transfer.concurrency import ConcurrencyPlan
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.identity_check import address_host
from flowhub_jobs.transfer.rate_limit import TransferRateLimit
from flowhub_jobs.transfer.slow_connection_rules import (
    REPLACED_MAX,
    ConnectionSample,
    HostThroughput,
    SlowConnections,
    choose_replacement,
    find_slow,
    learn_best,
    update_throughput,
)
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent

STEADY_S = 2.0  # The mean rate of a younger connection is no measure for later ones.


@dataclass(frozen=True, slots=True)
class _Measurement:
    """The counters of a connection at the last sample."""

    at: float
    received: int
    waited_s: float


class ConnectionWatch:
    """The watch of one transfer. The transfer's lock is held throughout."""

    def __init__(self, transfer: TransferState, hosts: HostLimits, rate_limit: TransferRateLimit) -> None:
        self._transfer, self._hosts, self._rate_limit = transfer, hosts, rate_limit
        self._measurements: dict[RangeTask, _Measurement] = {}
        self._slow: dict[str, SlowConnections] = {}  # by origin
        self._replaced_at = float("-inf")
        self._throughputs: dict[str, HostThroughput] = {}  # by origin
        self._noted: set[str] = set()  # the origins of which a slow connection was noted

    @property
    def is_low(self) -> bool:
        """Whether a host gives far less than it did: no more connections to it should be tried."""
        return any(throughput.is_low for throughput in self._throughputs.values())

    def sample(self, now: float, plan: ConcurrencyPlan) -> bool:
        """Replace slow connections; return whether a host has collapsed: then no idle connection may be reused."""
        samples = self._samples(now)
        if self._rate_limit.limited:  # then a rate shows nothing
            self._slow.clear()
            return False
        self._replace_slow(samples, now)
        collapsed = [self._watch_host(origin, samples, now, plan) for origin in self._transfer.origins_locked]
        return any(collapsed)

    def _samples(self, now: float) -> dict[RangeTask, ConnectionSample]:
        """Return what each connection did since the last call, if it was reading a body then and still is."""
        samples, measurements = {}, {}
        for task in self._transfer.tasks:
            if task.body is None or task.exclusive or task.replaced:
                continue
            measurement = measurements[task] = _Measurement(now, task.bytes_received, task.body.waited_s(now))
            before = self._measurements.get(task)
            if before is not None and now > before.at:
                passed = now - before.at
                waiting = min(1.0, (measurement.waited_s - before.waited_s) / passed)
                samples[task] = ConnectionSample(task, (measurement.received - before.received) / passed, waiting)
        self._measurements = measurements
        return samples

    # One connection --------------------------------------------------------------------------------------------------

    def _replace_slow(self, samples: dict[RangeTask, ConnectionSample], now: float) -> None:
        for origin in {task.address.origin for task in samples}:
            of_origin = [sample for task, sample in samples.items() if task.address.origin == origin]
            before = self._slow.get(origin, SlowConnections())
            self._slow[origin] = find_slow(before, of_origin, now, self._best_alone(origin, samples, now))
        all_slow = (item for connections in self._slow.values() for item in connections.since.items())
        slow = {task: since for task, since in all_slow if task in samples}
        replaceable = {task: since for task, since in slow.items() if _can_be_replaced(task)}
        task = choose_replacement(replaceable, now, self._replaced_at)
        if isinstance(task, RangeTask):
            self._replaced_at = now
            task.address.connections_replaced += 1
            self._note_slow(task, samples[task].bps)
            _replace(task)

    def _note_slow(self, task: RangeTask, bps: float) -> None:
        """Note the first slow connection to a host: a host that throttles makes each of the next ones slow, too."""
        if task.address.origin not in self._noted:
            self._noted.add(task.address.origin)
            text = f"A connection to {address_host(task.address)} gave {format_rate(bps)}, far less than usual."
            self._note(task, f"{text} A new one downloads the rest, as for each slow one from now on.")

    def _best_alone(self, origin: str, samples: dict[RangeTask, ConnectionSample], now: float) -> float:
        """Return the best rate that one connection to the host ever had, those of now included."""
        for task in samples:
            if task.address.origin == origin and now - task.started_at >= STEADY_S:
                self._hosts.note_rate(origin, task.bytes_received / (now - task.started_at))
        return self._hosts.best_rate_bps(origin)

    # A host ----------------------------------------------------------------------------------------------------------

    def _watch_host(
        self, origin: str, samples: dict[RangeTask, ConnectionSample], now: float, plan: ConcurrencyPlan
    ) -> bool:
        """Update the host's throughput; replace all its connections if it has collapsed, and return whether."""
        throughput = self._throughputs.get(origin, HostThroughput())
        if (
            len(self._transfer.origins_locked) == 1 and not self._transfer.extra_connections
        ):  # the plan knows the total of shorter intervals too
            throughput = learn_best(throughput, plan.best_bps, plan.baseline)
        tasks = [task for task in samples if task.address.origin == origin]
        throughput = update_throughput(throughput, [samples[task] for task in tasks], now)
        collapsed = throughput.has_collapsed(now)
        self._throughputs[origin] = HostThroughput() if collapsed else throughput
        if collapsed:
            self._hosts.restrict_connections(origin, throughput.few)
            total = sum(samples[task].bps for task in tasks)
            self._note(tasks[0], _collapse_text(address_host(tasks[0].address), total, throughput))
            for task in tasks:
                _replace(task)
        return collapsed

    def _note(self, task: RangeTask, text: str) -> None:
        self._transfer.notes.append(NewEvent(EventKind.CONNECTION, f"{task.state.file.path}: {text}"))


def _can_be_replaced(task: Hashable) -> bool:
    return isinstance(task, RangeTask) and task.address.connections_replaced < REPLACED_MAX


def _replace(task: RangeTask) -> None:
    assert task.body is not None
    task.replaced = True
    task.body.abort()


def _collapse_text(host: str, total: float, throughput: HostThroughput) -> str:
    connections = "1 connection" if throughput.few == 1 else f"{throughput.few} connections"
    return (
        f"The total rate of {host} fell from {format_rate(throughput.best_bps)} to {format_rate(total)}. "
        f"flowhub reconnects with {connections} and opens no more for an hour."
    )
