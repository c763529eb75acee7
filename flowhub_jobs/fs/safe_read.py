"""Reads a small file of unknown origin: a pipe, a device or a large file raises, and never blocks."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most `most` bytes. A link is followed unless `follow` is off.

    Raises OSError, also for a pipe or a device, which may never answer, and for a larger file; its `strerror` says so.
    ValueError: a NUL in the path.
    """
    # Not blocking: opening a pipe waits for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        _check(os.fstat(fd), path, most)
        with open(fd, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(fd)


def _check(status: os.stat_result, path: Path, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))


def is_regular(path: Path) -> bool:
    """Return whether this is a file, and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
