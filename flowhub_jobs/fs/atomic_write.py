"""Writes small files atomically; makes files and folders private to their owner."""

import contextlib
import os
import stat
from pathlib import Path

from flowhub_jobs.system import sync_path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, scratch: Path | None = None) -> None:
    """Write durably, by a rename: a reader sees the old file or the new one, also after a power cut.

    By default only the owner may read the file, and each writer has a scratch file of its own. A caller that holds a
    lock may name the scratch file: then the next call removes one that a killed writer has left.
    """
    scratch = scratch or path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, _NEW, mode), "wb") as file:
            file.write(content)
        sync_path(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def make_private(path: Path) -> None:
    """Create a private file if there is none; else remove the rights of others.

    An existing file is not opened: closing a database's file would drop the locks that this process has on it ("How To
    Corrupt An SQLite Database File", 2.2).
    """
    try:
        os.close(os.open(path, _NEW, 0o600))
    except FileExistsError:
        tighten(path)


def tighten(path: Path) -> None:
    """Remove the rights of others from a file or folder of this user.

    Links, folders like /tmp (the sticky bit) and missing paths are ignored.
    """
    with contextlib.suppress(OSError):  # FAT and some network disks have no permissions
        status = path.lstat()
        is_own = status.st_uid == os.geteuid() and not stat.S_ISLNK(status.st_mode)
        if is_own and status.st_mode & 0o077 and not status.st_mode & stat.S_ISVTX:
            path.chmod(stat.S_IMODE(status.st_mode) & 0o700)
