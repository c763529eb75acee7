"""Small files, written whole or not at all; files and folders that are for their owner alone."""

import contextlib
import os
import stat
from pathlib import Path

from flowhub_jobs.system import sync_path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, scratch: Path | None = None) -> None:
    """Write by a rename, durably: a reader sees the old file or the new one, also after a power cut.

    By default only the owner may read the file, and each writer has a scratch file of its own. A caller that holds a
    lock may name the scratch file: the next writer then replaces what a killed one left.
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
    """Make a file for its owner alone, if there is none; take the rights of others from one that is there.

    It is opened only to be made: to close a database's file would drop the locks that this process has on it ("How To
    Corrupt An SQLite Database File", 2.2).
    """
    try:
        os.close(os.open(path, _NEW, 0o600))
    except FileExistsError:
        tighten(path)


def tighten(path: Path) -> None:
    """Take the rights of others from a file or folder of this user.

    A link, a folder like /tmp (the sticky bit), and what is not there are left alone.
    """
    with contextlib.suppress(OSError):  # FAT and some network disks know no rights
        there = path.lstat()
        own = there.st_uid == os.geteuid() and not stat.S_ISLNK(there.st_mode)
        if own and there.st_mode & 0o077 and not there.st_mode & stat.S_ISVTX:
            path.chmod(stat.S_IMODE(there.st_mode) & 0o700)
