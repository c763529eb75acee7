"""Moves an installed model to another store. The old files are removed after the new ones are verified and recorded.

old store ─► partial in the new store ─► digests, fsync ─► intent, rename ─► library row ─► old files removed
          ─► the old row is removed and the job completed, in one transaction

A run that is killed at any step is continued by the next one. Until its last step both stores may have the model, and
each row describes the files of its own store.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.store.install import ArtifactParts, InstallResult
from flowhub_jobs.store.library_check import is_unchanged
from flowhub_jobs.store.recognize_existing import recognize_existing
from flowhub_jobs.store.verification_records import InstalledArtifact, VerificationRecords
from flowhub_jobs.system import sync_path
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.copy_into_partial import FileToCopy, copy_into_partial
from flowhub_jobs.worker.progress import ProgressWriter


@dataclass(frozen=True, slots=True)
class MoveSource:
    """The model in the store that it is moved from."""

    home: Home
    model: InstalledArtifact


def source_of(run: Run) -> MoveSource | None:
    """Return the model to move; None if it is not in its store any more. Raises StoreOffline while that is away."""
    task = run.claimed.task
    assert task is not None, "a job that moves has a task"
    home = run.home.in_store(task.place)
    home.open_store()
    model = VerificationRecords(home.engine, home.node, home.store).record_of(run.claimed.artifact)
    return None if model is None else MoveSource(home, model)


def required_source_of(run: Run) -> MoveSource:
    """Return the model to move. Raises NotFound, StoreOffline."""
    if (source := source_of(run)) is None:
        raise NotFound(f"{run.claimed.artifact.ref} is not installed any more.", hint="`flowhub list` shows what is.")
    return source


def verified_in_new_store(run: Run, source: MoveSource) -> InstallResult | None:
    """Return the model as another job installed it in the new store, if every byte of it is as in the old one."""
    installed = run.home.library.installed_unchanged(run.claimed.artifact)
    if installed is None:
        return None
    return recognize_existing(_with_digests(source.model), installed.path, run.cancel.check)


def _with_digests(model: InstalledArtifact) -> Artifact:
    pairs = zip(model.artifact.files, model.files, strict=True)
    return replace(
        model.artifact,
        files=tuple(replace(file, size=installed.bytes, sha256=installed.sha256) for file, installed in pairs),
    )


def copy_from_store(
    run: Run, source: MoveSource, partial: Path, progress: ProgressWriter, may_begin: Callable[[int], None]
) -> ArtifactParts:
    """Copy the model into the partial in the new store; return its verified parts.

    `may_begin(bytes)` raises where there is no room. Raises NotFound, DigestMismatch, StorageFailed.
    """
    model = source.model
    may_begin(model.bytes)
    files = [
        FileToCopy(file.path, file.store_path.resolve(), file.bytes, file.sha256, "it was installed with", file.pieces)
        for file in model.files
    ]
    hint = f"`flowhub verify {model.name} --repair`, then move it again."
    return copy_into_partial(run, partial, progress, files, missing=hint, damaged=hint)


def complete_move(context: WorkerContext, run: Run, result: InstallResult) -> None:
    """Record the model in the new store, remove it from the old one, and complete the job."""
    source = source_of(run)
    record_in_new_store(context, run, source, result)
    if source is not None:
        for home in (run.home, source.home):
            home.placements.place_pending(wait=True)
    removed = source is None or remove_from_old_store(run, source)
    with writing(run.home.engine) as tx:
        if source is not None and removed:
            source.home.library.remove_row(tx, source.model.id)
        text = _completed_text(run, source, removed)
        context.leases.complete(tx, run.lease, str(result.path), result.files, text)


def record_in_new_store(context: WorkerContext, run: Run, source: MoveSource | None, result: InstallResult) -> None:
    """Write the library's row of the new store; the placements follow to it. Nothing of the old one changes."""
    home, now_us = run.home, run.home.clock.now_us()
    with writing(home.engine) as tx:
        context.leases.check_owner(tx, run.lease)
        if source is None:
            home.library.record_installed(tx, run.claimed.artifact, result, run.lease.job, now_us)
            return
        model = source.model
        home.library.record_installed(tx, model.artifact, result, model.job, now_us, installed_at=model.installed_at)
        home.placements.follow(tx, run.lease.job, source.home.library.ids_here, model.name, result.name)


def remove_from_old_store(run: Run, source: MoveSource) -> bool:
    """Remove the old files; return whether they are gone. Files that were changed since they were copied stay."""
    store, name = source.home.store, source.model.name
    path = store.root / name
    if not os.path.lexists(path):
        return True  # an earlier run removed it
    entry = source.home.entries.entry(name)
    if entry is None or not is_unchanged(entry, path):
        return False
    run.lease.check()
    store.remove(name)
    sync_path(store.root)
    return True


def _completed_text(run: Run, source: MoveSource | None, removed: bool) -> str:
    ref, target = run.claimed.artifact.ref, run.home.store.name
    if source is None:
        return f"{ref} is in the store {target}, verified."
    origin = source.home.store.name
    if not removed:
        changed = f"It was changed in the store {origin} since, and stays there, too."
        return f"{ref} is in the store {target}, verified. {changed}"
    return f"{ref} was moved from the store {origin} to the store {target}, verified."
