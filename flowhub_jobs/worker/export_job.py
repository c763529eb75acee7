"""Exports an installed model: copies it to a folder, for a machine without a network.

store ─► <folder>/.flowhub-partial ─► digest ─► fsync ─► rename ─► the manifest
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import DigestMismatch, DiskFull, NameTaken, NotFound, StorageFailed, StoreOffline, TargetFull
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.fs.locks import held_lock
from flowhub_jobs.fs.safe_read import is_regular
from flowhub_jobs.store.export_manifest import (
    PARTIAL,
    ManifestEntry,
    read_manifest_if_any,
    without_queries,
    write_manifest,
)
from flowhub_jobs.store.file_hash import UnreadableFile, hash_file
from flowhub_jobs.store.space import check_room, room_at
from flowhub_jobs.store.verification_records import InstalledArtifact, VerificationRecords
from flowhub_jobs.system import rename_new, sync_path
from flowhub_jobs.values.artifacts import FileDigest
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.copier import Copier
from flowhub_jobs.worker.progress import ProgressWriter

LOCK_S = 60.0


def export_installed(context: WorkerContext, run: Run, progress: ProgressWriter) -> None:
    """Copy an installed model to the folder that the job's task names, and write it into its manifest.

    Raises NotFound, DigestMismatch for a model that is damaged here, NameTaken, DiskFull, StorageFailed.
    """
    home, task, artifact = run.home, run.claimed.task, run.claimed.artifact
    assert task is not None, "a job that exports has a task"
    model, folder = VerificationRecords(home.engine, home.node, home.store).record_of(artifact), Path(task.place)
    if model is None:
        raise NotFound(f"{artifact.ref} is not installed any more.", hint="`flowhub list` shows what is.")
    entry = ManifestEntry(
        model.name, without_queries(model.artifact), {file.path: (file.bytes, file.sha256) for file in model.files}
    )
    try:
        _copy_model(model, folder, entry, run, progress, home.settings.locks / "export")
    except DiskFull as error:
        raise TargetFull(error.message) from error
    except StoreOffline as error:  # the folder is missing, and the job does not wait for it
        raise StorageFailed(error.message, hint="Name a folder that can be written.") from error
    digests = [FileDigest(file.path, file.bytes, file.sha256, pinned=True) for file in model.files]
    with writing(home.engine) as tx:
        text = f"{model.name} is in {folder}, with its digests in the manifest there."
        context.leases.complete(tx, run.lease, str(folder / model.name), digests, text)


def _copy_model(
    model: InstalledArtifact, folder: Path, entry: ManifestEntry, run: Run, progress: ProgressWriter, spare: Path
) -> None:
    """Copy a model to the folder. `spare` is a lock file in the home, for a disk without file locks."""
    if not _has_model(folder, entry, run):
        check_room(room_at(folder, 0), model.bytes, 0, folder)
        staged = _stage_copy(model, folder, run, progress)
        with _hold_lock(folder, run, spare):
            _rename(staged, folder, entry, run)
    with _hold_lock(folder, run, spare):
        write_manifest(folder, read_manifest_if_any(folder) | {entry.name: entry})


def _has_model(folder: Path, entry: ManifestEntry, run: Run) -> bool:
    """Return whether the folder has this model, by every byte of its files.

    The manifest does not decide: a worker that was killed between the rename and the manifest left no entry there.
    """
    with disk_errors(folder):
        (folder / PARTIAL).mkdir(parents=True, exist_ok=True)  # where the lock is
    target = folder / entry.name
    files = [(target / path if entry.artifact.folder else target, expected) for path, expected in entry.files.items()]
    try:
        # A link is no copy: its target stays here when the disk is unplugged.
        if target.is_symlink() or any(not is_regular(path) or path.stat().st_size != size for path, (size, _) in files):
            return False
        return all(hash_file(path, run.cancel.check).sha256 == digest for path, (_, digest) in files)
    except (OSError, UnreadableFile):
        return False


def _stage_copy(model: InstalledArtifact, folder: Path, run: Run, progress: ProgressWriter) -> Path:
    """Return the copy, under a name that is no model's. Raises DigestMismatch if it is not as it was installed."""
    hint = f"`flowhub verify {model.name} --repair`, then export it again."
    staged, copier = folder / PARTIAL / f"{model.name}.{run.lease.job}", Copier(model.bytes, run, progress, hint)
    progress.reads(model.bytes, 0, [])
    _remove(staged)
    for file in model.files:
        digest = copier.copy(
            file.store_path.resolve(), file.bytes, staged / file.path if model.artifact.folder else staged
        )
        if digest != file.sha256:
            raise DigestMismatch(
                f"{file.store_path} is damaged: its sha256 is {digest}, and it was installed with {file.sha256}.",
                hint=hint,
            )
    for subfolder, _, _ in os.walk(staged, topdown=False):
        sync_path(Path(subfolder))
    return staged


def _rename(staged: Path, folder: Path, entry: ManifestEntry, run: Run) -> None:
    """Rename the copy to its final name. It replaces an existing model only if the manifest lists that as an export.

    The caller holds the folder's lock.
    """
    target = folder / entry.name
    run.lease.check()
    for leftover in (folder / PARTIAL).glob("old.*"):  # of a worker that was killed here
        _remove(leftover)
    if entry.name in read_manifest_if_any(folder) and (target.exists() or target.is_symlink()):
        replaced = folder / PARTIAL / f"old.{secrets.token_hex(4)}"
        target.rename(replaced)
        _remove(replaced)
    try:
        rename_new(staged, target)
    except FileExistsError:
        raise NameTaken(
            f"{target} already exists and was not exported by flowhub. flowhub does not replace it.",
            hint="Move or remove it, or export to another folder.",
        ) from None
    sync_path(folder)


@contextmanager
def _hold_lock(folder: Path, run: Run, spare: Path) -> Iterator[None]:
    """Hold the folder's lock; the disk's errors are converted."""
    lock = folder / PARTIAL / "lock"
    with disk_errors(folder), held_lock(lock, may_continue=run.cancel.check, at_most_s=LOCK_S, spare=spare):
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
