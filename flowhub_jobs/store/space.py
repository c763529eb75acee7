"""Free space: the bytes that all queued jobs need, compared with the free bytes less a reserve."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.errors import DiskFull
from flowhub_jobs.store.disk_usage import measure
from flowhub_jobs.units import format_bytes


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes for new files: `free` of the file system for this user, of which `reserve` is kept free.

    `growth` is what `store_max` lets the store grow by, negative if the store is larger; None without a maximum.
    """

    free: int
    reserve: int
    growth: int | None = None

    @property
    def usable(self) -> int:
        """The bytes that may be written; negative if the reserve or the maximum is exceeded."""
        unreserved = self.free - self.reserve
        return unreserved if self.growth is None else min(unreserved, self.growth)

    @property
    def is_limited_by_maximum(self) -> bool:
        return self.growth is not None and self.growth < self.free - self.reserve


def room_at(path: Path, reserve: int, store_max: int | None = None) -> Room:
    """Return the room at `path`, or at its nearest existing parent. The reserve is at most a twentieth of the disk.

    With `store_max` everything in `path` is measured, and counts against it.
    """
    usage = shutil.disk_usage(_existing(path))
    growth = None
    if store_max is not None:
        size = measure(path)
        growth = store_max - size.own - size.shared
    return Room(usage.free, effective_reserve(usage.total, reserve), growth)


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def disk_size(path: Path) -> int:
    """Return the size of the file system that holds `path`, or would hold it. Bytes."""
    return shutil.disk_usage(_existing(path)).total


def device_of(path: Path) -> int:
    """Return the number of the file system that holds `path`, or would hold it."""
    return _existing(path).stat().st_dev


def room_text(room: Room, disk: str, store: str = "The store") -> str:
    """Return "DISK has 5 GB free, of which 1 GB is reserved (disk_reserve)", or the rest of the store's maximum."""
    if room.is_limited_by_maximum and room.growth is not None:
        if room.growth < 0:
            return f"{store} is {format_bytes(-room.growth)} above its maximum (store_max)"
        return f"{store} may grow by {format_bytes(room.growth)} (store_max)"
    return (
        f"{disk} has {format_bytes(room.free)} free, of which {format_bytes(room.reserve)} is reserved (disk_reserve)"
    )


def effective_reserve(total: int, reserve: int) -> int:
    """Return the reserve of a disk of `total` bytes: at most a twentieth."""
    return min(reserve, total // 20)


def reserved_bytes(room: Room, running: int, ahead: Iterable[int]) -> int:
    """Return the bytes that are reserved: for running jobs, and for those `ahead` in the queue, in its order.

    A job ahead that does not fit reserves nothing: it waits, and smaller jobs may start before it.
    """
    reserved = running
    for need in ahead:
        if reserved + need <= room.usable:
            reserved += need
    return reserved


def check_room(room: Room, need: int, ahead: int, path: Path) -> None:
    """Raise DiskFull unless `need` bytes fit with the `ahead` bytes of jobs that go first. Kept bytes need no more."""
    if need and need + ahead > room.usable:
        ahead_text = f", and jobs that go first {format_bytes(ahead)}" if ahead else ""
        raise DiskFull(
            f"{room_text(room, f'The disk that holds {path}', f'The store {path}')}; "
            f"this job still needs {format_bytes(need)}{ahead_text}."
        )
