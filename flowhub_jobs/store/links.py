"""How a file comes into the store without its bytes being copied.

reflink    a file of our own that shares the bytes on the disk until one of the two is written to. First choice:
           what the other program does to its file, writing into it or removing it, never reaches ours
hardlink   a second name of the same file. Its removal elsewhere does not reach ours; what is written into it does,
           and is noticed by its time and by `verify`. So nothing of ours ever writes into such a file
symlink    for a file on another disk, or of another user: ours is gone when that one is
copy       only where it was asked for by name
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from flowhub_jobs.store.file_hash import FileStamp, Unreadable, stamp_of
from flowhub_jobs.system import reflink, sync_path


class LinkKind(StrEnum):
    REFLINK = "reflink"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    COPY = "copy"


LINKS = (LinkKind.REFLINK, LinkKind.HARDLINK, LinkKind.SYMLINK)
OWN_BYTES = (LinkKind.REFLINK, LinkKind.COPY)
IN_THE_STORE = (LinkKind.REFLINK, LinkKind.HARDLINK)  # of two models of ours none may hang on the other


def link(source: Path, stamp: FileStamp, target: Path, kinds: Sequence[LinkKind] = LINKS) -> LinkKind | None:
    """Make `target` the file `source` in the first way that works; return which it was, None if none does.

    `source` is no link itself, and `stamp` what it was when it was hashed: Unreadable if it was written to since. Only
    the file's own bytes are synced: its name is the caller's to sync. Raises OSError, as of a full disk.
    """
    for kind in kinds:
        if _made(kind, source, target):
            try:
                _check(kind, source, stamp, target)
            except BaseException:
                target.unlink()
                raise
            return kind
    return None


def _made(kind: LinkKind, source: Path, target: Path) -> bool:
    if kind is LinkKind.REFLINK:
        return reflink(source, target)
    if kind is LinkKind.HARDLINK:
        return _hardlinked(source, target)
    if kind is LinkKind.SYMLINK:
        target.symlink_to(source)
        return True
    with source.open("rb") as there, target.open("xb") as here:
        shutil.copyfileobj(there, here, 1 << 20)
    return True


def _hardlinked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        return False  # another disk, a file system without, another user's file (fs.protected_hardlinks)
    return True


def _check(kind: LinkKind, source: Path, stamp: FileStamp, target: Path) -> None:
    own = kind in OWN_BYTES
    if own:
        sync_path(target)
    if stamp_of(source) != stamp or stamp_of(target).size != stamp.size or not (own or stamp_of(target) == stamp):
        raise Unreadable("was written to since it was read")


def expected(source: Path, folder: Path, kinds: Sequence[LinkKind] = LINKS) -> LinkKind | None:
    """Return how `source` would be linked below `folder`: tried there, under a name that is gone at once."""
    probe = folder / f".probe-{secrets.token_hex(4)}"
    for kind in kinds:
        if kind is LinkKind.COPY:
            return kind
        try:
            if _made(kind, source, probe):
                return kind
        except OSError:
            continue
        finally:
            probe.unlink(missing_ok=True)
    return None
