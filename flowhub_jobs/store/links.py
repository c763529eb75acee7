"""Links a file into the store without copying its bytes.

reflink    a new file that shares the bytes on the disk until one of the two is written to. First choice:
           whatever the other program does to its file, the store's file keeps its bytes
hardlink   a second name of the same file. Its removal elsewhere does not affect the store; a write to it does,
           and is noticed by its time and by `verify`. flowhub never writes into such a file
symlink    for a file on another disk, or of another user: the store's model is gone when that file is
copy       only if the user asks for it
"""

import errno
import os
import secrets
import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from flowhub_jobs.store.file_hash import FileStamp, UnreadableFile, stamp_of
from flowhub_jobs.system import reflink, sync_path


class LinkKind(StrEnum):
    REFLINK = "reflink"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    COPY = "copy"

    @property
    def text(self) -> str:
        """The kind in the words that people read; JSON has its value."""
        return {"hardlink": "hard link", "symlink": "symbolic link"}.get(self.value, self.value)


LINKS = (LinkKind.REFLINK, LinkKind.HARDLINK, LinkKind.SYMLINK)
OWN_BYTES = (LinkKind.REFLINK, LinkKind.COPY)
# Error codes of file systems without symbolic links: vfat and exFAT EPERM, SMB ENOTSUP or ENOSYS.
_NO_SYMLINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
IN_THE_STORE = (LinkKind.REFLINK, LinkKind.HARDLINK)  # no model of the store may depend on another


def link(source: Path, stamp: FileStamp, target: Path, kinds: Sequence[LinkKind] = LINKS) -> LinkKind | None:
    """Link `source` to `target` in the first way that works; return the way, None if none works.

    `source` is not a link, and `stamp` is its stamp when it was hashed: UnreadableFile if it was written to since. Only
    the file's own bytes are synced; the caller syncs the name. Raises OSError, e.g. on a full disk.
    """
    for kind in kinds:
        if _make(kind, source, target):
            try:
                _check(kind, source, stamp, target)
            except BaseException:
                target.unlink()
                raise
            return kind
    return None


def _make(kind: LinkKind, source: Path, target: Path) -> bool:
    if kind is LinkKind.REFLINK:
        return reflink(source, target)
    if kind is LinkKind.HARDLINK:
        return _make_hardlink(source, target)
    if kind is LinkKind.SYMLINK:
        return _make_symlink(source, target)
    with source.open("rb") as source_file, target.open("xb") as target_file:
        shutil.copyfileobj(source_file, target_file, 1 << 20)
    return True


def _make_hardlink(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        return False  # another disk, a file system without, another user's file (fs.protected_hardlinks)
    return True


def _make_symlink(source: Path, target: Path) -> bool:
    try:
        target.symlink_to(source)
    except OSError as error:
        if error.errno in _NO_SYMLINKS:
            return False
        raise
    return True


def _check(kind: LinkKind, source: Path, stamp: FileStamp, target: Path) -> None:
    has_own_bytes = kind in OWN_BYTES
    if has_own_bytes:
        sync_path(target)
    if (
        stamp_of(source) != stamp
        or stamp_of(target).size != stamp.size
        or not (has_own_bytes or stamp_of(target) == stamp)
    ):
        raise UnreadableFile("was written to since it was read")


def probe_link_kind(source: Path, folder: Path, kinds: Sequence[LinkKind] = LINKS) -> LinkKind | None:
    """Return the way in which `source` would be linked below `folder`; a probe file is made there and removed."""
    probe = folder / f".probe-{secrets.token_hex(4)}"
    for kind in kinds:
        if kind is LinkKind.COPY:
            return kind
        try:
            if _make(kind, source, probe):
                return kind
        except OSError:
            continue
        finally:
            probe.unlink(missing_ok=True)
    return None
