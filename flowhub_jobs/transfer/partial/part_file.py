"""The partial: a folder that holds the journal and the bytes so far.

<store>/.partial/<name>.<key>.<node>/
    journal         what of the rest is on the disk
    files/…         the artifact's files, at their own paths
    files.1/…       those that were begun anew: starting over makes a new file, never truncates the old one
"""

import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flowhub_jobs.errors import StorageFailed
from flowhub_jobs.file_systems import UNKNOWN, mark_of, traits_of
from flowhub_jobs.fs.disk_errors import disk_error, disk_errors, refuse_links
from flowhub_jobs.system import direct_twin, read_once, sync_data

FILES = "files"
SIDE_BY_SIDE = 8  # syncs at once
PAGE = 4096  # bytes
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW = _OPEN | os.O_CREAT | os.O_EXCL
_CLOSED = -1


def part_path(path: str, generation: int) -> str:
    """Return where the bytes of `path` lie inside the partial, for the n-th time that it was begun (from 0)."""
    return f"{FILES}.{generation}/{path}" if generation else f"{FILES}/{path}"


def generation_of(part: str) -> int:
    folder = part.split("/", 1)[0]
    return int(folder.partition(".")[2] or 0)


class PartFile:
    """One file of a partial. Between two uses it may be closed: a model may have more files than a process may open.

    Its closer knows that no other thread uses it.
    """

    def __init__(self, folder: Path, part: str, *, new: bool) -> None:
        self.path, self._folder = folder / part, folder
        self._opening = threading.Lock()
        refuse_links(folder, self.path.parent)
        with disk_errors(self.path):
            self._fd = _opened_new(self.path) if new else os.open(self.path, _OPEN)
        found = os.fstat(self._fd)
        self._numbered = traits_of(self._fd).numbers_stay
        self._device, self._inode = found.st_dev, found.st_ino
        self.takes_direct = True  # until its disk says otherwise: see DirectPart

    @property
    def descriptor(self) -> int:
        """The file's descriptor, opened anew if it was closed."""
        if self._fd == _CLOSED:
            with self._opening:
                if self._fd == _CLOSED:
                    self._fd = self._opened_again()
        return self._fd

    def _opened_again(self) -> int:
        refuse_links(self._folder, self.path.parent)
        with disk_errors(self.path):
            fd = os.open(self.path, _OPEN)
        found = os.fstat(fd)
        if self._numbered and (found.st_dev, found.st_ino) != (self._device, self._inode):
            os.close(fd)
            raise StorageFailed(f"{self.path} was replaced by another program while it was fetched.")
        return fd

    def mark(self) -> tuple[int, ...]:
        """Return what tells this file from another under its name, when no more is written to it: `mark_of`."""
        if self._numbered:
            return (self._inode,)
        with disk_errors(self.path):
            there = os.stat(self.path if self._fd == _CLOSED else self._fd)
        return mark_of(there, UNKNOWN)

    @property
    def size(self) -> int:
        """The bytes that the file has on the disk, holes included."""
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""
        try:
            fd = self.descriptor
            written = os.pwrite(fd, data, offset)
            while written < len(data):  # a disk that fills up writes less
                written += os.pwrite(fd, memoryview(data)[written:], offset + written)
        except OSError as error:  # written out: `disk_errors` costs more than it should in the innermost loop
            raise disk_error(self.path, error) from error

    def read(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; return how much there was. Nobody reads it again (`read_once`)."""
        with disk_errors(self.path):
            return read_once(self.descriptor, buffer, offset)

    def truncate(self, size: int) -> None:
        with disk_errors(self.path):
            os.ftruncate(self.descriptor, size)

    def remove(self) -> None:
        """Take the file away, and give its room back though somebody late may still be at it: it has no name now."""
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
            if self._fd != _CLOSED and os.fstat(self._fd).st_nlink == 0:
                os.ftruncate(self._fd, 0)

    def sync(self) -> None:
        """Put the file on the disk. One that is closed stays so for all others."""
        if self._fd != _CLOSED:
            with disk_errors(self.path):
                sync_data(self._fd)
            return
        fd = self._opened_again()
        try:
            with disk_errors(self.path):
                sync_data(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the descriptor back, once: its number may be another file's by now."""
        fd, self._fd = self._fd, _CLOSED
        if fd != _CLOSED:
            os.close(fd)


class DirectPart:
    """A part that is written past the system's cache: whole pages, in memory and in the file.

    It has a descriptor of its own until `close`, but for a disk that is not known to be good at that (`direct_twin`).
    """

    def __init__(self, part: PartFile) -> None:
        self._part, self._fd = part, direct_twin(part.descriptor)
        part.takes_direct = self._fd is not None

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data`; what the disk does not take so goes through the cache after all."""
        written = 0
        try:
            if self._fd is not None:
                written = os.pwrite(self._fd, data, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise disk_error(self._part.path, error) from error
            self._part.takes_direct = False  # its pages are larger, or it has none of the kind
        if written < len(data):
            self._part.write(data[written:], offset + written)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _opened_new(path: Path) -> int:
    # Of a thousand small files, all but the first find their folder, and nothing in their place.
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        return os.open(path, _NEW, 0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    # What lies there is nobody's any more; a late writer of it keeps its own file, without a name.
    path.unlink(missing_ok=True)
    return os.open(path, _NEW, 0o644)


def sync_all(parts: Sequence[PartFile]) -> None:
    """Put all of them on the disk. Side by side, the disk takes ten small files in the time of one."""
    if len(parts) < SIDE_BY_SIDE:
        for part in parts:
            part.sync()
        return
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="sync") as pool:
        list(pool.map(PartFile.sync, parts))
