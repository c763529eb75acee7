"""The disk's errors made ours, at one border; links that lead out of a folder refused; whole folders synced."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowhub_jobs.errors import DiskFull, FlowhubError, StorageFailed, StoreOffline, TooManyFiles
from flowhub_jobs.system import sync_path


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of the disk into ours, at the one border."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> FlowhubError:
    """Return an error of the disk that holds `path` as one of ours."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"The disk that holds {path} is full.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ESTALE):
        return StoreOffline(f"{path} is gone: it was removed, or its disk is not there ({error.strerror}).")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TooManyFiles(f"{path} cannot be opened: too many files are open already.")
    if error.errno == errno.EROFS:
        return StoreOffline(f"The disk that holds {path} is read-only now.")
    return StorageFailed(f"The disk refused {path}: {error.strerror or error}.")


def refuse_links(top: Path, bottom: Path) -> None:
    """Raise StorageFailed if a folder from `top` to `bottom` is a symbolic link: it would lead out of the store."""
    end, place, below = str(top), str(bottom), ""
    while place != below:  # not as Paths, of which each file of a thousand would make a handful
        if os.path.islink(place):
            raise StorageFailed(f"{place} is a symbolic link; nothing is written through it.", hint="Remove the link.")
        if place == end:
            return
        place, below = os.path.dirname(place), place


def sync_tree(folder: Path) -> None:
    """Put the entries of a folder and of every folder below it on the disk, the deepest first."""
    with disk_errors(folder):
        for place, _folders, _files in os.walk(folder, topdown=False):
            sync_path(Path(place))
