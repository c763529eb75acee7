"""Copies files and hashes them on the way. An interrupted copy starts again from the first byte."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowhub_jobs.errors import NotFound, SizeMismatch, StorageFailed
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.system import sync_data
from flowhub_jobs.worker.context import Run
from flowhub_jobs.worker.progress import ProgressWriter

READ = 1 << 20
REPORT_BYTES = 64 << 20


class Copier:
    """Copies file by file and reports its progress. `hint` is that of the errors about a source file."""

    def __init__(self, total: int, run: Run, progress: ProgressWriter, hint: str) -> None:
        self._total, self._run, self._progress, self._hint = total, run, progress, hint
        self._done = self._reported = 0

    def copy(self, source: Path, size: int, target: Path) -> str:
        """Copy a file of `size` bytes to a new one, put it on the disk, and return its sha256. A link is not followed.

        Raises NotFound, SizeMismatch and StorageFailed for the source, DiskFull and its like for the target.
        """
        digest, buffer = hashlib.sha256(), memoryview(bytearray(min(READ, size or 1)))
        with self._open_source(source, size) as source_fd, disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            with target.open("xb", buffering=0) as copy:
                while (remaining := size - copy.tell()) and (
                    count := self._read(source_fd, buffer[:remaining], source)
                ):
                    self._run.cancel.check()
                    digest.update(buffer[:count])
                    _write_all(copy.fileno(), buffer[:count])
                    self._add_progress(count)
                sync_data(copy.fileno())
        return digest.hexdigest()

    @contextmanager
    def _open_source(self, source: Path, size: int) -> Iterator[int]:
        """Yield the open source: a regular file of this size, and no pipe or device, which have no end."""
        try:
            fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"{source} cannot be read: {error.strerror}.", hint=self._hint) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise NotFound(f"{source} is not a file.", hint=self._hint)
            if status.st_size != size:
                raise SizeMismatch(f"{source} has {status.st_size:,} bytes, and not {size:,}.", hint=self._hint)
            yield fd
        finally:
            os.close(fd)

    def _read(self, fd: int, view: memoryview, source: Path) -> int:
        try:
            return os.readv(fd, [view])
        except OSError as error:
            raise StorageFailed(f"{source} cannot be read: {error.strerror}.") from error

    def _add_progress(self, count: int) -> None:
        self._done += count
        if self._done - self._reported >= REPORT_BYTES or self._done == self._total:
            self._reported = self._done
            self._progress.reads(self._total, self._done, [])


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]
