"""Records which bytes of a file came from which mirror, to find the mirror at fault if the digest is wrong."""

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.partial.journal import FileRecord


def note_bytes_of_mirror(record: FileRecord, mirror: str, start: int, end: int) -> None:
    """Record that bytes came from a mirror; `mirror` is "" for the file's own URL. They no longer count for any other
    mirror."""
    if not mirror and not record.bytes_by_mirror:
        return
    for other, ranges in record.bytes_by_mirror.items():
        if other != mirror:
            ranges.remove(start, end)
    if mirror:
        record.bytes_by_mirror.setdefault(mirror, Ranges()).add(start, end)
