"""What lies on the disk and whose it is: what a removal frees, and what other names of the same bytes keep."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512  # bytes; the unit of st_blocks, whatever the file system's own is (man 2 stat)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of a file or folder. Its removal frees `own`; `shared` stays with other hard links, `linked` behind links.

    A file with holes, or one that its disk compresses, weighs what it takes there.
    """

    own: int = 0
    shared: int = 0
    linked: int = 0

    @property
    def total(self) -> int:
        return self.own + self.shared + self.linked


class DiskUsage:
    """Weighs one thing after the other; a file with several names is weighed once."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def weigh(self, path: Path) -> Size:
        """Return what `path` weighs that was not weighed before. What goes away meanwhile weighs nothing."""
        linked, names = _looked_at(path)
        own = shared = 0
        for who, (here, about) in names.items():
            if who in self._seen:
                continue
            self._seen.add(who)
            if about.st_nlink > here:
                shared += _on_disk(about)
            else:
                own += _on_disk(about)
        return Size(own, shared, linked)


def _looked_at(path: Path) -> tuple[int, dict[tuple[int, int], tuple[int, os.stat_result]]]:
    """Return the bytes behind links, and each file that lies here, by device and inode, with how many names it has."""
    linked = 0
    names: dict[tuple[int, int], tuple[int, os.stat_result]] = {}
    for entry in _files(path):
        try:
            about = entry.lstat()
            if stat.S_ISLNK(about.st_mode):
                linked += entry.stat().st_size
                continue
        except OSError:
            continue
        who = (about.st_dev, about.st_ino)
        names[who] = (names.get(who, (0, about))[0] + 1, about)
    return linked, names


def weigh(path: Path) -> Size:
    """Return what one file or folder weighs by itself."""
    return DiskUsage().weigh(path)


def _on_disk(about: os.stat_result) -> int:
    # Not more than its size: the rest of its last block is of no interest to anybody.
    return min(about.st_size, about.st_blocks * BLOCK)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for place, folders, files in os.walk(path):
        yield from (Path(place) / name for name in files)
        yield from (link for name in folders if (link := Path(place) / name).is_symlink())


def touched_at(path: Path) -> float:
    """Return when anything in a file or folder was last written to, in seconds since 1970; 0 if nothing is there."""
    times = []
    for entry in (path, *_files(path)):
        try:
            times.append(entry.lstat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)
