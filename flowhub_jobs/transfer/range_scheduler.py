"""What to ask for next: the front of a gap, the rest of a slow connection, or nothing while the digest is behind.

The transfer's lock is held throughout.
"""

import time

from flowhub_jobs.pieces.ranges import MIB, Range, Ranges
from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm
from flowhub_jobs.transfer.state import TransferState

FIRST_ASK = 16 * MIB  # of a file whose size nobody told
BEHIND_MAX, CAUGHT_UP = 64 * MIB, 2 * MIB  # unhashed bytes
STEAL_S = 2.0  # a range that takes longer than this is shared with a connection that has nothing to do


def next_task(transfer: TransferState, *, may_steal: bool = True) -> RangeTask | None:
    """Return the next range to fetch, begun; None if there is none now."""
    if _digest_catches_up(transfer):
        return None
    for state in transfer.incomplete.values():
        asked = _wanted(transfer, state)
        if asked is not None:
            return transfer.start_locked(RangeTask(state, *asked, state.disk.part))
    return _steal(transfer) if may_steal else None


def return_task(transfer: TransferState, task: RangeTask) -> None:
    """Give back a range that was just taken: to whom it was taken from, if it was."""
    transfer.withdraw(task)
    for other in task.state.tasks:
        if other.end == task.start and other.response_end >= task.end:
            other.end = task.end


def _wanted(transfer: TransferState, state: FileState) -> Range | None:
    if (state.exclusive or state.size is None) and state.tasks:
        return None
    if state.source.no_validator and state.record.kept.total:
        transfer.restart_locked(state)  # nothing binds what came to what would come now
    start, size = state.record.kept.reach(0), state.size
    if size is None:
        in_one_go = state.source.no_ranges or state.source.no_validator or state.source.form is not RangeForm.BOUNDED
        return start, WHOLE if in_one_go else start + FIRST_ASK
    if state.source.no_validator:
        return start, size
    if state.source.no_ranges or state.source.form is not RangeForm.BOUNDED:
        return next(state.record.kept.gaps(0, size), None)
    taken = Ranges((task.at, task.end) for task in state.tasks)
    return next_range(state.record.kept, taken, size, connections=transfer.connections, rate=_rate(transfer))


def _rate(transfer: TransferState) -> float:
    """Return one connection's bytes a second, as far as a range may count on it: 0 while more of them are tried."""
    if transfer.probing:
        return 0.0
    # Until a rate was measured, as if all that came had taken a range's time: so the first ranges double, and neither
    # costs a fast line a request for each moment, nor has a slow one more on its way than it has shown to bring.
    return (transfer.rate or transfer.fetched_now / ASK_S) / max(1, transfer.active)


def _steal(transfer: TransferState) -> RangeTask | None:
    """Take over what the slowest connection would be at for longest: near the end nobody waits for one alone."""
    now = time.monotonic()
    slow = max(
        (task for task in transfer.tasks if not task.exclusive), key=lambda task: task.remaining_s(now), default=None
    )
    if slow is None or slow.remaining_s(now) < STEAL_S:
        return None
    end, slow.end = slow.end, slow.split_at
    return transfer.start_locked(RangeTask(slow.state, slow.end, end, slow.part))


def _digest_catches_up(transfer: TransferState) -> bool:
    """Whether nothing new is begun, because the line is faster than the digest, which would fall behind for ever.

    What it had not hashed when it came it must read from the disk; once it has come up, it takes all from memory.
    """
    behind = sum(state.unhashed for state in transfer.hash_queue.ready)
    transfer.hash_bound = (
        behind > (CAUGHT_UP if transfer.hash_bound else BEHIND_MAX) and transfer.rate > transfer.hash_queue.rate
    )
    return transfer.hash_bound


ASK_MIN, ASK_MAX, ASK_S = MIB, 256 * MIB, 4.0


def next_range(kept: Ranges, taken: Ranges, size: int, *, connections: int, rate: float) -> Range | None:
    """Return the range to ask next: the front of the first gap, or None if all is kept or on its way.

    `rate` is one connection's bytes a second. A range is about four seconds of it, so that requests cost little and
    what is out of order stays near; towards the end each takes a share of the rest, so that all end together.
    """
    busy = kept.copy()
    for start, end in taken:
        busy.add(start, end)
    gap = next(busy.gaps(0, size), None)
    if gap is None:
        return None
    rest = sum(end - start for start, end in busy.gaps(0, size))
    share = rest // (2 * connections) if connections > 1 else rest
    length = max(ASK_MIN, min(ASK_MAX, max(int(rate * ASK_S), 16 * MIB), share))
    return gap[0], min(gap[1], gap[0] + length)
