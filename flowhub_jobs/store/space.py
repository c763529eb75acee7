"""Whether there is room: all that is queued against what is free, less a reserve."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.errors import DiskFull
from flowhub_jobs.units import format_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """A file system's bytes: free for us, and kept back so that the machine can breathe."""

    free: int
    reserve: int


def room_at(path: Path, reserve: int) -> Room:
    """Return the room at `path`, or at its nearest parent that exists. A small disk keeps a twentieth back, no more."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    return Room(usage.free, kept_back(usage.total, reserve))


def kept_back(total: int, reserve: int) -> int:
    """Return what is kept back of a disk of `total` bytes: the reserve, but of a small one a twentieth, no more."""
    return min(reserve, total // 20)


def spoken_for(room: Room, running: int, ahead: Iterable[int]) -> int:
    """Return the bytes that are not to be had: what running jobs need, and those `ahead` in the queue, in its order.

    A job ahead that has no room itself holds none: it waits, and what fits goes on meanwhile.
    """
    taken = running
    for need in ahead:
        if taken + need <= room.free - room.reserve:
            taken += need
    return taken


def check_room(room: Room, need: int, others: int, where: Path) -> None:
    """Raise DiskFull unless `need` bytes fit beside the `others` that go first. Kept bytes need no more."""
    if need and need + others > room.free - room.reserve:
        besides = f", and jobs that go first {format_bytes(others)}" if others else ""
        raise DiskFull(
            f"The disk that holds {where} has {format_bytes(room.free)} free, of which {format_bytes(room.reserve)} "
            f"are kept back; this job still needs {format_bytes(need)}{besides}."
        )
