"""Disk usage of files and folders: bytes that a removal frees, and bytes that other names of the same inode keep."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512  # bytes; the unit of st_blocks, whatever the file system's own is (man 2 stat)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of a file or folder. Its removal frees `own`; `shared` stays with other hard links, `linked` behind links.

    A sparse or compressed file counts with the blocks that it takes on the disk.
    """

    own: int = 0
    shared: int = 0
    linked: int = 0

    @property
    def total(self) -> int:
        return self.own + self.shared + self.linked


class DiskUsage:
    """Measures paths one after another; a file with several names is counted once."""

    def __init__(self) -> None:
        self._counted: set[tuple[int, int]] = set()

    def measure(self, path: Path, names_elsewhere: Iterable[Path] = ()) -> Size:
        """Return the bytes of `path` that were not counted before; 0 for a file that is gone.

        `names_elsewhere` are hard links of its files that are removed together with it.
        """
        linked, names = _collect(path)
        for name in set(names_elsewhere):
            _count_name(name, names)
        freed = shared = 0
        for inode, (names_here, status) in names.items():
            if inode in self._counted:
                continue
            self._counted.add(inode)
            if status.st_nlink > names_here:
                shared += _on_disk(status)
            else:
                freed += _on_disk(status)
        return Size(freed, shared, linked)


def _collect(path: Path) -> tuple[int, dict[tuple[int, int], tuple[int, os.stat_result]]]:
    """Return the bytes behind links, and each file by device and inode, with the number of its names in `path`."""
    linked = 0
    names: dict[tuple[int, int], tuple[int, os.stat_result]] = {}
    for entry in _files(path):
        try:
            status = entry.lstat()
            if stat.S_ISLNK(status.st_mode):
                linked += entry.stat().st_size
                continue
        except OSError:
            continue
        inode = (status.st_dev, status.st_ino)
        names[inode] = (names.get(inode, (0, status))[0] + 1, status)
    return linked, names


def measure(path: Path, names_elsewhere: Iterable[Path] = ()) -> Size:
    """Return the size of one file or folder by itself."""
    return DiskUsage().measure(path, names_elsewhere)


def _count_name(name: Path, names: dict[tuple[int, int], tuple[int, os.stat_result]]) -> None:
    """Count one more name of a file in `names`, if it is a hard link of one."""
    try:
        status = name.lstat()
    except OSError:
        return
    inode = (status.st_dev, status.st_ino)
    if inode in names:
        names[inode] = (names[inode][0] + 1, status)


def _on_disk(status: os.stat_result) -> int:
    # Not more than the file's size: the rest of its last block does not count.
    return min(status.st_size, status.st_blocks * BLOCK)


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for directory, folders, files in os.walk(path):
        yield from (Path(directory) / name for name in files)
        yield from (link for name in folders if (link := Path(directory) / name).is_symlink())


def touched_at(path: Path) -> float:
    """Return when anything in a file or folder was last written to, in seconds since 1970; 0 if nothing is there."""
    times = []
    for entry in (path, *_files(path)):
        try:
            times.append(entry.lstat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)
