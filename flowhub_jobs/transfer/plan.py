"""What to ask next, of a file of which this is kept and that is on its way. Pure; ranges are half-open, in bytes."""

from flowhub_jobs.pieces.ranges import MIB, Range, Ranges

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
