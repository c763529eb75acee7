"""Makes the files of a placement under temporary names, gives them their names, and removes them.

A file gets its name by a rename that replaces nothing. Only a file that is as flowhub made it is removed.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.errors import NameTaken, PlacementRefused
from flowhub_jobs.placement.entries import Entry, EntryKind, content_of, is_own, stamp_at
from flowhub_jobs.store.file_hash import UnreadableFile, stamp_of
from flowhub_jobs.store.links import LinkKind, link
from flowhub_jobs.system import rename_new, sync_path

WITH_COPY = (LinkKind.REFLINK, LinkKind.HARDLINK, LinkKind.COPY)
WITH_SYMLINK = (LinkKind.REFLINK, LinkKind.HARDLINK, LinkKind.SYMLINK)
WITHOUT_SYMLINK = (LinkKind.REFLINK, LinkKind.HARDLINK)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make(entries: Sequence[Entry], token: str, kinds: Sequence[LinkKind]) -> list[Entry]:
    """Make flowhub's own files under their temporary names, synced; return the entries with how and stamp.

    An entry whose stamp is known is there already. Raises PlacementRefused where no kind of link is possible, OSError.
    """
    staged = []
    for number, entry in enumerate(entries):
        needed = entry.own and entry.stamp is None
        staged.append(make_one(entry, entry.temporary(token, number), kinds) if needed else entry)
    return staged


def make_one(entry: Entry, path: Path, kinds: Sequence[LinkKind]) -> Entry:
    """Make one file at `path`; return the entry with how and stamp."""
    if entry.kind is EntryKind.TEXT:
        with os.fdopen(os.open(path, _NEW, 0o644), "wb") as file:
            file.write(content_of(entry))
        sync_path(path)
        return replace(entry, stamp=stamp_at(path))
    if entry.kind is EntryKind.SYMLINK:
        path.symlink_to(entry.text or "")
        return replace(entry, stamp=stamp_at(path))
    link_kind = _link(entry, path, kinds)
    text = os.readlink(path) if link_kind is LinkKind.SYMLINK else None
    return replace(entry, how=link_kind, text=text, stamp=stamp_at(path))


def _link(entry: Entry, path: Path, kinds: Sequence[LinkKind]) -> LinkKind:
    assert entry.source is not None
    try:
        source = entry.source.resolve(strict=True)  # a model that is itself a link
        kind = link(source, stamp_of(source), path, kinds)
    except UnreadableFile as error:
        raise PlacementRefused(f"{entry.source} {error}.") from error
    if kind is None:
        follows = LinkKind.SYMLINK in kinds
        problem = "its file system has no links" if follows else "the program follows no symbolic link to another disk"
        raise PlacementRefused(
            f"{path.parent} cannot have a link to {entry.source}: {problem}.",
            hint="Use --copy for a second copy of the bytes.",
        )
    return kind


def put_in_place(entries: Sequence[Entry], token: str, *, interrupted: bool = False) -> None:
    """Rename the made files to their names, in order, and sync their folders.

    `interrupted`: an earlier call was killed; this one completes it. Raises NameTaken if a name is another file's by
    now; that file stays.
    """
    for number, entry in enumerate(entries):
        temporary = entry.temporary(token, number)
        if entry.own and os.path.lexists(temporary):
            _rename(entry, temporary, interrupted=interrupted)
        elif entry.own and not is_own(entry, entry.target):
            raise NameTaken(f"{entry.target} was replaced by another program; it stays.")
    for folder in sorted({entry.target.parent for entry in entries if entry.own}):
        sync_path(folder)


def _rename(entry: Entry, temporary: Path, *, interrupted: bool) -> None:
    if entry.replaces and os.path.lexists(entry.target) and stamp_at(entry.target) == entry.replaces:
        os.replace(temporary, entry.target)
        return
    try:
        rename_new(temporary, entry.target)
    except FileExistsError as error:
        if is_own(entry, entry.target):  # a crash came between the link and the removal of the temporary name
            temporary.unlink()
        elif interrupted and _is_placeholder(entry.target, temporary):
            os.replace(temporary, entry.target)
        else:
            raise NameTaken(
                f"{entry.target} is there already, and is not flowhub's; it is never replaced.",
                hint="Move or remove it, then place the model again.",
            ) from error


def _is_placeholder(target: Path, temporary: Path) -> bool:
    """Return whether a killed rename claimed the name by an empty file, as without hard links (`rename_new`)."""
    status, probe = target.lstat(), temporary.with_name(f"{temporary.name}-probe")
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    try:
        os.link(temporary, probe, follow_symlinks=False)
    except OSError:
        return True
    probe.unlink()
    return False


def remove_temporary(entries: Sequence[Entry], token: str) -> None:
    """Remove what a crashed run left under temporary names, which only flowhub uses."""
    for number, entry in enumerate(entries):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            entry.temporary(token, number).unlink()


def remove_own(entry: Entry) -> bool:
    """Remove the file if it is as flowhub made it; return whether it was. A file that is gone is fine."""
    if not entry.own or not is_own(entry, entry.target):
        return False
    with contextlib.suppress(FileNotFoundError):
        entry.target.unlink()
    return True


def remove_folders(folders: Iterable[Path]) -> list[Path]:
    """Remove these folders if they are empty, the inner ones first; return those that stay."""
    staying = []
    for folder in sorted(folders, reverse=True):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            staying.append(folder)
    return staying


def has_symlinks(folder: Path, token: str) -> bool:
    """Return whether the file system of `folder` has symbolic links; a probe is made there and removed."""
    probe = folder / f".flowhub-{token}-probe"
    try:
        probe.symlink_to("nothing")
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True
