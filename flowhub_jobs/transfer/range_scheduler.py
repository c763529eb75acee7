"""Chooses the next range to fetch: the front of a gap, or the rest of a slow connection's range.

It starts nothing while the digest is too far behind. The transfer's lock is held throughout.
"""

import time

from flowhub_jobs.pieces.ranges import MIB, Range, Ranges
from flowhub_jobs.transfer.file_state import AddressState, FileState, RangeTask
from flowhub_jobs.transfer.mirror_choice import PROBE_BYTES
from flowhub_jobs.transfer.mirror_switching import extra_addresses, is_waiting_for_copy, next_address
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm
from flowhub_jobs.transfer.state import TransferState

FIRST_RANGE = 16 * MIB  # The first range of a file of unknown size has this length.
BEHIND_MAX = 64 * MIB  # With more unhashed bytes than this, no range is started.
CAUGHT_UP = 2 * MIB  # With fewer unhashed bytes than this, ranges are started again.
STEAL_S = 2.0  # An idle connection takes over a part of a range whose rest takes longer than this.
RANGE_MIN = MIB  # No range is shorter, unless the gap is.
RANGE_MAX = 256 * MIB  # No range is longer.
RANGE_S = 4.0  # A range takes about this long at the connection's rate.
HELPS_SHARE = 1 / 2  # An address with less than this share of the fastest one's rate does not take over a range.
RANGE_LEAST = 16 * MIB  # Ranges are at least this long, until the end of the file is near.
EXTRA_RANGE_MIN = 4 * MIB  # The same, while several addresses give bytes of the file concurrently.


def next_task(transfer: TransferState, *, may_steal: bool = True) -> RangeTask | None:
    """Start and return the next range to fetch; None if there is none now."""
    if _is_hash_bound(transfer):
        return None
    if (task := _start_probe(transfer)) is not None:
        return task
    for state in transfer.incomplete.values():
        address = next_address(transfer, state)
        if address is not None and (bounds := _next_bounds(transfer, state, address)) is not None:
            return transfer.start_locked(RangeTask(state, *bounds, state.disk.part), address)
    return _steal(transfer) if may_steal else None


def any_file_waits_for_copy(transfer: TransferState) -> bool:
    """Return whether a file has no request because a busy copy of it is waited for."""
    return any(is_waiting_for_copy(state) for state in transfer.incomplete.values())


def _start_probe(transfer: TransferState) -> RangeTask | None:
    """Start the request that measures another address: the last bytes that are missing and in no other's way."""
    probe = transfer.probe
    if probe is None or probe.task is not None or probe.state.complete or probe.state.exclusive:
        return None
    state = probe.state
    busy = Ranges((*state.record.kept, *((task.written_to, task.end) for task in state.tasks)))
    gap = max(busy.gaps(0, state.size or 0), default=None)
    if gap is not None:
        start, end = max(gap[0], gap[1] - PROBE_BYTES), gap[1]
    elif (longest := max(state.tasks, key=lambda task: task.end - task.split_at, default=None)) is not None:
        start, end = max(longest.split_at, longest.end - PROBE_BYTES), longest.end
        longest.end = start
    else:
        return None
    probe.task = transfer.start_locked(RangeTask(state, start, end, state.disk.part), probe.address)
    return probe.task


def return_task(transfer: TransferState, task: RangeTask) -> None:
    """Undo `next_task`: a range that was taken over goes back to the task that had it."""
    transfer.withdraw(task)
    if transfer.probe is not None and transfer.probe.task is task:
        transfer.probe.task = None
    for other in task.state.tasks:
        if other.end == task.start and other.response_end >= task.end:
            other.end = task.end


def _next_bounds(transfer: TransferState, state: FileState, requested_from: AddressState) -> Range | None:
    address, kept, size = state.current_address, state.record.kept, state.size
    if (state.exclusive or size is None) and state.tasks:
        return None
    if address.no_validator and kept.total:
        transfer.restart_locked(state)  # nothing shows that the kept bytes and the next response are of one version
        kept, size = state.record.kept, state.size
    start = kept.reach(0)
    if size is None:
        in_one_go = address.no_ranges or address.no_validator or address.form is not RangeForm.BOUNDED
        return (start, WHOLE) if in_one_go else next(kept.gaps(start, start + FIRST_RANGE))
    if address.no_validator:
        return start, size
    if address.no_ranges or address.form is not RangeForm.BOUNDED:
        return next(kept.gaps(0, size), None)
    in_flight = Ranges((task.written_to, task.end) for task in state.tasks)
    connections = transfer.connections + sum(transfer.extra_connections.values())
    bps = transfer.connection_bps.get(requested_from.origin)
    if transfer.extra_connections and bps is not None:  # each address has its own rate: none holds back the others
        return next_range(kept, in_flight, size, connections=connections, rate_bps=bps, least=EXTRA_RANGE_MIN)
    return next_range(kept, in_flight, size, connections=connections, rate_bps=_connection_bps(transfer))


def _connection_bps(transfer: TransferState) -> float:
    """Return the bytes a second that one connection can be relied on to bring: 0 while more of them are tried."""
    if transfer.probing:
        return 0.0
    # Until a rate was measured, assume that the bytes so far took as long as one range. So the first ranges double:
    # they neither cost a fast network a request for each moment, nor give a slow one more than it has shown to bring.
    return (transfer.rate_bps or transfer.fetched_now / RANGE_S) / max(1, transfer.active)


def _steal(transfer: TransferState) -> RangeTask | None:
    """Take over the end of the range that will take longest: near the end no other connection is left idle."""
    now = time.monotonic()
    shared = (task for task in transfer.tasks if not task.exclusive)
    slow = max(shared, key=lambda task: task.remaining_s(now), default=None)
    if slow is None or slow.remaining_s(now) < STEAL_S:
        return None
    address = _address_to_help(transfer, slow.state)
    if address is None:
        return None
    end, slow.end = slow.end, slow.split_at
    return transfer.start_locked(RangeTask(slow.state, slow.end, end, slow.part), address)


def _address_to_help(transfer: TransferState, state: FileState) -> AddressState | None:
    """Return the address to fetch the end of another connection's range from: no slow one, if a fast one is in use.

    None if a busy copy is waited for.
    """
    address, bps_of = next_address(transfer, state), transfer.connection_bps
    if address is None:
        return None
    in_use = (state.current_address, *extra_addresses(transfer, state))
    fastest = max(in_use, key=lambda one: bps_of.get(one.origin, 0.0))
    if address.origin not in bps_of or bps_of[address.origin] >= HELPS_SHARE * bps_of.get(fastest.origin, 0.0):
        return address
    return fastest


def _is_hash_bound(transfer: TransferState) -> bool:
    """Return whether the network is faster than the digest, so that no new range is started for now.

    Bytes that the hasher cannot take from memory it has to read from the disk later. Once it has caught up, it takes
    all of them from memory again.
    """
    behind = sum(state.unhashed for state in transfer.hash_queue.ready)
    limit = CAUGHT_UP if transfer.hash_bound else BEHIND_MAX
    transfer.hash_bound = behind > limit and transfer.rate_bps > transfer.hash_queue.rate_bps
    return transfer.hash_bound


def next_range(
    kept: Ranges, in_flight: Ranges, size: int, *, connections: int, rate_bps: float, least: int = RANGE_LEAST
) -> Range | None:
    """Return the next range to request: the front of the first gap, or None if all is kept or in flight.

    `rate_bps` is one connection's. A range takes about four seconds at that rate: requests cost little, and bytes out
    of order stay near the frontier. Towards the end each connection gets a share of the rest, so that all
    end together. Until then none is shorter than `least`.
    """
    busy = kept.copy()
    for start, end in in_flight:
        busy.add(start, end)
    gap = next(busy.gaps(0, size), None)
    if gap is None:
        return None
    missing = sum(end - start for start, end in busy.gaps(0, size))
    share = missing // (2 * connections) if connections > 1 else missing
    length = max(RANGE_MIN, min(RANGE_MAX, max(int(rate_bps * RANGE_S), least), share))
    return gap[0], min(gap[1], gap[0] + length)
