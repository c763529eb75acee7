"""A file read to its end and known by its digest, together with what it was while it was read."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.file_systems import traits_of
from flowhub_jobs.system import read_once
from flowhub_jobs.values.artifacts import git_sha1

READ = 1 << 20  # bytes between two looks whether to go on
SMALL = 64 << 20  # bytes up to which a git blob id is computed unasked


class Unreadable(Exception):
    """This file cannot be read, or not as one thing; the message ends the sentence "it …"."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What stays the same while a file is not written to. One that shares the inode has the same.

    `inode` is 0 where the file system numbers a file differently at each look.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def identity(self) -> tuple[int, int] | None:
        """What two hard links of one file share; None where inode numbers tell nothing."""
        return (self.device, self.inode) if self.inode else None


@dataclass(frozen=True, slots=True)
class HashedFile:
    path: Path
    stamp: FileStamp
    sha256: str
    git_sha1: str


def stamp_of(path: Path) -> FileStamp:
    """Return the stamp of a regular file, links followed. Raises Unreadable."""
    try:
        return _stamp(path.stat(), path)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise Unreadable(reason(error)) from error


def _stamp(there: os.stat_result, place: Path | int) -> FileStamp:
    if not stat.S_ISREG(there.st_mode):
        raise Unreadable("is not a regular file")
    number = there.st_ino if traits_of(place).numbers_stay else 0
    return FileStamp(there.st_dev, number, there.st_size, there.st_mtime_ns)


def hashed(
    path: Path, may_go_on: Callable[[], None], seen: Callable[[int], None] = lambda count: None, *, git: bool = False
) -> HashedFile:
    """Read the regular file at `path`, which is no link, and return its digests. Raises Unreadable.

    `may_go_on` is called before each MiB and may raise, `seen` is told of each one's bytes. The git blob id of a large
    file is "", unless it is asked for: no Hub names a large file by it.
    """
    try:
        # Not blocking: a pipe that has come to bear this name must not hold us.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise Unreadable(reason(error)) from error
    try:
        before = _stamp(os.fstat(fd), fd)
        running = git_sha1(before.size) if git or before.size <= SMALL else None
        sha256 = _digest(fd, before.size, running, may_go_on, seen)
        if _stamp(os.fstat(fd), fd) != before:
            raise Unreadable("was written to while it was read")
    except OSError as error:
        raise Unreadable(reason(error)) from error
    finally:
        os.close(fd)
    return HashedFile(path, before, sha256, running.hexdigest() if running else "")


def _digest(
    fd: int, size: int, git: "hashlib._Hash | None", may_go_on: Callable[[], None], seen: Callable[[int], None]
) -> str:
    sha256, buffer, at = hashlib.sha256(), memoryview(bytearray(READ)), 0
    while True:
        may_go_on()
        count = read_once(fd, buffer, at)
        at += count
        if count == 0 or at > size:
            break
        sha256.update(buffer[:count])
        if git is not None:
            git.update(buffer[:count])
        seen(count)
    if at != size:
        raise Unreadable("was written to while it was read")
    return sha256.hexdigest()


def reason(error: OSError | ValueError) -> str:
    """Return why the disk refuses, as the end of a sentence."""
    words: dict[type[Exception], str] = {
        PermissionError: "may not be read",
        FileNotFoundError: "is not there any more",
        NotADirectoryError: "is not there any more",
    }
    detail = getattr(error, "strerror", None) or str(error)
    return words.get(type(error), f"cannot be read ({detail})")
