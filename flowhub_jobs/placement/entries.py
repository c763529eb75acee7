"""The files of a placement as its row records them, compared with the disk: is a file flowhub's own, is it intact?"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowhub_jobs.file_systems import same_time, traits_of
from flowhub_jobs.store.links import LinkKind

TEXT_MAX = 4 << 20  # bytes of a small file that flowhub writes


class EntryKind(StrEnum):
    LINK = "link"  # to a file of the store
    SYMLINK = "symlink"  # inside the program's folder
    TEXT = "text"


class PlacementState(StrEnum):
    """The state of a placement, or of one of its files, on the disk."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"


Stamp = tuple[int, int, int]  # inode, size, mtime in nanoseconds


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a placement.

    `text` is a symbolic link's content or a small file's. `own`: flowhub made it; else the program had the same file
    already, and it stays the program's. `replaces` is the stamp of another placement's file whose name it gets. `how`
    and `stamp` are known once it is made.
    """

    kind: EntryKind
    target: Path
    source: Path | None = None
    size: int = 0
    text: str | None = None
    own: bool = True
    optional: bool = False
    replaces: Stamp | None = None
    how: LinkKind | None = None
    stamp: Stamp | None = None
    staged_in: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        paths = {name: str(values[name]) if values[name] else None for name in ("target", "source", "staged_in")}
        return values | {"kind": str(self.kind)} | paths

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Entry":
        """Return the entry that `as_dict` wrote. Raises KeyError, TypeError and ValueError where it is damaged."""
        fields = {name: data[name] for name in cls.__slots__ if name in data}
        kind, how = fields["kind"], fields.get("how")
        values: dict[str, Any] = {"kind": EntryKind(kind), "target": Path(fields["target"])}
        values |= {name: Path(fields[name]) if fields.get(name) else None for name in ("source", "staged_in")}
        values |= {"how": LinkKind(how) if how else None}
        values |= {name: tuple(map(int, fields[name])) if fields.get(name) else None for name in ("stamp", "replaces")}
        return cls(**fields | values)

    def temporary(self, token: str, number: int) -> Path:
        """Return the name that it is made under, next to its target unless the program reads every file there."""
        return (self.staged_in or self.target.parent) / f".flowhub-{token}-{number}"


def entries_of(stored: Any) -> tuple[Entry, ...]:
    """Return the entries of a row; none where its column is empty or damaged."""
    try:
        return tuple(Entry.from_dict(entry) for entry in stored or ())
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def stamp_at(path: Path) -> Stamp:
    """Return the stamp of a file or a link. Raises OSError."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def state_of(entry: Entry) -> PlacementState:
    """Return whether the file is at its target as it was made; a link that leads to nothing is missing."""
    target = entry.target
    try:
        if not (target.exists() or (entry.kind is EntryKind.SYMLINK and target.is_symlink())):
            return PlacementState.MISSING
        return PlacementState.OK if not entry.own or is_intact(entry, target) else PlacementState.CHANGED
    except OSError:
        return PlacementState.MISSING


def is_own(entry: Entry, path: Path) -> bool:
    """Return whether the file at `path`, the entry's target or temporary name, is the one that flowhub made."""
    try:
        status = path.lstat()
        if entry.stamp is None or not is_intact(entry, path):
            return False
        return status.st_ino == entry.stamp[0] or not traits_of(path.parent).numbers_stay
    except OSError:
        return False


def is_intact(entry: Entry, path: Path) -> bool:
    """Return whether the file at `path` has the content of the entry; of a link, the stamp. Raises OSError."""
    status = path.lstat()
    if entry.kind is EntryKind.SYMLINK or entry.how is LinkKind.SYMLINK:
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == entry.text
    if not stat.S_ISREG(status.st_mode):
        return False
    if entry.kind is EntryKind.TEXT:
        return status.st_size <= TEXT_MAX and path.read_bytes() == content_of(entry)
    return entry.stamp is not None and _has_stamp(status, entry.stamp, entry.how, path)


def content_of(entry: Entry) -> bytes:
    return (entry.text or "").encode()


def _has_stamp(status: os.stat_result, stamp: Stamp, how: LinkKind | None, path: Path) -> bool:
    inode, size, mtime_ns = stamp
    traits = traits_of(path.parent)
    if traits.numbers_stay and how is LinkKind.HARDLINK:
        return status.st_ino == inode  # a program may touch its time; the bytes are the store's
    if traits.numbers_stay and status.st_ino != inode:
        return False
    return status.st_size == size and same_time(mtime_ns, status.st_mtime_ns, traits)


def shared_with(entry: Entry, others: Iterable[Entry]) -> list[Entry]:
    """Return the entries of other placements that have the same target and content."""
    matching = [other for other in others if other.target == entry.target and other.own]
    return [other for other in matching if entry.kind is not EntryKind.TEXT or other.text == entry.text]
