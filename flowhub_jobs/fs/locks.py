"""Locks among processes: files that the kernel keeps locked for as long as their holder lives.

A file system without such locks (some network disks and FUSE) answers one of `NO_LOCKS`.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flowhub_jobs.file_systems import traits_of

NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})

CONTENT_BYTES = 8192

_NAMES_LOST = 5  # tries: each time, the holder removed the name between the open and the lock
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class LockFile:
    """A file locked for as long as this process lives, which proves that its owner lives. The kernel releases it."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError while another process has it, and OSError. A link is not followed."""
        self.path = path
        self._fd = self._locked()
        for _ in range(_NAMES_LOST):
            if self.is_in_place():
                return
            os.close(self._fd)  # its holder removed the name between this process's open and lock
            self._fd = self._locked()

    def _locked(self) -> int:
        fd = os.open(self.path, _OPEN, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd

    def is_in_place(self) -> bool:
        """Return whether the locked file still has its path; it, or its folder, may have been removed."""
        try:
            at_path, locked = os.stat(self.path, follow_symlinks=False), os.fstat(self._fd)
        except OSError:
            return False
        # Where inode numbers change at each look, that a file has the name is all that can be known.
        return os.path.samestat(locked, at_path) or not traits_of(self._fd).numbers_stay

    def content(self) -> bytes:
        """Return the content that the last holder wrote; spaces may follow."""
        return os.pread(self._fd, CONTENT_BYTES, 0)

    def write(self, content: bytes) -> None:
        """Replace the content: it names the holder, for a process that finds the file locked or left behind."""
        # Always of the same length: not every file system can truncate a file.
        os.pwrite(self._fd, content.ljust(CONTENT_BYTES), 0)

    def moved_to(self, path: Path) -> None:
        """Record that the file has another path now: a folder above it was renamed."""
        self.path = path

    def leave(self) -> None:
        """Unlock the file and leave it, with its content."""
        os.close(self._fd)

    def release(self) -> None:
        """Remove the file, then the lock: an unlocked file would name an owner that was killed."""
        if self.is_in_place():  # else another process has a new file there
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._fd)


@contextlib.contextmanager
def held_lock(
    path: Path, *, may_continue: Callable[[], None], at_most_s: float, spare: Path | None = None
) -> Iterator[None]:
    """Hold a lock among the processes and threads of this machine; its file stays.

    While another has it, `may_continue` is called and may raise. After `at_most_s` the caller continues without it: the
    holder is suspended, and its late actions must be fenced in another way. If the file system of `path` has no locks,
    `spare` is locked instead, which only this machine's processes see; without a spare, the error is raised.
    """
    fd = _opened(path, spare)
    try:
        patience = time.monotonic() + at_most_s
        while not _locked(fd) and time.monotonic() < patience:
            may_continue()
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)


def _opened(path: Path, spare: Path | None) -> int:
    fd = os.open(path, _OPEN, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return fd
    except OSError as error:
        os.close(fd)
        if spare is None or error.errno not in NO_LOCKS:
            raise
        return os.open(spare, _OPEN, 0o600)
    fcntl.flock(fd, fcntl.LOCK_UN)
    return fd


def demand_locks(path: Path) -> None:
    """Raise the error of NO_LOCKS where the file system of `path`, a lock file, has no locks."""
    os.close(_opened(path, None))


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_is_free(path: Path) -> bool | None:
    """Return True if the lock's owner is dead, False if it lives, None if it is not known: no file, or no locks."""
    try:
        # Not blocking: opening a pipe waits for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in NO_LOCKS else False
    finally:
        os.close(fd)
    return True
