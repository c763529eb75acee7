"""Free space: the bytes that all queued jobs need, against those free less a reserve."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.errors import DiskFull
from flowhub_jobs.units import format_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of a file system: free for this user, and kept as a reserve."""

    free: int
    reserve: int


def room_at(path: Path, reserve: int) -> Room:
    """Return the room at `path`, or at its nearest existing parent. The reserve is at most a twentieth of the disk."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    usage = shutil.disk_usage(existing)
    return Room(usage.free, effective_reserve(usage.total, reserve))


def effective_reserve(total: int, reserve: int) -> int:
    """Return the reserve of a disk of `total` bytes: at most a twentieth."""
    return min(reserve, total // 20)


def reserved_bytes(room: Room, running: int, ahead: Iterable[int]) -> int:
    """Return the bytes that are reserved: for running jobs, and for those `ahead` in the queue, in its order.

    A job ahead that does not fit reserves nothing: it waits, and smaller jobs may start before it.
    """
    taken = running
    for need in ahead:
        if taken + need <= room.free - room.reserve:
            taken += need
    return taken


def check_room(room: Room, need: int, others: int, where: Path) -> None:
    """Raise DiskFull unless `need` bytes fit in addition to the `others` that go first. Kept bytes need no more."""
    if need and need + others > room.free - room.reserve:
        besides = f", and jobs that go first {format_bytes(others)}" if others else ""
        raise DiskFull(
            f"The disk that holds {where} has {format_bytes(room.free)} free, of which {format_bytes(room.reserve)} "
            f"are kept back; this job still needs {format_bytes(need)}{besides}."
        )
