"""Converts the disk's errors to flowhub's; refuses links that lead out of a folder; syncs whole folders."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowhub_jobs.errors import DiskFull, FlowhubError, OutOfMemory, StorageFailed, StoreOffline, TooManyFiles
from flowhub_jobs.system import open_files_limit, sync_path
from flowhub_jobs.units import format_bytes


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert the errors of the disk into flowhub's."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


# The disk is missing: unplugged, unmounted, or its server or FUSE program has ended.
_GONE = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESTALE),
        *(errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNABORTED),
    }
)


# Another program or the disk's server holds the file for a moment: a virus scanner, a share with locks.
_BUSY = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ETXTBSY, errno.EDEADLK})


def disk_error(path: Path, error: OSError) -> FlowhubError:
    """Return an error of the disk that holds `path` as one of flowhub's."""
    code, why = error.errno, error.strerror or error
    if code == errno.ENOSPC:
        return _full(path)
    if code == errno.EDQUOT:
        hint = "Remove files of yours there, or have the quota raised; {continues}."
        return DiskFull(f"Your quota on the disk that holds {path} is used up.", hint=hint)
    if code in _GONE:
        return StoreOffline(f"{path} is gone: it was removed, or its disk is not there ({error.strerror}).")
    if code in _BUSY:
        hint = "Look which program holds it: a virus scanner, a backup, a share's other users. {Continues}."
        return StoreOffline(f"{path} is busy: another program or its disk's server holds it ({why}).", hint=hint)
    if code in (errno.EMFILE, errno.ENFILE):
        return too_many_files(f"{path} cannot be opened")
    if code == errno.ENOMEM:
        return OutOfMemory(f"This machine has no memory left to read or write {path}.")
    if code == errno.EROFS:
        return StoreOffline(f"The disk that holds {path} is read-only now.")
    return _refused(path, code, str(why))


def _refused(path: Path, code: int | None, why: str) -> StorageFailed:
    """Return the error of a disk that works and does not take a file."""
    if code == errno.EFBIG and (most := resource.getrlimit(resource.RLIMIT_FSIZE)[0]) != resource.RLIM_INFINITY:
        hint = "Raise that limit (`ulimit -f unlimited`; LimitFSIZE= of a service)."
        return StorageFailed(f"This process may write no file larger than {format_bytes(most)}: {path}.", hint=hint)
    if code == errno.EFBIG:
        hint = "Use a file system without that limit: ext4, XFS, APFS, exFAT."
        return StorageFailed(f"The file system that holds {path} takes no file that large (FAT: 4 GB).", hint=hint)
    if code == errno.ENAMETOOLONG:
        return StorageFailed(f"The file system that holds {path.parent} takes no name that long: {path.name}.")
    return StorageFailed(f"The disk refused {path}: {why}.")


def too_many_files(subject: str) -> TooManyFiles:
    """Return the error of a file or a connection that is one too many; `subject` says which cannot be opened."""
    return TooManyFiles(f"{subject}: too many files are open already; this process may open {open_files_limit()}.")


def _full(path: Path) -> DiskFull:
    """Return the error of a full disk. A disk with free bytes may have no inodes left: no room for one more name."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        disk = os.statvfs(existing)
    except OSError:
        return DiskFull(f"The disk that holds {path} is full.")
    if disk.f_files and not disk.f_favail and disk.f_bavail:
        free = format_bytes(disk.f_bavail * disk.f_frsize)
        return DiskFull(
            f"The file system that holds {path} has no inodes left: {disk.f_files:,} of {disk.f_files:,} are in use, "
            f"though {free} are free.",
            hint="Remove files there, small ones too: each uses an inode. {Continues}.",
        )
    return DiskFull(f"The disk that holds {path} is full.")


def refuse_links(top: Path, bottom: Path) -> None:
    """Raise StorageFailed if a folder from `top` to `bottom` is a symbolic link: it would lead out of the store."""
    end, place, below = str(top), str(bottom), ""
    while place != below:  # strings, not Paths: for a thousand files these would be a few thousand objects
        if os.path.islink(place):
            raise StorageFailed(f"{place} is a symbolic link; nothing is written through it.", hint="Remove the link.")
        if place == end:
            return
        place, below = os.path.dirname(place), place


def sync_tree(folder: Path) -> None:
    """Sync a folder and every folder below it, the deepest first."""
    with disk_errors(folder):
        for place, _folders, _files in os.walk(folder, topdown=False):
            sync_path(Path(place))
