"""Gives verified bytes their name, in the order that survives a crash at any line.

    digest (done) ─► files synced (done) ─► the intent written down ─► rename ─► sync of the folder ─► the index

The intent names the inode: after a crash it tells whether the rename has happened. A worker keeps it in the job's row,
`download()`, which has no database, in the journal.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import NameTaken, StorageFailed
from flowhub_jobs.file_systems import mark_of, same_time, traits_of
from flowhub_jobs.store.layout import Store, files_in
from flowhub_jobs.system import rename_new, swap, sync_path
from flowhub_jobs.values.artifacts import Artifact, FileDigest

Owner = Callable[[str], str | None]  # from a name in the store to whose it is (artifacts.Artifact.claim)


@dataclass(frozen=True, slots=True)
class InstallResult:
    """An artifact that lies under its name: what the library writes down.

    `linked_from` is the file or folder of another program whose bytes it shares.
    """

    name: str
    path: Path
    files: tuple[FileDigest, ...]
    linked_from: str | None = None


def choose_name(artifact: Artifact, store: Store, owner: Owner) -> str:
    """Return the name that the artifact gets: its own, or the second one where another artifact of ours has it.

    Raises NameTaken where what has the name is not ours: that is never replaced.
    """
    names = (artifact.name, artifact.second_name())
    taken = {name: store.taken(name) for name in names}
    owners = {there.name: owner(there.name) for there in taken.values() if there is not None}
    for ours, whose in owners.items():
        if whose == artifact.claim:
            return ours  # where it was installed before
    for name, there in taken.items():
        if there is None:
            return name
        if owners[there.name] is None:
            raise NameTaken(f"{there} is there already and is not flowhub's; it is never replaced.")
    raise NameTaken(f"Both {artifact.name} and {artifact.second_name()} are names of other models in the store.")


def intent(name: str, staged: Path, files: Sequence[FileDigest], linked_from: str | None = None) -> dict[str, Any]:
    """Return what is written down before the rename."""
    described = [[file.path, file.bytes, file.sha256, file.pinned, file.mtime_ns] for file in files]
    return {"name": name, "is": _stamp(staged), "files": described, "linked_from": linked_from}


def already_placed(intent: dict[str, Any] | None, store: Store) -> InstallResult | None:
    """Return what a crashed run had placed: the name bears the very inode of the intent."""
    if intent is None:
        return None
    path = store.path_of(intent["name"])
    try:
        if not _is_as_stamped(path, intent["is"]):
            return None
    except OSError:
        return None
    files = tuple(_digest(*file) for file in intent["files"])
    return InstallResult(intent["name"], path, files, intent.get("linked_from"))


def _digest(path: str, size: int, sha256: str, pinned: bool, mtime_ns: int | None = None) -> FileDigest:
    return FileDigest(path, size, sha256, pinned, mtime_ns=mtime_ns)


def let_go_of_claim(intent: dict[str, Any] | None, store: Store) -> None:
    """Remove what a crashed run had only claimed its name with: a file or folder that is still empty.

    On a disk that cannot rename without replacing, a name is claimed first (system.rename_new).
    """
    if intent is None:
        return
    path = store.path_of(intent["name"])
    with contextlib.suppress(OSError):  # a folder with something in it, or nothing at all
        there = path.lstat()
        if stat.S_ISDIR(there.st_mode):
            path.rmdir()
        elif stat.S_ISREG(there.st_mode) and there.st_size == 0:
            path.unlink()


def _stamp(path: Path) -> list[int]:
    """Return what stays the same through a rename and a reboot. An inode's number alone may be given out again."""
    there = path.lstat()
    return [there.st_ino, there.st_size, there.st_mtime_ns]


def _is_as_stamped(path: Path, stamp: Sequence[int]) -> bool:
    number, size, mtime_ns = stamp
    there, traits = path.lstat(), traits_of(path.parent)
    if there.st_size != size or not same_time(mtime_ns, there.st_mtime_ns, traits):
        return False
    return not traits.numbers_stay or there.st_ino == number


def stage(
    artifact: Artifact, partial: Path, parts: Sequence[Path], marks: Sequence[tuple[int, ...]], *, folder: str = "files"
) -> Path:
    """Return the one thing to rename: the file, or a folder with the artifact's files and nothing else.

    `folder` is where in the partial a folder is staged. Raises StorageFailed if a part is not the very file that was
    verified.
    """
    traits = traits_of(partial)
    for part, mark in zip(parts, marks, strict=True):
        if mark_of(part.lstat(), traits) != mark:
            raise StorageFailed(f"{part} was replaced by another program while it was fetched; it is not installed.")
    if not artifact.folder:
        return parts[0]
    staged = partial / folder
    wanted = {staged / file.path for file in artifact.files}
    for file, part in zip(artifact.files, parts, strict=True):
        if part != staged / file.path:  # it was begun anew, and lies in a folder of its own
            (staged / file.path).parent.mkdir(parents=True, exist_ok=True)
            part.replace(staged / file.path)
    for stray in set(files_in(staged)) - wanted:
        stray.unlink()
    for place, _, _ in os.walk(staged, topdown=False):
        if os.listdir(place) or Path(place) == staged:
            sync_path(Path(place))
        else:
            Path(place).rmdir()
    return staged


def place(staged: Path, name: str, store: Store, *, ours: bool, may_write: Callable[[], None]) -> Path:
    """Rename what is staged to its name, and put the rename on the disk. Raises NameTaken if the name is taken by now.

    `ours`: what bears the name was installed for the same artifact; it gives way in the same step.
    """
    target = store.path_of(name)
    may_write()
    if ours and (target.exists() or target.is_symlink()):
        _take_over(staged, target)
    else:
        try:
            rename_new(staged, target)
        except FileExistsError as error:
            raise NameTaken(f"{target} has come to be there meanwhile, and is not flowhub's.") from error
    sync_path(store.root)
    return target


def _take_over(staged: Path, target: Path) -> None:
    if staged.is_dir() or target.is_dir():
        swap(staged, target)  # the old one lies in the partial now, and goes with it
    else:
        staged.replace(target)


def clean_up(partial: Path) -> None:
    """Remove a partial whose work is done."""
    shutil.rmtree(partial, ignore_errors=True)
