"""Digests of a whole file, with the file's stamp before and after it was read."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.file_systems import traits_of
from flowhub_jobs.system import open_unseen, read_once
from flowhub_jobs.values.artifacts import git_sha1

READ = 1 << 20  # bytes between two calls of `may_continue`
SMALL = 64 << 20  # bytes up to which a git blob id is always computed


class UnreadableFile(Exception):
    """This file cannot be read as one unchanged whole; the message ends the sentence "it …"."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Stamp that stays equal while a file is not written to. Hard links of one file have the same.

    `inode` is 0 where the file system's inode numbers are not stable.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode, which hard links of one file share; None where inode numbers are not stable."""
        return (self.device, self.inode) if self.inode else None


@dataclass(frozen=True, slots=True)
class HashedFile:
    path: Path
    stamp: FileStamp
    sha256: str
    git_sha1: str


def stamp_of(path: Path) -> FileStamp:
    """Return the stamp of a regular file, links followed. Raises UnreadableFile."""
    try:
        return _stamp(path.stat(), path)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise UnreadableFile(read_error_text(error)) from error


def _stamp(status: os.stat_result, path_or_fd: Path | int) -> FileStamp:
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile("is not a regular file")
    number = status.st_ino if traits_of(path_or_fd).numbers_stay else 0
    return FileStamp(status.st_dev, number, status.st_size, status.st_mtime_ns)


def hash_file(
    path: Path,
    may_continue: Callable[[], None],
    on_read: Callable[[int], None] = lambda count: None,
    *,
    git: bool = False,
) -> HashedFile:
    """Read the regular file at `path`, which is no link, and return its digests. Raises UnreadableFile.

    `may_continue` is called before each MiB and may raise; `on_read` gets the bytes of each. The git blob id of a large
    file is "" unless `git` is set: the Hub names no large file by it.
    """
    try:
        # Non-blocking: a pipe under this name must not hold the caller.
        fd = open_unseen(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UnreadableFile(read_error_text(error)) from error
    try:
        before = _stamp(os.fstat(fd), fd)
        running = git_sha1(before.size) if git or before.size <= SMALL else None
        sha256 = _digest(fd, before.size, running, may_continue, on_read)
        if _stamp(os.fstat(fd), fd) != before:
            raise UnreadableFile("was written to while it was read")
    except OSError as error:
        raise UnreadableFile(read_error_text(error)) from error
    finally:
        os.close(fd)
    return HashedFile(path, before, sha256, running.hexdigest() if running else "")


def _digest(
    fd: int, size: int, git: "hashlib._Hash | None", may_continue: Callable[[], None], on_read: Callable[[int], None]
) -> str:
    sha256, buffer, at = hashlib.sha256(), memoryview(bytearray(READ)), 0
    while True:
        may_continue()
        count = read_once(fd, buffer, at)
        at += count
        if count == 0 or at > size:
            break
        sha256.update(buffer[:count])
        if git is not None:
            git.update(buffer[:count])
        on_read(count)
    if at != size:
        raise UnreadableFile("was written to while it was read")
    return sha256.hexdigest()


def read_error_text(error: OSError | ValueError) -> str:
    """Return the reason of an error as the end of a sentence."""
    texts: dict[type[Exception], str] = {
        PermissionError: "may not be read",
        FileNotFoundError: "no longer exists",
        NotADirectoryError: "no longer exists",
    }
    detail = getattr(error, "strerror", None) or str(error)
    return texts.get(type(error), f"cannot be read ({detail})")
