"""Installs verified files under their final name, in an order that survives a crash at any line.

    digest (done) ─► files synced (done) ─► the intent written ─► rename ─► sync of the folder ─► the index

The intent names the inode: after a crash it tells whether the rename has happened. The worker keeps it in the job's
row; `download()`, which has no database, in the journal. Both go through `Installer`.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flowhub_jobs.errors import NameTaken, StorageFailed
from flowhub_jobs.file_systems import mark_of, same_time, traits_of
from flowhub_jobs.store.layout import Store, files_in
from flowhub_jobs.system import rename_new, swap, sync_path
from flowhub_jobs.values.artifacts import Artifact, FileDigest

Owner = Callable[[str], str | None]  # from a name in the store to its owner (artifacts.Artifact.claim)


@dataclass(frozen=True, slots=True)
class InstallResult:
    """An artifact under its final name, as the library records it.

    `linked_from` is the file or folder of another program whose bytes it shares.
    """

    name: str
    path: Path
    files: tuple[FileDigest, ...]
    linked_from: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactParts:
    """All files of an artifact, verified and still in the partial, in the artifact's order.

    `marks` tell whether a part is still the file that was verified (`file_systems.mark_of`). `folder` is the folder of
    the partial in which a folder artifact is staged.
    """

    files: tuple[FileDigest, ...]
    parts: tuple[Path, ...]
    marks: tuple[tuple[int, ...], ...]
    folder: str = "files"
    linked_from: str | None = None


class IntentLog(Protocol):
    """Keeps the intent of one installation where a crash does not lose it."""

    def read_intent(self) -> dict[str, Any] | None:
        """Return the intent that an earlier run wrote; None if it wrote none."""

    def write_intent(self, intent: dict[str, Any]) -> None:
        """Make the intent durable. An error that this raises stops the installation before the rename."""


@dataclass(frozen=True, slots=True)
class Installer:
    """The one save order: installs an artifact's verified parts, and recovers what a crashed run had installed.

    `owner` tells the claim of a name in the store. `check` raises if the run is to stop, before anything is staged or
    removed. `may_write` raises if another run may own the job by now; it is asked last, right before the rename.
    """

    store: Store
    log: IntentLog
    owner: Owner
    check: Callable[[], None]
    may_write: Callable[[], None]

    def recover(self) -> InstallResult | None:
        """Return what an earlier run installed before it crashed, else release the name that it had reserved."""
        intent = self.log.read_intent()
        installed = find_installed(intent, self.store)
        if installed is None:
            self.check()
            release_placeholder(intent, self.store)
        return installed

    def install(self, artifact: Artifact, partial: Path, verified: ArtifactParts) -> InstallResult:
        """Give the parts their final name. Raises NameTaken, StorageFailed, and what the callables raise."""
        name = choose_name(artifact, self.store, self.owner)
        self.check()
        staged = stage(artifact, partial, verified.parts, verified.marks, folder=verified.folder)
        self.log.write_intent(new_intent(name, staged, verified.files, verified.linked_from))
        replace_own = self.owner(name) == artifact.claim
        path = rename_into_place(staged, name, self.store, replace_own=replace_own, may_write=self.may_write)
        return InstallResult(name, path, verified.files, verified.linked_from)


def choose_name(artifact: Artifact, store: Store, owner: Owner) -> str:
    """Return the artifact's own name, or its second name if flowhub installed another artifact under the first.

    Raises NameTaken if flowhub did not install what has the name: that is never replaced.
    """
    names = (artifact.name, artifact.second_name())
    existing = {name: store.taken(name) for name in names}
    owners = {path.name: owner(path.name) for path in existing.values() if path is not None}
    for name, claim in owners.items():
        if claim == artifact.claim:
            return name  # installed there before
    for name, path in existing.items():
        if path is None:
            return name
        if owners[path.name] is None:
            raise NameTaken(f"{path} already exists and was not installed by flowhub. flowhub does not replace it.")
    raise NameTaken(f"Both {artifact.name} and {artifact.second_name()} are names of other models in the store.")


def new_intent(name: str, staged: Path, files: Sequence[FileDigest], linked_from: str | None = None) -> dict[str, Any]:
    """Return the record that is written before the rename."""
    file_rows = [[file.path, file.bytes, file.sha256, file.pinned, file.mtime_ns] for file in files]
    return {"name": name, "is": _stamp(staged), "files": file_rows, "linked_from": linked_from}


def find_installed(intent: dict[str, Any] | None, store: Store) -> InstallResult | None:
    """Return what a crashed run installed: the file under the intent's name has the intent's inode."""
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


def release_placeholder(intent: dict[str, Any] | None, store: Store) -> None:
    """Remove the placeholder with which a crashed run had reserved its name: a file or folder that is still empty.

    On a disk that cannot rename without replacing, a name is reserved first (system.rename_new).
    """
    if intent is None:
        return
    path = store.path_of(intent["name"])
    with contextlib.suppress(OSError):  # a folder with something in it, or nothing at all
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            path.rmdir()
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            path.unlink()


def _stamp(path: Path) -> list[int]:
    """Return inode, size and mtime, which survive a rename and a reboot. An inode's number alone may be reused."""
    status = path.lstat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _is_as_stamped(path: Path, stamp: Sequence[int]) -> bool:
    number, size, mtime_ns = stamp
    status, traits = path.lstat(), traits_of(path.parent)
    if status.st_size != size or not same_time(mtime_ns, status.st_mtime_ns, traits):
        return False
    return not traits.numbers_stay or status.st_ino == number


def stage(
    artifact: Artifact, partial: Path, parts: Sequence[Path], marks: Sequence[tuple[int, ...]], *, folder: str = "files"
) -> Path:
    """Return the one path to rename: the file, or a folder with the artifact's files and nothing else.

    `folder` is the folder of the partial in which a folder artifact is staged. Raises StorageFailed if a part is not
    the very file that was verified.
    """
    traits = traits_of(partial)
    for part, mark in zip(parts, marks, strict=True):
        if mark_of(part.lstat(), traits) != mark:
            raise StorageFailed(f"{part} was replaced by another program while it was fetched; it is not installed.")
    if not artifact.folder:
        return parts[0]
    staged = partial / folder
    expected = {staged / file.path for file in artifact.files}
    for file, part in zip(artifact.files, parts, strict=True):
        if part != staged / file.path:  # it was started over, in a folder of its own
            (staged / file.path).parent.mkdir(parents=True, exist_ok=True)
            part.replace(staged / file.path)
    for stray in set(files_in(staged)) - expected:
        stray.unlink()
    for directory, _, _ in os.walk(staged, topdown=False):
        if os.listdir(directory) or Path(directory) == staged:
            sync_path(Path(directory))
        else:
            Path(directory).rmdir()
    return staged


def rename_into_place(
    staged: Path, name: str, store: Store, *, replace_own: bool, may_write: Callable[[], None]
) -> Path:
    """Rename `staged` to its final name and sync the store's folder. Raises NameTaken if the name is taken by now.

    `replace_own`: the name belongs to an earlier version of the same artifact, which is replaced in the same step.
    """
    target = store.path_of(name)
    may_write()
    if replace_own and (target.exists() or target.is_symlink()):
        _replace(staged, target)
    else:
        try:
            rename_new(staged, target)
        except FileExistsError as error:
            raise NameTaken(f"{target} appeared while the model was fetched, and is not flowhub's.") from error
    sync_path(store.root)
    return target


def _replace(staged: Path, target: Path) -> None:
    if staged.is_dir() or target.is_dir():
        swap(staged, target)  # the old one is in the partial now, and is removed with it
    else:
        staged.replace(target)


def remove_partial(partial: Path) -> None:
    """Remove a partial whose job is done."""
    shutil.rmtree(partial, ignore_errors=True)
