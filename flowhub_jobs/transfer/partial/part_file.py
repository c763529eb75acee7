"""Files of a partial, the folder that holds the journal and the bytes so far.

<store>/.partial/<name>.<key>.<node>/
    journal         which bytes of the rest are on the disk
    files/…         the artifact's files, at their own paths
    files.1/…       files that started over: that creates a new file and never truncates the old one
"""

import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flowhub_jobs.errors import PartialRemoved, StorageFailed
from flowhub_jobs.file_systems import UNKNOWN, mark_of, traits_of
from flowhub_jobs.fs.disk_errors import disk_error, disk_errors, refuse_links
from flowhub_jobs.system import direct_twin, read_once, sync_data

FILES = "files"
SYNCS_MAX = 8  # No more files are synced at the same time.
PAGE = 4096  # bytes
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW = _OPEN | os.O_CREAT | os.O_EXCL
_CLOSED = -1


def part_path(path: str, generation: int) -> str:
    """Return the path inside the partial of the bytes of `path`; `generation` counts how often it started over."""
    return f"{FILES}.{generation}/{path}" if generation else f"{FILES}/{path}"


def generation_of(part: str) -> int:
    folder = part.split("/", 1)[0]
    return int(folder.partition(".")[2] or 0)


class PartFile:
    """One file of a partial. Between two uses it may be closed: a model may have more files than a process may open.

    A caller of `close` knows that no other thread uses the file.
    """

    def __init__(self, folder: Path, part: str, *, new: bool) -> None:
        self.path, self._folder = folder / part, folder
        self._opening = threading.Lock()
        refuse_links(folder, self.path.parent)
        with disk_errors(self.path):
            self._fd = _create(self.path) if new else os.open(self.path, _OPEN)
        opened = os.fstat(self._fd)
        self._inodes_stay = traits_of(self._fd).numbers_stay
        self._device, self._inode = opened.st_dev, opened.st_ino
        self.takes_direct = True  # until its disk refuses: see DirectPart

    @property
    def descriptor(self) -> int:
        """The file's descriptor; it is opened again if it was closed."""
        if self._fd == _CLOSED:
            with self._opening:
                if self._fd == _CLOSED:
                    self._fd = self._reopen()
        return self._fd

    def _reopen(self) -> int:
        refuse_links(self._folder, self.path.parent)
        with disk_errors(self.path):
            fd = os.open(self.path, _OPEN)
        opened = os.fstat(fd)
        if self._inodes_stay and (opened.st_dev, opened.st_ino) != (self._device, self._inode):
            os.close(fd)
            raise StorageFailed(f"{self.path} was replaced by another program while it was fetched.")
        return fd

    def mark(self) -> tuple[int, ...]:
        """Return what distinguishes this file from another one under its name, once no more is written: `mark_of`."""
        if self._inodes_stay:
            return (self._inode,)
        with disk_errors(self.path):
            status = os.stat(self.path if self._fd == _CLOSED else self._fd)
        return mark_of(status, UNKNOWN)

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
        except OSError as error:  # not `disk_errors`: a context manager costs too much in the innermost loop
            raise disk_error(self.path, error) from error

    def read(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; return the count. The bytes are not read again soon (`read_once`)."""
        with disk_errors(self.path):
            return read_once(self.descriptor, buffer, offset)

    def check_named(self) -> None:
        """Raise PartialRemoved if another program removed the file: what is written to it now is lost."""
        # The name as well: some FUSE file systems count no links.
        if self._fd != _CLOSED and os.fstat(self._fd).st_nlink == 0 and not os.path.lexists(self.path):
            raise PartialRemoved(f"The unfinished download {self.path} was removed by another program.")

    def truncate(self, size: int) -> None:
        with disk_errors(self.path):
            os.ftruncate(self.descriptor, size)

    def remove(self) -> None:
        """Remove the file, and free its space even if a late writer still has it open: it has no name any more."""
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)
            if self._fd != _CLOSED and os.fstat(self._fd).st_nlink == 0:
                os.ftruncate(self._fd, 0)

    def sync(self) -> None:
        """Sync the file. A closed file stays closed for all other threads."""
        if self._fd != _CLOSED:
            with disk_errors(self.path):
                sync_data(self._fd)
            return
        fd = self._reopen()
        try:
            with disk_errors(self.path):
                sync_data(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor, once: its number may be another file's after that."""
        fd, self._fd = self._fd, _CLOSED
        if fd != _CLOSED:
            os.close(fd)


class DirectPart:
    """A part that is written past the system's cache (direct I/O): whole pages, in memory and in the file.

    It has a descriptor of its own until `close`, unless the disk is not known to be good at direct I/O (`direct_twin`).
    """

    def __init__(self, part: PartFile) -> None:
        self._part, self._fd = part, direct_twin(part.descriptor)
        part.takes_direct = self._fd is not None

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data`; bytes that the disk refuses are written through the cache."""
        written = 0
        try:
            if self._fd is not None:
                written = os.pwrite(self._fd, data, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise disk_error(self._part.path, error) from error
            self._part.takes_direct = False  # its pages are larger, or it has no direct I/O
        if written < len(data):
            self._part.write(data[written:], offset + written)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _create(path: Path) -> int:
    # The common case first: of a thousand small files, all but one find their folder, and no file in their place.
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        return os.open(path, _NEW, 0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The old file belongs to no run; a late writer that has it open keeps it, without a name.
    path.unlink(missing_ok=True)
    return os.open(path, _NEW, 0o644)


def sync_all(parts: Sequence[PartFile]) -> None:
    """Sync all parts. At the same time, the disk syncs ten small files in the time of one."""
    if len(parts) < SYNCS_MAX:
        for part in parts:
            part.sync()
        return
    with ThreadPoolExecutor(SYNCS_MAX, thread_name_prefix="sync") as pool:
        list(pool.map(PartFile.sync, parts))
